//! A JSON object whose field names match whatever their case, as the reference implementation's decoder reads them.
//! Must not: know any field.

use serde_json::{Map, Value};

/// Borrowed fields of one object.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The fields of `value`, when it is an object.
    pub fn of(value: &'a Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    /// The field of this name: spelled exactly so, else in any case. `null` is as good as absent.
    pub fn get(self, name: &str) -> Option<&'a Value> {
        let any_case = || {
            self.0
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        self.0
            .get(name)
            .or_else(any_case)
            .filter(|value| !value.is_null())
    }

    /// The text of this name; a value that is no text is given back as the error.
    pub fn text(self, name: &str) -> Result<Option<&'a str>, &'a Value> {
        self.get(name)
            .map(|value| value.as_str().ok_or(value))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_found_in_any_case_and_the_exact_one_first() {
        let value = json!({"MTU": "1", "mtu": "2", "VethPREFIX": "x", "name": null, "type": 3});
        let fields = Fields::of(&value).unwrap();
        assert_eq!(fields.text("mtu"), Ok(Some("2")));
        assert_eq!(fields.text("vethPrefix"), Ok(Some("x")));
        assert_eq!(fields.text("name"), Ok(None));
        assert_eq!(fields.text("absent"), Ok(None));
        assert_eq!(fields.text("type"), Err(&json!(3)));
        assert!(Fields::of(&json!([])).is_none());
    }
}
