//! What the node's machine wants done. Must not: say how.

use crate::event::{OpId, RequestId};
use crate::notice::Notice;
use ipnetwork::Ipv4Network;
use model::allocation::Checkpoint;
use model::call::Call;
use model::card::RouteTable;
use model::id::EniId;
use model::intent::Intent;
use model::mac::Mac;
use model::reason::Reason;
use model::time::Duration;
use pool::inventory::Grant;
use std::net::Ipv4Addr;

/// Something to do. Effects of one `handle` may run in any order; what must come later is emitted later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Answer a request.
    Reply(RequestId, Answer),
    /// Make a file durable, atomically.
    Write(OpId, FileContent),
    /// Send an EC2 request; after `Duration` without an answer the outcome is unknown.
    Call(OpId, Call, Duration),
    /// Read the instance's metadata.
    ReadImds(OpId),
    /// Make the kernel equal to this; only the newest version counts.
    Host(u64, HostDesired),
    /// Tell people. Has no completion.
    Note(Notice),
}

/// The content of one of our files; the runner encodes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// `ipam.json`: who holds what and what cools.
    Checkpoint(Checkpoint),
    /// `intents.json`: announced mutations.
    Journal(Vec<Intent>),
}

/// Which of our files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    /// `ipam.json`
    Checkpoint,
    /// `intents.json`
    Journal,
}

impl FileContent {
    /// Which file this is for.
    pub fn file(&self) -> File {
        match self {
            Self::Checkpoint(_) => File::Checkpoint,
            Self::Journal(_) => File::Journal,
        }
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To an ADD: the address is durably the key's.
    Added(Grant),
    /// To a DEL: the key durably holds nothing any more; this is what it held.
    Deleted(Grant),
    /// To a DEL: the key held nothing.
    UnknownPod,
    /// To an ADD, or to any request when stopping.
    Refused(Reason),
}

/// What the kernel should look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDesired {
    /// The primary ENI's hardware address: its link gets the MTU and loose reverse-path filtering.
    pub primary: Mac,
    /// Its primary address, which is the node's own: what pods' flows out of the VPC are translated to.
    pub address: Ipv4Addr,
    /// Every range of the VPC, ascending: what pods reach with their own addresses.
    pub vpc: Vec<Ipv4Network>,
    /// Every other ENI that pods use or will use.
    pub enis: Vec<HostEni>,
    /// Primary addresses of ENIs that are gone: rules that name them are removed.
    pub gone: Vec<Ipv4Addr>,
    /// Addresses that nobody holds though rules of pods name them: those rules are removed.
    pub leftovers: Vec<Ipv4Addr>,
}

/// One secondary ENI in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEni {
    /// Which ENI.
    pub id: EniId,
    /// Its link is found by this.
    pub mac: Mac,
    /// Its own address.
    pub address: Ipv4Addr,
    /// Its subnet: prefix length of the address and the gateway (network address + 1).
    pub subnet: Ipv4Network,
    /// Its routing table.
    pub table: RouteTable,
}
