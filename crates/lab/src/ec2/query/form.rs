//! A form's parameters, taken out one by one: `Name`, lists `Name.1`, lists of structures `Name.1.Field`.
//! Must not: know any action.

use std::collections::BTreeMap;
use std::str::FromStr;
use vpc::{Code, Error};

/// Parameters that nobody has taken yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::ec2) struct Form(BTreeMap<String, String>);

impl Form {
    /// From `application/x-www-form-urlencoded`.
    pub(in crate::ec2) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescape(name), unescape(value))
        };
        Self(pairs.map(pair).collect())
    }

    /// The action as sent, and everything else, for the journal.
    pub(in crate::ec2) fn for_journal(&self) -> (String, BTreeMap<String, String>) {
        let mut rest = self.0.clone();
        rest.remove("Version");
        let action = rest.remove("Action").unwrap_or_default();
        (action, rest)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    pub(super) fn optional<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Error> {
        self.take(name)
            .map(|text| text.parse().map_err(|_| refused(&text, name)))
            .transpose()
    }

    pub(super) fn required<T: FromStr>(&mut self, name: &str) -> Result<T, Error> {
        self.optional(name)?.ok_or_else(|| missing(name))
    }

    /// The values of `name.1`, `name.2`… in order of their numbers.
    pub(super) fn list(&mut self, name: &str) -> Vec<String> {
        let taken = self.numbered(name, |_, rest| rest.is_none());
        taken
            .into_values()
            .flat_map(|form| form.0.into_values())
            .collect()
    }

    pub(super) fn values<T: FromStr>(&mut self, name: &str) -> Result<Vec<T>, Error> {
        let parse = |text: String| text.parse().map_err(|_| refused(&text, name));
        self.list(name).into_iter().map(parse).collect()
    }

    /// A list of ids.
    pub(super) fn ids<T: FromStr>(&mut self, name: &str) -> Result<Vec<T>, Error> {
        self.values(name)
    }

    /// The structures `name.1.…`, `name.2.…` in order of their numbers.
    pub(super) fn groups(&mut self, name: &str) -> Vec<Self> {
        self.numbered(name, |_, rest| rest.is_some())
            .into_values()
            .collect()
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), Error> {
        match self.0.keys().next() {
            Some(name) => Err(Error::new(
                Code::UnknownParameter,
                format!("The parameter {name} is not recognized"),
            )),
            None => Ok(()),
        }
    }

    fn numbered(
        &mut self,
        name: &str,
        wanted: impl Fn(u32, Option<&str>) -> bool,
    ) -> BTreeMap<u32, Self> {
        let mut found: BTreeMap<u32, Self> = BTreeMap::new();
        let split = |key: &str| -> Option<(u32, Option<String>)> {
            let rest = key.strip_prefix(name)?.strip_prefix('.')?;
            let (number, field) = rest
                .split_once('.')
                .map_or((rest, None), |(number, field)| (number, Some(field)));
            Some((number.parse().ok()?, field.map(str::to_owned)))
        };
        self.0.retain(|key, value| match split(key) {
            Some((number, field)) if wanted(number, field.as_deref()) => {
                found
                    .entry(number)
                    .or_default()
                    .0
                    .insert(field.unwrap_or_default(), std::mem::take(value));
                false
            }
            _ => true,
        });
        found
    }
}

pub(super) fn missing(name: &str) -> Error {
    Error::new(
        Code::MissingParameter,
        format!("The request must contain the parameter {name}"),
    )
}

pub(super) fn invalid(text: &str, name: &str) -> Error {
    Error::new(
        Code::InvalidParameterValue,
        format!("Value ({text}) for parameter {name} is invalid."),
    )
}

pub(super) fn malformed(text: &str, name: &str) -> Error {
    Error::new(
        Code::InterfaceMalformed,
        format!("Invalid id: \"{text}\" for parameter {name}"),
    )
}

fn refused(text: &str, name: &str) -> Error {
    if name == "NetworkInterfaceId" {
        malformed(text, name)
    } else {
        invalid(text, name)
    }
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = || {
            tail.get(..2)
                .and_then(|two| std::str::from_utf8(two).ok())
                .and_then(|two| u8::from_str_radix(two, 16).ok())
        };
        match (first, hex()) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
