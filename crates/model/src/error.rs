//! How an EC2 call can fail, and the one place that looks at EC2's codes and texts. Must not: decide what to do about it.
//!
//! Table: peers-and-ec2.md §10.3.

use serde::{Deserialize, Serialize};

/// The outcome of a call that was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// EC2 said no: nothing has changed.
    #[error("refused by EC2: {0}")]
    Refused(Refusal),
    /// It may have happened, or may yet, even after a restart: time-out, connection lost, 5xx other than throttling.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// A refusal by EC2. Behaviour depends on `class`; `code` and `message` are for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// What it means for us.
    pub class: Class,
    /// EC2's code.
    pub code: String,
    /// EC2's text, cut at 300 characters.
    pub message: String,
}

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Class {
    /// A token bucket is empty.
    Throttled,
    /// The subnet has no free address.
    SubnetFull,
    /// The subnet has no free /28, though it may have free addresses.
    SubnetFragmented,
    /// All address slots of the ENI are taken.
    AddressLimit,
    /// The ENI has more addresses than the instance type allows (at attach).
    AddressesAboveType,
    /// The instance (or card) has all the ENIs it can have.
    EniLimit,
    /// A quota of the account or VPC: ENIs per Region, address usage, groups per ENI, tags.
    Quota,
    /// The named ENI, attachment or address is not there (any more).
    NotFound,
    /// Something else named in the call is not there: subnet, group, instance.
    ConfigurationMissing,
    /// The ENI or device index is in use.
    InUse,
    /// The address is on another ENI.
    AlreadyAssigned,
    /// IAM says no.
    Denied,
    /// The instance or ENI is in a state that forbids it now.
    WrongState,
    /// The same token with another body.
    TokenMismatch,
    /// The clock of this node is wrong or the credentials are stale.
    Expired,
    /// Passing trouble in EC2 that changed nothing.
    Transient,
    /// The request itself is wrong: a defect of ours.
    Invalid,
}

impl Class {
    /// Whether waiting alone can cure it.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Throttled
            | Self::InUse
            | Self::WrongState
            | Self::Expired
            | Self::Transient
            | Self::SubnetFull
            | Self::SubnetFragmented => true,
            Self::AddressLimit
            | Self::AddressesAboveType
            | Self::EniLimit
            | Self::Quota
            | Self::NotFound
            | Self::ConfigurationMissing
            | Self::AlreadyAssigned
            | Self::Denied
            | Self::TokenMismatch
            | Self::Invalid => false,
        }
    }
}

/// Turns EC2's code, text and HTTP status into an outcome.
pub fn classify(code: &str, message: &str, http_status: u16) -> CallError {
    match class_of(code, message, http_status) {
        Some(class) => CallError::Refused(Refusal {
            class,
            code: code.to_owned(),
            message: cut(message),
        }),
        None => CallError::Unknown(format!(
            "EC2 answered {http_status} {code}: {}",
            cut(message)
        )),
    }
}

fn cut(message: &str) -> String {
    message.chars().take(300).collect()
}

/// `None`: the outcome is unknown.
fn class_of(code: &str, message: &str, http_status: u16) -> Option<Class> {
    let bare = code
        .strip_prefix("Client.")
        .or_else(|| code.strip_prefix("Server."))
        .unwrap_or(code);
    if let Some((_, class)) = CODES.iter().find(|(known, _)| *known == bare) {
        return Some(*class);
    }
    match bare {
        "InvalidParameterValue" => Some(parameter_class(message)),
        "AuthFailure" => Some(authentication_class(message)),
        // An error of EC2's side without a code of the table: it may have been carried out.
        _ if http_status >= 500 => None,
        "InternalError" | "InternalFailure" | "Unavailable" | "ServiceUnavailable" => None,
        _ if bare.ends_with(".NotFound") => Some(Class::ConfigurationMissing),
        _ => Some(Class::Invalid),
    }
}

/// EC2 gives several meanings one code; only the text tells them apart.
fn parameter_class(message: &str) -> Class {
    let lower = message.to_ascii_lowercase();
    let has = |part: &str| lower.contains(part);
    if has("sufficient free ipv4 addresses or prefixes") {
        Class::SubnetFull
    } else if has("are not assigned") {
        Class::NotFound
    } else if has("already has an interface attached at device index") || has("is currently in use")
    {
        Class::InUse
    } else {
        Class::Invalid
    }
}

/// What a node with a wrong clock or credentials of yesterday hears, and what one hears that names a foreign object.
fn authentication_class(message: &str) -> Class {
    if message.to_ascii_lowercase().contains("validate") {
        Class::Expired
    } else {
        Class::Denied
    }
}

