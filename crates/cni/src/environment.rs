//! The environment variables of the specification: which verb needs which, and which values are valid.
//! Must not: read the process's environment (the dispatcher passes a lookup).

use crate::config::is_name;
use crate::error::{CniError, Code};
use std::ffi::OsString;
use std::path::PathBuf;

/// Where variables come from.
pub type Lookup<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// CNI_COMMAND
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Attach.
    Add,
    /// Detach.
    Del,
    /// Verify an attachment.
    Check,
    /// Remove attachments that no longer exist.
    Gc,
    /// May ADD be called?
    Status,
    /// Which versions are spoken?
    Version,
}

impl Verb {
    const NAMES: [(&'static str, Self); 6] = [
        ("ADD", Self::Add),
        ("DEL", Self::Del),
        ("CHECK", Self::Check),
        ("GC", Self::Gc),
        ("STATUS", Self::Status),
        ("VERSION", Self::Version),
    ];

    /// The verb of this name.
    pub fn parse(text: &str) -> Result<Self, CniError> {
        let found = Self::NAMES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, verb)| *verb);
        found
            .ok_or_else(|| CniError::new(Code::Environment, format!("unknown CNI_COMMAND: {text}")))
    }
}

/// Which variables a verb cannot do without, in the order in which missing ones are listed.
const REQUIRED: [(&str, &[Verb]); 4] = [
    ("CNI_CONTAINERID", &[Verb::Add, Verb::Check, Verb::Del]),
    ("CNI_NETNS", &[Verb::Add, Verb::Check]),
    ("CNI_IFNAME", &[Verb::Add, Verb::Check, Verb::Del]),
    (
        "CNI_PATH",
        &[Verb::Add, Verb::Check, Verb::Del, Verb::Gc, Verb::Status],
    ),
];

/// The variables of one call. Those the verb does not need may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// CNI_CONTAINERID
    pub container: String,
    /// CNI_IFNAME
    pub ifname: String,
    /// CNI_NETNS; `None` when empty.
    pub netns: Option<PathBuf>,
    /// CNI_ARGS
    pub args: String,
    /// CNI_NETNS_OVERRIDE: the namespace may be the plugin's own.
    pub allows_own_netns: bool,
}

impl Environment {
    /// Reads what `verb` needs; every missing variable is named at once.
    pub fn read(verb: Verb, lookup: &Lookup<'_>) -> Result<Self, CniError> {
        let is_missing = |name| lookup(name).is_none_or(|value| value.is_empty());
        let required = REQUIRED
            .iter()
            .filter(|(_, verbs)| verbs.contains(&verb))
            .map(|(name, _)| *name);
        let missing: Vec<&str> = required.filter(|name| is_missing(name)).collect();
        if !missing.is_empty() {
            return Err(wrong(format!(
                "required env variables [{}] missing",
                missing.join(",")
            )));
        }
        let netns_override = text(lookup, "CNI_NETNS_OVERRIDE")?.to_ascii_uppercase();
        Ok(Self {
            container: text(lookup, "CNI_CONTAINERID")?,
            ifname: text(lookup, "CNI_IFNAME")?,
            netns: Some(text(lookup, "CNI_NETNS")?)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            args: text(lookup, "CNI_ARGS")?,
            allows_own_netns: matches!(netns_override.as_str(), "TRUE" | "1"),
        })
    }

    /// Whether the values that are there may name a container and a link.
    pub fn validate(&self, verb: Verb) -> Result<(), CniError> {
        if !matches!(verb, Verb::Add | Verb::Check | Verb::Del) {
            return Ok(());
        }
        if !is_name(&self.container) {
            return Err(
                wrong("invalid characters in CNI_CONTAINERID").with_details(self.container.clone())
            );
        }
        let refused = |why: &str| Err(wrong(format!("CNI_IFNAME {:?} {why}", self.ifname)));
        match self.ifname.as_str() {
            "." | ".." => refused("is . or .."),
            name if name.len() > 15 => refused("is too long, more than 15 characters"),
            name if name.contains(|c: char| {
                c == '/' || c == ':' || c.is_whitespace() || c.is_control()
            }) =>
            {
                refused("contains / or : or a blank or control character")
            }
            _ => Ok(()),
        }
    }
}

fn text(lookup: &Lookup<'_>, name: &str) -> Result<String, CniError> {
    lookup(name)
        .unwrap_or_default()
        .into_string()
        .map_err(|value| wrong(format!("{name} is not UTF-8: {value:?}")))
}

fn wrong(msg: impl Into<String>) -> CniError {
    CniError::new(Code::Environment, msg)
}
