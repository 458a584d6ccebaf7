//! Who holds which address and which addresses cool: the content of the checkpoint. Must not: know its file format.

use crate::pod::{PodKey, PodName};
use crate::time::{Instant, WallTime};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// One address held by one pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// The attachment that holds it.
    pub key: PodKey,
    /// The pod's name, possibly unnamed.
    pub pod: PodName,
    /// The address.
    pub address: Ipv4Addr,
    /// When it was given.
    pub since: WallTime,
    /// Number of interfaces of the pod; 1 but for multi-NIC pods.
    pub interfaces: u32,
}

/// An address that was released and may not be given to another pod yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cooling {
    /// The address.
    pub address: Ipv4Addr,
    /// End of the cooldown on the boot clock of [`Extension::boot_id`].
    pub until: Instant,
}

/// Identifies one boot of the node's kernel (`/proc/sys/kernel/random/boot_id`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BootId(pub String);

/// Everything the checkpoint file of one network card says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkpoint {
    /// Addresses that are held.
    pub allocations: Vec<Allocation>,
    /// What only our files carry; `None`: the file was written by upstream, so its entries are judged by their links.
    pub extension: Option<Extension>,
}

/// The part of the checkpoint that upstream ignores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Boot that wrote the file: after another boot its allocations are void and its instants mean nothing.
    pub boot_id: BootId,
    /// Addresses in cooldown.
    pub cooling: Vec<Cooling>,
}