const CODES: &[(&str, Class)] = &[
    ("RequestLimitExceeded", Class::Throttled),
    ("Throttling", Class::Throttled),
    ("ThrottlingException", Class::Throttled),
    ("InsufficientCidrBlocks", Class::SubnetFragmented),
    ("InsufficientFreeAddressesInSubnet", Class::SubnetFull),
    ("PrivateIpAddressLimitExceeded", Class::AddressLimit),
    (
        "InvalidInterface.IpAddressLimitExceeded",
        Class::AddressesAboveType,
    ),
    ("AttachmentLimitExceeded", Class::EniLimit),
    ("NetworkInterfaceLimitExceeded", Class::Quota),
    ("NetworkAddressUsageLimitExceeded", Class::Quota),
    ("SecurityGroupsPerInterfaceLimitExceeded", Class::Quota),
    ("TagLimitExceeded", Class::Quota),
    ("InvalidNetworkInterfaceID.NotFound", Class::NotFound),
    ("InvalidAttachmentID.NotFound", Class::NotFound),
    ("InvalidNetworkInterface.InUse", Class::InUse),
    ("InvalidIPAddress.InUse", Class::AlreadyAssigned),
    ("Resource.AlreadyAssigned", Class::AlreadyAssigned),
    ("OperationNotPermitted", Class::Invalid),
    ("UnauthorizedOperation", Class::Denied),
    ("IncorrectState", Class::WrongState),
    ("IncorrectInstanceState", Class::WrongState),
    ("InvalidInstanceID.NotFound", Class::ConfigurationMissing),
    ("InvalidSubnetID.NotFound", Class::ConfigurationMissing),
    ("InvalidGroup.NotFound", Class::ConfigurationMissing),
    (
        "InvalidSecurityGroupID.NotFound",
        Class::ConfigurationMissing,
    ),
    ("ConcurrentTagAccess", Class::Transient),
    ("IdempotentParameterMismatch", Class::TokenMismatch),
    ("RequestExpired", Class::Expired),
    ("RequestTimeTooSkewed", Class::Expired),
    ("SignatureDoesNotMatch", Class::Expired),
    ("InvalidClientTokenId", Class::Expired),
    ("ExpiredToken", Class::Expired),
    ("ExpiredTokenException", Class::Expired),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn class(code: &str, message: &str, status: u16) -> Option<Class> {
        match classify(code, message, status) {
            CallError::Refused(refusal) => Some(refusal.class),
            CallError::Unknown(_) => None,
        }
    }

    #[test]
    fn codes_are_classified() {
        for (code, want) in CODES {
            assert_eq!(class(code, "", 400), Some(*want), "{code}");
            assert_eq!(
                class(&format!("Client.{code}"), "", 400),
                Some(*want),
                "Client.{code}"
            );
        }
        // Throttling is a refusal though EC2 sends it with 503.
        assert_eq!(
            class("RequestLimitExceeded", "Request limit exceeded.", 503),
            Some(Class::Throttled)
        );
        assert_eq!(
            class("SomethingNew.NotFound", "", 400),
            Some(Class::ConfigurationMissing)
        );
        assert_eq!(class("SomethingNew", "", 400), Some(Class::Invalid));
    }

    #[test]
    fn errors_of_ec2s_side_leave_the_outcome_unknown() {
        for (code, status) in [
            ("InternalError", 500),
            ("Unavailable", 503),
            ("ServiceUnavailable", 503),
            ("", 502),
            ("Weird", 504),
            ("InternalError", 400),
        ] {
            assert_eq!(class(code, "", status), None, "{code} {status}");
        }
    }

    #[test]
    fn one_code_with_several_meanings_is_told_apart_by_text() {
        let text = |message| class("InvalidParameterValue", message, 400);
        assert_eq!(
            text("There aren't sufficient free Ipv4 addresses or prefixes"),
            Some(Class::SubnetFull)
        );
        assert_eq!(
            text("Some of the specified addresses are not assigned to interface eni-1"),
            Some(Class::NotFound)
        );
        assert_eq!(
            text("Instance i-1 already has an interface attached at device index 1"),
            Some(Class::InUse)
        );
        assert_eq!(
            text("Network interface 'eni-1' is currently in use."),
            Some(Class::InUse)
        );
        let authentication = |message| class("AuthFailure", message, 401);
        assert_eq!(
            authentication("AWS was not able to validate the provided access credentials"),
            Some(Class::Expired)
        );
        assert_eq!(
            authentication("You do not have permission to access the specified resource."),
            Some(Class::Denied)
        );
        assert_eq!(
            text("Primary IP address cannot be unassigned"),
            Some(Class::Invalid)
        );
    }
}
