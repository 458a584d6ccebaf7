//! A network interface as EC2 describes it, and the one function that turns such a record into addresses for pods.
//! Must not: decide what is managed.

use crate::block::Block;
use crate::card::{DeviceIndex, NetworkCard};
use crate::id::{AttachmentId, EniId, InstanceId, SecurityGroupId, SubnetId};
use crate::mac::Mac;
use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What kind of interface EC2 says it is (`InterfaceType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum EniKind {
    /// `interface` and everything we need not tell apart.
    #[default]
    Standard,
    /// `trunk`: carries branch ENIs, never filled or freed by us.
    Trunk,
    /// `efa`: has addresses, never freed by us.
    Efa,
    /// `efa-only`: has no addresses.
    EfaOnly,
}

/// Where an ENI stands between created and gone (`Status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EniStatus {
    /// Not attached to anything.
    Available,
    /// Being attached.
    Attaching,
    /// Attached.
    InUse,
    /// Being detached.
    Detaching,
}

/// An ENI's binding to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// `eni-attach-…`
    pub id: AttachmentId,
    /// The instance it is bound to.
    pub instance: InstanceId,
    /// Position on its card.
    pub index: DeviceIndex,
    /// Network card.
    pub card: NetworkCard,
    /// Whether EC2 deletes the ENI with the instance.
    pub delete_on_termination: bool,
}

/// One IPv4 address of an ENI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EniAddress {
    /// The address.
    pub address: Ipv4Addr,
    /// EC2's `Primary` flag: such an address is never a pod's.
    pub primary: bool,
}

/// An ENI as one EC2 answer describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EniRecord {
    /// `eni-…`
    pub id: EniId,
    /// Hardware address.
    pub mac: Mac,
    /// Subnet it lives in.
    pub subnet: SubnetId,
    /// Kind.
    pub kind: EniKind,
    /// Status.
    pub status: EniStatus,
    /// Description given at creation.
    pub description: String,
    /// IPv4 addresses in EC2's order, the primary among them.
    pub addresses: Vec<EniAddress>,
    /// Delegated IPv4 prefixes (/28).
    pub prefixes: Vec<Block>,
    /// Security groups.
    pub groups: Vec<SecurityGroupId>,
    /// Binding, if any.
    pub attachment: Option<Attachment>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl EniRecord {
    /// The primary address; `None` for an EFA-only ENI.
    pub fn primary(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find(|a| a.primary).map(|a| a.address)
    }

    /// The blocks pods may be given: every secondary address and every prefix, never the primary address.
    ///
    /// This is the only way from a record to addresses. EC2's answer to a repeated create lists the primary address
    /// that the first answer's caller had left out; whoever filters by hand hands it to a pod one day.
    pub fn pod_blocks(&self) -> impl Iterator<Item = Block> {
        let singles = self
            .addresses
            .iter()
            .filter(|a| !a.primary)
            .map(|a| Block::single(a.address));
        singles.chain(self.prefixes.iter().copied())
    }
}

/// A subnet as one EC2 answer describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetRecord {
    /// `subnet-…`
    pub id: SubnetId,
    /// IPv4 range.
    pub cidr: Ipv4Network,
    /// `AvailableIpAddressCount`.
    pub available: u32,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_address_is_never_a_pods() {
        let record = EniRecord {
            id: "eni-1".parse().expect("id"),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            subnet: "subnet-1".parse().expect("id"),
            kind: EniKind::Standard,
            status: EniStatus::InUse,
            description: String::new(),
            addresses: [(20, false), (10, true), (21, false)]
                .map(|(last, primary)| EniAddress {
                    address: Ipv4Addr::new(10, 0, 1, last),
                    primary,
                })
                .to_vec(),
            prefixes: vec![
                Block::try_from("10.0.1.32/28".parse::<ipnetwork::IpNetwork>().expect("net"))
                    .expect("block"),
            ],
            groups: vec![],
            attachment: None,
            tags: BTreeMap::new(),
        };
        let blocks: Vec<String> = record.pod_blocks().map(|b| b.to_string()).collect();
        assert_eq!(blocks, ["10.0.1.20/32", "10.0.1.21/32", "10.0.1.32/28"]);
        assert_eq!(record.primary(), Some(Ipv4Addr::new(10, 0, 1, 10)));
    }
}
