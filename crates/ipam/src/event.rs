//! What can happen to the node's machine. Must not: carry handles, futures or anything that is not a plain value.

use model::call::Reply;
use model::error::CallError;
use model::id::EniId;
use model::imds::InstanceMetadata;
use model::mac::Mac;
use model::pod::{PodKey, PodName};
use model::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Number of a request, given by the driver in order of arrival; never reused within a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Number of an operation in flight, given by the machine; never reused within a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpId(pub u64);

/// Something that happened. Every order of events is legal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A caller asks; it is answered by exactly one [`crate::effect::Effect::Reply`] unless abandoned.
    Request(RequestId, Request),
    /// The caller is gone: its handler was dropped before it took the answer. Too late is harmless.
    Abandoned(RequestId),
    /// An operation ended. Exactly one per operation, in any order; an unknown number is counted and dropped.
    Done(OpId, Outcome),
    /// What the host looks like after the desired state of this version was applied; older versions are ignored.
    HostState(u64, HostReport),
    /// The host's links, sent after start, after link events and at least every 30 s.
    Links(LinkView),
    /// `deadline()` has come. Superfluous ones are harmless.
    Timer,
    /// The process was told to stop: waiters are refused, nothing new is started.
    Shutdown,
}

/// What a caller wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// An address for an attachment.
    Add {
        /// The attachment.
        key: PodKey,
        /// The pod it is for.
        pod: PodName,
        /// When the answer is due at the latest.
        deadline: Instant,
    },
    /// The attachment is gone.
    Del {
        /// The attachment.
        key: PodKey,
        /// When the answer is due at the latest.
        deadline: Instant,
    },
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of a write: durable, or the operating system's error with the path.
    Written(Result<(), String>),
    /// Of an EC2 call.
    Called(Result<Reply, CallError>),
    /// Of an IMDS read: the metadata, or which path failed and how.
    Imds(Result<Box<InstanceMetadata>, String>),
    /// The runner was dropped, panicked or ran out of time: it may have happened, or may yet.
    Unknown,
}

/// The result of making the kernel equal to the desired state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostReport {
    /// ENIs whose link, table, routes and rules stand.
    pub ready: BTreeSet<EniId>,
    /// ENIs that are not ready and why (link not there yet, kernel error).
    pub failed: BTreeMap<EniId, String>,
}

/// The host's links as one dump showed them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkView {
    /// Hardware addresses of all links: an ENI without its link is not usable.
    pub macs: BTreeSet<Mac>,
    /// Names of all links.
    pub names: BTreeSet<String>,
    /// Addresses that a /32 route of the main table sends into a link, with the link's name.
    pub routed: BTreeMap<Ipv4Addr, String>,
    /// Addresses that rules of pods name.
    pub ruled: BTreeSet<Ipv4Addr>,
}
