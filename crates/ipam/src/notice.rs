//! What people should be told: a closed set, so that logs and metrics have fixed names. Must not: format log lines.

use ipnetwork::Ipv4Network;
use model::call::{Action, Call};
use model::id::EniId;
use model::pod::{PodKey, PodName};
use model::reason::Reason;
use model::time::Duration;
use std::net::Ipv4Addr;

/// One thing worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Start-up waits for something; repeated with each attempt.
    Waiting {
        /// What: an IMDS path, an EC2 action, the link of an ENI.
        what: String,
        /// When it is tried again.
        retry: Duration,
    },
    /// Start-up has finished: ADDs are answered.
    Serving {
        /// ENIs known.
        enis: usize,
        /// Allocations taken over from the checkpoint.
        restored: usize,
    },
    /// EC2 will not say what the instance's type allows: the least is assumed, and EC2 is asked again.
    LimitsAssumed {
        /// The type.
        instance_type: String,
        /// ENIs.
        enis: u32,
        /// Addresses for pods on each ENI.
        slots: u32,
        /// EC2's refusal.
        error: String,
    },
    /// EC2 now says what the instance's type allows.
    LimitsKnown {
        /// The type.
        instance_type: String,
        /// ENIs.
        enis: u32,
        /// Addresses for pods on each ENI.
        slots: u32,
    },
    /// An ADD was answered.
    Added {
        /// Who.
        key: PodKey,
        /// Which pod.
        pod: PodName,
        /// What.
        address: Ipv4Addr,
        /// From which ENI.
        eni: Option<EniId>,
        /// How long it waited.
        waited: Duration,
    },
    /// An ADD waits for long; told once of each.
    StillWaiting {
        /// Who.
        key: PodKey,
        /// Which pod.
        pod: PodName,
        /// How long so far.
        waited: Duration,
        /// Why it has no address yet.
        reason: Reason,
    },
    /// The caller of an ADD is gone before it had its answer.
    Abandoned {
        /// Who.
        key: PodKey,
        /// Which pod.
        pod: PodName,
        /// How long it had waited.
        waited: Duration,
        /// How many wait now.
        waiters: u32,
    },
    /// An ADD was refused.
    Refused {
        /// Who.
        key: PodKey,
        /// Which pod.
        pod: PodName,
        /// Why.
        reason: Reason,
    },
    /// A DEL released an address.
    Deleted {
        /// Who.
        key: PodKey,
        /// What.
        address: Ipv4Addr,
    },
    /// An EC2 call ended.
    Called {
        /// Which.
        call: Call,
        /// `None`: done.
        error: Option<String>,
        /// When the action may be tried again, after an error.
        retry: Option<Duration>,
    },
    /// An ENI can be used for pods.
    EniUsable {
        /// Which.
        eni: EniId,
    },
    /// An ENI has left the node.
    EniGone {
        /// Which.
        eni: EniId,
        /// True when we took it away, false when somebody else did.
        by_us: bool,
    },
    /// An ENI of ours is attached but the kernel is not ready for it.
    EniNotReady {
        /// Which.
        eni: EniId,
        /// Why.
        why: String,
    },
    /// A pod holds an address that EC2 no longer routes to this node.
    AddressLost {
        /// Who.
        key: PodKey,
        /// What.
        address: Ipv4Addr,
    },
    /// An allocation was released because its pod's link is gone and no DEL came.
    Swept {
        /// Who.
        key: PodKey,
        /// Which pod.
        pod: PodName,
        /// What.
        address: Ipv4Addr,
    },
    /// A restored entry was not taken over.
    Dropped {
        /// Who.
        key: PodKey,
        /// What.
        address: Ipv4Addr,
        /// Why.
        why: &'static str,
    },
    /// An address is routed to a link though nobody is known to hold it: given to nobody until the link is gone.
    HeldByLink {
        /// What.
        address: Ipv4Addr,
        /// The link.
        link: String,
    },
    /// A file could not be written; it is retried.
    WriteFailed {
        /// The operating system's error with the path.
        error: String,
        /// When it is retried.
        retry: Duration,
    },
    /// The VPC has other ranges than before: these.
    RangesChanged(Vec<Ipv4Network>),
    /// The VPC's ranges could not be read again, and why; the known ones stay.
    RangesUnread(String),
    /// A completion for an operation that is not in flight was dropped.
    UnknownCompletion,
    /// An action is not tried for a while.
    BackingOff {
        /// Which.
        action: Action,
        /// For how long.
        retry: Duration,
    },
}
