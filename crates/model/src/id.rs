//! Identifiers that AWS hands out, one newtype each so that they cannot be swapped at a call site.
//! Must not: know anything about the things they name.
//!
//! The text is shared: ids are copied into every record, call and effect that names the thing.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A text that is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {kind}: {want}")]
pub struct InvalidId {
    kind: &'static str,
    text: String,
    want: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as AWS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if is_identifier(text, $prefix) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId {
                        kind: $kind,
                        text: text.chars().take(80).collect(),
                        want: concat!("\"", $prefix, "\" and then letters, digits or '-'"),
                    })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A network interface, `eni-…`.
    EniId, "a network interface id", "eni-"
);
id!(
    /// The binding of a network interface to an instance, `eni-attach-…`.
    AttachmentId, "an attachment id", "eni-attach-"
);
id!(
    /// A subnet, `subnet-…`.
    SubnetId, "a subnet id", "subnet-"
);
id!(
    /// A VPC, `vpc-…`.
    VpcId, "a VPC id", "vpc-"
);
id!(
    /// An instance, `i-…`.
    InstanceId, "an instance id", "i-"
);
id!(
    /// A security group, `sg-…`.
    SecurityGroupId, "a security group id", "sg-"
);
id!(
    /// The idempotency token of a create call: at most 64 ASCII characters for EC2; ours begin with `cni-`.
    ClientToken, "a client token", "cni-"
);

fn is_identifier(text: &str, prefix: &str) -> bool {
    text.len() <= 64
        && text.strip_prefix(prefix).is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_has_its_prefix_and_nothing_strange_in_it() {
        assert_eq!(
            "eni-0ab1".parse::<EniId>().expect("valid").as_str(),
            "eni-0ab1"
        );
        for bad in ["", "eni-", "i-0ab1", "eni-0a b", "eni-0a\n", "ENI-0ab1"] {
            assert!(bad.parse::<EniId>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_refused_identifier_is_named_and_cut() {
        let text = "x".repeat(500);
        let error = text.parse::<SubnetId>().expect_err("no prefix").to_string();
        assert!(error.contains("is not a subnet id"), "{error}");
        assert!(error.len() < 200, "{error}");
    }
}
