//! EC2's error codes with their HTTP status, and the texts that a code alone cannot replace.
//! Must not: say what an error means to us (`model::error::classify` does).
//!
//! Table: peers-and-ec2.md §10.3.

/// A refusal or failure as EC2 words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct Error {
    /// The code.
    pub code: Code,
    /// EC2's text for people; sometimes the only thing that tells two meanings of a code apart.
    pub message: String,
}

impl Error {
    /// A code with its text.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The HTTP status it travels with.
    pub fn status(&self) -> u16 {
        self.code.status()
    }
}

macro_rules! codes {
    ($($variant:ident = $name:literal $status:literal,)*) => {
        /// The codes this account can answer with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = concat!("`", $name, "`, HTTP ", stringify!($status))] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The text on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status it travels with.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

codes! {
    AttachmentLimitExceeded = "AttachmentLimitExceeded" 400,
    AttachmentNotFound = "InvalidAttachmentID.NotFound" 400,
    AuthFailure = "AuthFailure" 401,
    ConcurrentTagAccess = "ConcurrentTagAccess" 400,
    DryRunOperation = "DryRunOperation" 412,
    FilterLimitExceeded = "FilterLimitExceeded" 400,
    GroupDuplicate = "InvalidGroup.Duplicate" 400,
    GroupNotFound = "InvalidGroup.NotFound" 400,
    IdempotentParameterMismatch = "IdempotentParameterMismatch" 400,
    IncorrectState = "IncorrectState" 400,
    InstanceNotFound = "InvalidInstanceID.NotFound" 400,
    InsufficientCidrBlocks = "InsufficientCidrBlocks" 400,
    InsufficientFreeAddresses = "InsufficientFreeAddressesInSubnet" 400,
    InterfaceAddressLimit = "InvalidInterface.IpAddressLimitExceeded" 400,
    InterfaceInUse = "InvalidNetworkInterface.InUse" 400,
    InterfaceLimitExceeded = "NetworkInterfaceLimitExceeded" 400,
    InterfaceMalformed = "InvalidNetworkInterfaceId.Malformed" 400,
    InterfaceNotFound = "InvalidNetworkInterfaceID.NotFound" 400,
    InternalError = "InternalError" 500,
    InvalidAction = "InvalidAction" 400,
    InvalidId = "InvalidID" 400,
    InvalidInstanceType = "InvalidInstanceType" 400,
    InvalidNextToken = "InvalidNextToken" 400,
    InvalidParameter = "InvalidParameter" 400,
    InvalidParameterCombination = "InvalidParameterCombination" 400,
    InvalidParameterValue = "InvalidParameterValue" 400,
    IpAddressInUse = "InvalidIPAddress.InUse" 400,
    MissingParameter = "MissingParameter" 400,
    OperationNotPermitted = "OperationNotPermitted" 400,
    PermissionDuplicate = "InvalidPermission.Duplicate" 400,
    PermissionNotFound = "InvalidPermission.NotFound" 400,
    PrivateIpAddressLimitExceeded = "PrivateIpAddressLimitExceeded" 400,
    RequestExpired = "RequestExpired" 400,
    RequestLimitExceeded = "RequestLimitExceeded" 503,
    ResourceAlreadyAssigned = "Resource.AlreadyAssigned" 400,
    SecurityGroupsPerInterfaceLimitExceeded = "SecurityGroupsPerInterfaceLimitExceeded" 400,
    ServiceUnavailable = "ServiceUnavailable" 503,
    SubnetConflict = "InvalidSubnet.Conflict" 400,
    SubnetNotFound = "InvalidSubnetID.NotFound" 400,
    SubnetRange = "InvalidSubnet.Range" 400,
    TagLimitExceeded = "TagLimitExceeded" 400,
    UnauthorizedOperation = "UnauthorizedOperation" 403,
    UnknownParameter = "UnknownParameter" 400,
    Unavailable = "Unavailable" 503,
    VpcNotFound = "InvalidVpcID.NotFound" 400,
    VpcRange = "InvalidVpc.Range" 400,
}

pub(crate) fn not_found(code: Code, kind: &str, id: impl std::fmt::Display) -> Error {
    Error::new(code, format!("The {kind} '{id}' does not exist"))
}

pub(crate) fn value(message: impl Into<String>) -> Error {
    Error::new(Code::InvalidParameterValue, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::error::{CallError, Class, classify};

    #[test]
    fn what_a_node_reacts_to_is_understood_by_the_classifier() {
        for (code, want) in [
            (Code::RequestLimitExceeded, Some(Class::Throttled)),
            (Code::InsufficientCidrBlocks, Some(Class::SubnetFragmented)),
            (Code::InsufficientFreeAddresses, Some(Class::SubnetFull)),
            (
                Code::PrivateIpAddressLimitExceeded,
                Some(Class::AddressLimit),
            ),
            (Code::InterfaceAddressLimit, Some(Class::AddressesAboveType)),
            (Code::AttachmentLimitExceeded, Some(Class::EniLimit)),
            (Code::InterfaceLimitExceeded, Some(Class::Quota)),
            (Code::InterfaceNotFound, Some(Class::NotFound)),
            (Code::AttachmentNotFound, Some(Class::NotFound)),
            (Code::InterfaceInUse, Some(Class::InUse)),
            (Code::SubnetNotFound, Some(Class::ConfigurationMissing)),
            (Code::GroupNotFound, Some(Class::ConfigurationMissing)),
            (Code::UnauthorizedOperation, Some(Class::Denied)),
            (
                Code::IdempotentParameterMismatch,
                Some(Class::TokenMismatch),
            ),
            (Code::OperationNotPermitted, Some(Class::Invalid)),
            (Code::InternalError, None),
            (Code::Unavailable, None),
        ] {
            let class = match classify(code.name(), "", code.status()) {
                CallError::Refused(refusal) => Some(refusal.class),
                CallError::Unknown(_) => None,
            };
            assert_eq!(class, want, "{}", code.name());
        }
    }
}
