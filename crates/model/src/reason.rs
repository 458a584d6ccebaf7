//! Why an ADD failed, exactly. Must not: know CNI codes or gRPC statuses (`rpc::reason` and the plugin map it).

use crate::call::Action;
use crate::id::{EniId, SubnetId};

/// Why an ADD was refused: the object, its limit, its value and what happens next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Every slot of every ENI the node can have is held by a pod.
    #[error(
        "node limit {limit}: {held} addresses are held by pods and {cooling} are cooling; delete pods or use a larger instance type"
    )]
    NodeLimit {
        /// ENIs × addresses that the instance type (and MAX_ENI) allow for pods.
        limit: u32,
        /// Addresses held by pods.
        held: u32,
        /// Addresses released less than IP_COOLDOWN_PERIOD ago.
        cooling: u32,
    },
    /// Addresses are cooling, but none of those left can be had before the deadline.
    #[error(
        "no address before the deadline: {held} of {limit} are held by pods and {cooling} cool for longer than this request waits; the first is free in {first_secs} s"
    )]
    Cooling {
        /// ENIs × addresses that the instance type (and MAX_ENI) allow for pods.
        limit: u32,
        /// Addresses held by pods.
        held: u32,
        /// Addresses whose cooldown ends after the deadline.
        cooling: u32,
        /// Seconds until the first of them can be given out.
        first_secs: u64,
    },
    /// EC2 attaches no more ENIs to the instance, though its type should allow it.
    #[error(
        "ENI limit of the instance: beside the {enis} ENIs it has EC2 refuses {action}: {text}; next attempt in {retry_secs} s",
        action = .action.name()
    )]
    EniLimit {
        /// ENIs it has.
        enis: u32,
        /// What EC2 refused.
        action: Action,
        /// EC2's code and text.
        text: String,
        /// Seconds until EC2 is asked again.
        retry_secs: u64,
    },
    /// EC2 gives an ENI no more addresses, though the instance type should allow it.
    #[error(
        "address limit of {eni}: beside the {addresses} secondary addresses it has EC2 assigns no more: {text}; next attempt in {retry_secs} s"
    )]
    AddressLimit {
        /// The ENI.
        eni: EniId,
        /// Secondary addresses it has.
        addresses: u32,
        /// EC2's code and text.
        text: String,
        /// Seconds until EC2 is asked again.
        retry_secs: u64,
    },
    /// The node may not ask EC2 for more (`DISABLE_NETWORK_RESOURCE_PROVISIONING`).
    #[error(
        "node limit {total}: EC2 is not asked for more addresses (DISABLE_NETWORK_RESOURCE_PROVISIONING); {held} are held by pods and {cooling} are cooling"
    )]
    ProvisioningOff {
        /// Addresses the node has.
        total: u32,
        /// Addresses held by pods.
        held: u32,
        /// Addresses released less than IP_COOLDOWN_PERIOD ago.
        cooling: u32,
    },
    /// The deadline passed while addresses were still being fetched.
    #[error("no address became free within {waited_secs} s; {pending}")]
    Deadline {
        /// How long the request waited, in seconds.
        waited_secs: u64,
        /// What was still going on and when it is tried again.
        pending: String,
    },
    /// A subnet has no free address.
    #[error("subnet {subnet} has no free address; next attempt in {retry_secs} s")]
    SubnetFull {
        /// The subnet.
        subnet: SubnetId,
        /// Seconds until EC2 is asked again.
        retry_secs: u64,
    },
    /// EC2 throttles us.
    #[error("EC2 throttles {action}; next attempt in {retry_secs} s", action = .action.name())]
    Throttled {
        /// Which action.
        action: Action,
        /// Seconds until EC2 is asked again.
        retry_secs: u64,
    },
    /// IAM denies an action.
    #[error("IAM denies ec2:{action} to this node; next attempt in {retry_secs} s", action = .action.name())]
    Denied {
        /// Which action.
        action: Action,
        /// Seconds until EC2 is asked again.
        retry_secs: u64,
    },
    /// EC2 refused for another reason.
    #[error("EC2 refuses {action}: {text}; next attempt in {retry_secs} s", action = .action.name())]
    Refused {
        /// Which action.
        action: Action,
        /// EC2's code and text.
        text: String,
        /// Seconds until EC2 is asked again.
        retry_secs: u64,
    },
    /// EC2 did not answer.
    #[error("EC2 does not answer {action}: {text}; next attempt in {retry_secs} s", action = .action.name())]
    Unreachable {
        /// Which action.
        action: Action,
        /// What was seen.
        text: String,
        /// Seconds until EC2 is asked again.
        retry_secs: u64,
    },
    /// An ENI was on its way but did not become usable in time.
    #[error("{eni} is on its way and cannot be used yet: {pending}")]
    Attaching {
        /// The ENI.
        eni: EniId,
        /// Which step has not ended, and what ends it.
        pending: String,
    },
    /// The daemon has not finished starting.
    #[error("the node daemon is starting: waiting for {what}")]
    NotReady {
        /// What is being waited for.
        what: String,
    },
    /// The checkpoint could not be written, so the address would be forgotten.
    #[error("checkpoint cannot be written: {text}; it is retried and the address stays free")]
    CheckpointNotWritable {
        /// The operating system's error with the path.
        text: String,
    },
    /// The intent of an EC2 call could not be written, so the call was not made.
    #[error("EC2 is not asked for addresses: the intent cannot be written: {text}; it is retried")]
    JournalNotWritable {
        /// The operating system's error with the path.
        text: String,
    },
    /// A DEL of the same key came in.
    #[error("deleted while waiting for an address")]
    Deleted,
    /// A newer sandbox of the same pod asked.
    #[error("superseded by sandbox {container}")]
    Superseded {
        /// The newer sandbox.
        container: String,
    },
    /// Too many requests wait already.
    #[error("{waiting} requests wait already, the limit; retry")]
    Busy {
        /// How many.
        waiting: u32,
    },
    /// The daemon is going down.
    #[error("the node daemon is stopping; retry")]
    Stopping,
}

impl Reason {
    /// Whether a later ADD may succeed without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NodeLimit { .. }
            | Self::ProvisioningOff { .. }
            | Self::EniLimit { .. }
            | Self::AddressLimit { .. }
            | Self::Denied { .. }
            | Self::Deleted
            | Self::Superseded { .. } => false,
            Self::Cooling { .. }
            | Self::Deadline { .. }
            | Self::SubnetFull { .. }
            | Self::Throttled { .. }
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::Attaching { .. }
            | Self::NotReady { .. }
            | Self::CheckpointNotWritable { .. }
            | Self::JournalNotWritable { .. }
            | Self::Busy { .. }
            | Self::Stopping => true,
        }
    }
}
