//! Packets inside a VPC: which ENI one is delivered to, or why it is dropped; and which devices a guest has.
//! Must not: move bytes, know what lies beyond the VPC (`outside` does).

use crate::eni::Interface;
use crate::history::View;
use crate::outside::Side;
use crate::vpc::Vpc;
use ipnetwork::Ipv4Network;
use model::card::{DeviceIndex, NetworkCard};
use model::id::{EniId, InstanceId, VpcId};
use model::mac::Mac;
use model::time::Instant;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Protocol and both ends of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ends {
    /// IP protocol number.
    pub protocol: u8,
    /// Source; the port is 0 where there is none, the identifier of an ICMP echo.
    pub src: SocketAddrV4,
    /// Destination, likewise.
    pub dst: SocketAddrV4,
}

/// Who sends or receives a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// An ENI of the VPC.
    Eni(EniId),
    /// A network beyond it.
    Side(Side),
}

/// What the VPC looks at in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port of TCP and UDP.
    pub dst_port: Option<u16>,
    /// Part of a flow that was let through before, in either direction: groups are stateful.
    pub established: bool,
}

/// Where a packet goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The ENI that has the destination address.
    pub eni: EniId,
    /// The instance it is attached to.
    pub instance: InstanceId,
}

/// Why a packet goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Drop {
    /// The sending ENI is not attached (any more).
    #[error("the sending ENI is not attached")]
    NotAttached,
    /// The source check: the address is not the sending ENI's.
    #[error("the source address is not assigned to the sending ENI")]
    SourceNotAssigned,
    /// No attached ENI of the VPC has the destination address.
    #[error("no attached ENI has the destination address")]
    NoSuchDestination,
    /// The receiving ENI's security groups don't let it in.
    #[error("the receiving ENI's security groups don't allow it")]
    DeniedByGroup,
    /// The Internet gateway translates an instance's primary address and no other.
    #[error("Internet gateway: the source has no public address")]
    NoPublicAddress,
    /// The network that sent it has no route to the destination, which may be an answer's.
    #[error("the sending network has no route to the destination")]
    NoRouteBack,
    /// It came from a side that doesn't have its source address.
    #[error("the source address is not the sending network's")]
    ForeignSource,
    /// An answer to a load balancer's client left by another ENI than the request came in by.
    #[error("load balancer: the reply left by another ENI than the request came in by")]
    AnotherEni,
    /// An answer to a load balancer's client comes from another address than the one that was asked.
    #[error("load balancer: the reply's source is not what the request was sent to")]
    AnotherSource,
}

/// A device that a guest sees.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestLink {
    /// The ENI.
    pub eni: EniId,
    /// Hardware address.
    pub mac: Mac,
    /// Position on the card.
    pub index: DeviceIndex,
    /// Network card.
    pub card: NetworkCard,
    /// Primary address; none for an EFA-only ENI.
    pub primary: Option<Ipv4Addr>,
    /// Range of the ENI's subnet.
    pub subnet_cidr: Ipv4Network,
}

impl Vpc {
    /// What happens to a packet that leaves an instance through an ENI.
    pub fn route(&self, from: &EniId, packet: &Packet) -> Result<Delivery, Drop> {
        let sender = self
            .interface(from)
            .filter(|eni| carries(eni))
            .ok_or(Drop::NotAttached)?;
        sender.check_source(packet.src)?;
        self.deliver(&sender.vpc, Some(sender), packet)
    }

    /// Finds the receiver in a VPC and asks its groups; `sender` is an ENI, or none for what came from beyond the VPC.
    pub(crate) fn deliver(
        &self,
        vpc: &VpcId,
        sender: Option<&Interface>,
        packet: &Packet,
    ) -> Result<Delivery, Drop> {
        let owner = self
            .subnet_of(vpc, packet.dst)
            .and_then(|subnet| subnet.owner(packet.dst));
        let receiver = owner
            .and_then(|eni| self.interface(eni))
            .filter(|eni| carries(eni))
            .ok_or(Drop::NoSuchDestination)?;
        if !packet.established && !self.lets_in(receiver, sender, packet) {
            return Err(Drop::DeniedByGroup);
        }
        let instance = receiver
            .attachment
            .as_ref()
            .expect("carries() asked for it")
            .instance
            .clone();
        Ok(Delivery {
            eni: receiver.id.clone(),
            instance,
        })
    }

    fn lets_in(&self, receiver: &Interface, sender: Option<&Interface>, packet: &Packet) -> bool {
        let groups = receiver.groups.iter().filter_map(|id| self.groups.get(id));
        groups
            .flat_map(|group| &group.ingress)
            .any(|rule| rule.allows(sender, packet))
    }

    /// The devices that a guest sees now, by card and index.
    pub fn links(&self, now: Instant, instance: &InstanceId) -> Vec<GuestLink> {
        let seen = self
            .enis
            .values()
            .filter_map(|history| history.seen(View::Link, now));
        let mut links: Vec<GuestLink> = seen
            .filter(|eni| carries(eni))
            .filter_map(|eni| {
                let bound = eni
                    .attachment
                    .as_ref()
                    .filter(|bound| bound.instance == *instance)?;
                Some(GuestLink {
                    eni: eni.id.clone(),
                    mac: eni.mac,
                    index: bound.index,
                    card: bound.card,
                    primary: eni.primary(),
                    subnet_cidr: self.subnets[&eni.subnet].cidr,
                })
            })
            .collect();
        links.sort_by_key(|link| (link.card, link.index));
        links
    }
}

impl Interface {
    /// EC2's source check.
    pub(crate) fn check_source(&self, src: Ipv4Addr) -> Result<(), Drop> {
        if self.source_dest_check && !self.has(src) {
            return Err(Drop::SourceNotAssigned);
        }
        Ok(())
    }
}

/// Bound, and not being unbound: the guest loses the device when a detach begins.
pub(crate) fn carries(eni: &Interface) -> bool {
    eni.attachment
        .as_ref()
        .is_some_and(|bound| bound.detached_at.is_none())
}
