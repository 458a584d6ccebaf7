//! The error object a runtime reads from stdout, and every code in it.
//! Must not: decide when an error is which (its makers do).

use serde::Serialize;

/// Code of an error. Below 100 the specification gives the meaning; from 100 on each permanent reason has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Code {
    /// The configuration asks for a version, or a verb for a version, that is not spoken.
    IncompatibleVersion = 1,
    /// An environment variable is missing or wrong.
    Environment = 4,
    /// stdin could not be read.
    Io = 5,
    /// stdin is not a JSON object.
    Decode = 6,
    /// A field of the network configuration is missing or wrong.
    Config = 7,
    /// CNI_NETNS is the host's own namespace.
    SameNamespace = 8,
    /// Waiting can cure it: the runtime should try again later.
    TryAgain = 11,
    /// Every address that the node can have is held by pods.
    NodeLimit = 100,
    /// A DEL of the same sandbox came while the ADD waited.
    Deleted = 101,
    /// A newer sandbox of the same pod asked.
    Superseded = 102,
    /// The node daemon refused for another reason, or cannot be asked, and waiting does not cure it.
    Refused = 103,
    /// The node daemon's answer cannot be used, or asks for what is not supported.
    BadAnswer = 104,
    /// The kernel refused to wire the pod.
    Wiring = 105,
    /// The kernel refused to remove what belonged to the pod.
    Unwiring = 106,
    /// The node may not ask EC2 for addresses, and has no free one.
    ProvisioningOff = 107,
    /// EC2 attaches no more ENIs to the instance.
    EniLimit = 108,
    /// EC2 assigns no more addresses to an ENI.
    AddressLimit = 109,
    /// IAM denies what would bring an address.
    Denied = 110,
}

impl Code {
    /// Every code with what an operator should know about it; the reference page is made from this table.
    pub const TABLE: [(Self, &'static str); 18] = [
        (
            Self::IncompatibleVersion,
            "cniVersion is not supported, or does not know the command",
        ),
        (
            Self::Environment,
            "an environment variable is missing or wrong, CNI_ARGS and CNI_NETNS included",
        ),
        (Self::Io, "stdin cannot be read"),
        (Self::Decode, "stdin is not a JSON object"),
        (
            Self::Config,
            "a field of the network configuration is missing or wrong",
        ),
        (
            Self::SameNamespace,
            "CNI_NETNS is the plugin's own network namespace",
        ),
        (
            Self::TryAgain,
            "waiting can cure it; the text says what is waited for",
        ),
        (
            Self::NodeLimit,
            "every address that this node can have is held by pods",
        ),
        (
            Self::Deleted,
            "the sandbox was deleted while its ADD waited",
        ),
        (
            Self::Superseded,
            "a newer sandbox of the same pod replaced this one",
        ),
        (
            Self::Refused,
            "the node daemon refused, or cannot be asked, for a reason that waiting does not cure",
        ),
        (
            Self::BadAnswer,
            "the node daemon's answer is unusable or asks for what this plugin does not support",
        ),
        (
            Self::Wiring,
            "the kernel refused to wire the pod; everything was undone and the address given back",
        ),
        (
            Self::Unwiring,
            "the kernel refused to remove the pod's rules and routes",
        ),
        (
            Self::ProvisioningOff,
            "every address that this node has is held by pods, and it may not ask EC2 for more (DISABLE_NETWORK_RESOURCE_PROVISIONING)",
        ),
        (
            Self::EniLimit,
            "EC2 attaches no more ENIs to this instance, though its type should allow it: who else attaches ENIs?",
        ),
        (
            Self::AddressLimit,
            "EC2 assigns no more addresses to an ENI of this instance, though its type should allow it",
        ),
        (
            Self::Denied,
            "IAM denies this node an EC2 action that would bring an address; the text names the action",
        ),
    ];

    /// The number on the wire.
    pub fn number(self) -> u32 {
        self as u32
    }
}

/// An error as a runtime reads it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{msg}")]
pub struct CniError {
    /// What kind.
    pub code: Code,
    /// One sentence; containerd and kubelet show it to people.
    pub msg: String,
    /// More, or empty.
    pub details: String,
}

impl CniError {
    /// An error without details.
    pub fn new(code: Code, msg: impl Into<String>) -> Self {
        Self {
            code,
            msg: msg.into(),
            details: String::new(),
        }
    }

    /// The same with details.
    pub fn with_details(self, details: impl Into<String>) -> Self {
        Self {
            details: details.into(),
            ..self
        }
    }

    /// The object, four spaces deep, without a newline at the end.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Object<'a> {
            code: u32,
            msg: &'a str,
            #[serde(skip_serializing_if = "str::is_empty")]
            details: &'a str,
        }
        indented(&Object {
            code: self.code.number(),
            msg: &self.msg,
            details: &self.details,
        })
    }
}

/// JSON as the reference library prints it: indented by four spaces, no newline at the end.
pub(crate) fn indented(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    value
        .serialize(&mut serializer)
        .expect("texts and numbers in structs always serialise");
    String::from_utf8(text).expect("the serialiser writes UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_object_is_indented_by_four_and_leaves_out_empty_details() {
        let error = CniError::new(Code::Config, "missing network name");
        assert_eq!(
            error.to_json(),
            "{\n    \"code\": 7,\n    \"msg\": \"missing network name\"\n}"
        );
        let error = error.with_details("the object has no \"name\"");
        assert_eq!(
            error.to_json(),
            "{\n    \"code\": 7,\n    \"msg\": \"missing network name\",\n    \"details\": \"the object has no \\\"name\\\"\"\n}"
        );
    }

    #[test]
    fn codes_are_the_specifications_below_100_and_ours_above() {
        let numbers: Vec<u32> = Code::TABLE.iter().map(|(code, _)| code.number()).collect();
        assert_eq!(
            numbers,
            [
                1, 4, 5, 6, 7, 8, 11, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110
            ]
        );
        let texts: BTreeSet<&str> = Code::TABLE.iter().map(|(_, text)| *text).collect();
        assert_eq!(texts.len(), Code::TABLE.len());
    }
}
