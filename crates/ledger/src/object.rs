//! One JSON object as Go reads it: key names are matched case-insensitively, `null` and a missing key are the zero value,
//! unknown keys are ignored. Must not: know which keys there are. Driven by: [`crate::checkpoint`].

use serde_json::{Map, Value};

/// Why a field cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is not {want}")]
pub struct WrongType {
    /// The field's name.
    pub field: &'static str,
    /// What it has to be.
    pub want: &'static str,
}

/// A view of one object.
#[derive(Clone, Copy)]
pub(crate) struct Object<'a>(&'a Map<String, Value>);

impl<'a> Object<'a> {
    pub(crate) fn of(value: &'a Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    /// The field's value; `None` when missing or `null`. The exact name wins over other spellings.
    fn field(self, name: &str) -> Option<&'a Value> {
        let other = || {
            self.0
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        self.0
            .get(name)
            .or_else(other)
            .filter(|value| !value.is_null())
    }

    pub(crate) fn text(self, field: &'static str) -> Result<&'a str, WrongType> {
        self.field(field).map_or(Ok(""), |value| {
            value.as_str().ok_or(WrongType {
                field,
                want: "a string",
            })
        })
    }

    pub(crate) fn integer(self, field: &'static str) -> Result<i64, WrongType> {
        let want = "an integer of 64 bits";
        self.field(field).map_or(Ok(0), |value| {
            value.as_i64().ok_or(WrongType { field, want })
        })
    }

    /// Unlike the others it may not be missing: zero would be a time that has passed.
    pub(crate) fn natural(self, field: &'static str) -> Result<u64, WrongType> {
        self.field(field).and_then(Value::as_u64).ok_or(WrongType {
            field,
            want: "a natural number",
        })
    }

    pub(crate) fn array(self, field: &'static str) -> Result<&'a [Value], WrongType> {
        let want = "an array";
        self.field(field).map_or(Ok(&[]), |value| {
            value
                .as_array()
                .map(Vec::as_slice)
                .ok_or(WrongType { field, want })
        })
    }

    pub(crate) fn object(self, field: &'static str) -> Result<Option<Self>, WrongType> {
        let want = "an object";
        self.field(field)
            .map(|value| Self::of(value).ok_or(WrongType { field, want }))
            .transpose()
    }
}
