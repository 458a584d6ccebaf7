//! What lies beyond a VPC: its Internet gateway, a peered VPC, a transit gateway to premises, a load balancer's
//! listeners; which addresses belong to which side and which of them a packet has on the other side.
//! Must not: follow flows (`carry` and `balancer` do), know security groups.
//!
//! An Internet gateway translates one address of an instance, one to one: the primary one of its primary ENI. All other
//! sides keep addresses as they are.

use crate::instance::InstanceState;
use crate::route::Drop;
use crate::vpc::Vpc;
use ipnetwork::Ipv4Network;
use model::id::{InstanceId, VpcId};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

/// The first public address that an instance gets; TEST-NET-1, so it is nobody's.
const FIRST_PUBLIC: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// A network that is not the VPC's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Everything that no other side has, behind the Internet gateway.
    Internet,
    /// A VPC behind a peering connection.
    Peer,
    /// Premises behind a transit gateway.
    Premises,
}

impl Side {
    /// Every side.
    pub const ALL: [Self; 3] = [Self::Internet, Self::Peer, Self::Premises];

    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Internet => "internet",
            Self::Peer => "peer",
            Self::Premises => "premises",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A private network that the VPC has a route to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its addresses.
    pub ranges: Vec<Ipv4Network>,
    /// The VPC's ranges that it has a route back to; all of them, those to come included, when `None`.
    pub knows: Option<Vec<Ipv4Network>>,
}

/// The surroundings of one VPC.
#[derive(Debug, Clone)]
pub struct Outside {
    vpc: VpcId,
    neighbours: BTreeMap<Side, Neighbour>,
    public: BTreeMap<InstanceId, Ipv4Addr>,
    listeners: BTreeMap<(u8, SocketAddrV4), Vec<SocketAddrV4>>,
}

impl Outside {
    /// A VPC with an Internet gateway and no other neighbour.
    pub fn of(vpc: VpcId) -> Self {
        Self {
            vpc,
            neighbours: BTreeMap::new(),
            public: BTreeMap::new(),
            listeners: BTreeMap::new(),
        }
    }

    /// A route to a side, both ways as far as the neighbour knows one.
    #[must_use]
    pub fn with(mut self, side: Side, neighbour: Neighbour) -> Self {
        self.neighbours.insert(side, neighbour);
        self
    }

    /// A listener of a load balancer on the Internet that keeps the client's address: what is sent to `address` goes to
    /// one of the targets, an instance's address with a node port or a pod's address alike.
    pub fn listen(&mut self, protocol: u8, address: SocketAddrV4, targets: Vec<SocketAddrV4>) {
        self.listeners.insert((protocol, address), targets);
    }

    pub(crate) fn targets(&self, protocol: u8, address: SocketAddrV4) -> Option<&[SocketAddrV4]> {
        self.listeners.get(&(protocol, address)).map(Vec::as_slice)
    }

    /// The side that an address outside the VPC belongs to.
    pub fn side_of(&self, address: Ipv4Addr) -> Side {
        let mut private = self.neighbours.iter();
        let found = private.find(|(_, it)| it.ranges.iter().any(|range| range.contains(address)));
        found.map_or(Side::Internet, |(side, _)| *side)
    }

    fn knows(&self, side: Side, address: Ipv4Addr) -> bool {
        let neighbour = self.neighbours.get(&side);
        neighbour.is_some_and(|it| match &it.knows {
            Some(ranges) => ranges.iter().any(|range| range.contains(address)),
            None => true,
        })
    }
}

impl Vpc {
    /// Gives a VPC its surroundings; one VPC of an account has some.
    pub fn surround(&mut self, outside: Outside) {
        self.outside = Some(outside);
    }

    /// The surroundings, to change them.
    pub fn outside_mut(&mut self) -> Option<&mut Outside> {
        self.outside.as_mut()
    }

    /// Gives an instance a public address; none without surroundings or when all 200 are taken.
    pub fn associate_address(&mut self, instance: &InstanceId) -> Option<Ipv4Addr> {
        let outside = self.outside.as_mut()?;
        let taken = u32::try_from(outside.public.len())
            .ok()
            .filter(|n| *n < 200)?;
        let next = Ipv4Addr::from_bits(FIRST_PUBLIC.to_bits() + taken);
        Some(*outside.public.entry(instance.clone()).or_insert(next))
    }

    /// The public address of an instance, if it has one.
    pub fn public_address(&self, instance: &InstanceId) -> Option<Ipv4Addr> {
        self.outside.as_ref()?.public.get(instance).copied()
    }

    /// The surroundings of a VPC, if they are its.
    pub(crate) fn outside_of(&self, vpc: &VpcId) -> Option<&Outside> {
        self.outside.as_ref().filter(|outside| outside.vpc == *vpc)
    }

    /// Whether the VPC itself has this address in one of its ranges.
    pub(crate) fn is_inside(&self, vpc: &VpcId, address: Ipv4Addr) -> bool {
        let network = self.networks.get(vpc);
        network.is_some_and(|it| it.cidrs.iter().any(|range| range.contains(address)))
    }

    /// The source address that a packet of an instance has on a side.
    pub(crate) fn source_on(
        &self,
        side: Side,
        (instance, src): (&InstanceId, Ipv4Addr),
    ) -> Result<Ipv4Addr, Drop> {
        if side != Side::Internet {
            return Ok(src);
        }
        let translated = self
            .instance(instance)
            .filter(|it| it.private_address == src);
        let outside = self.outside.as_ref();
        translated
            .and_then(|_| outside?.public.get(instance).copied())
            .ok_or(Drop::NoPublicAddress)
    }

    /// The address in the VPC that a packet to `dst` from a side is for.
    pub(crate) fn destination_from(
        &self,
        side: Side,
        outside: &Outside,
        dst: Ipv4Addr,
    ) -> Result<Ipv4Addr, Drop> {
        if side != Side::Internet {
            let routed = outside.knows(side, dst) && self.is_inside(&outside.vpc, dst);
            return routed.then_some(dst).ok_or(Drop::NoRouteBack);
        }
        let mut public = outside.public.iter();
        let owner = public.find(|(_, address)| **address == dst);
        owner
            .and_then(|(id, _)| self.instance(id))
            .filter(|instance| instance.state == InstanceState::Running)
            .map(|instance| instance.private_address)
            .ok_or(Drop::NoSuchDestination)
    }

    /// The surroundings when a packet from this source may come from this side.
    pub(crate) fn admit(&self, side: Side, src: Ipv4Addr) -> Result<&Outside, Drop> {
        let outside = self.outside.as_ref().ok_or(Drop::NoSuchDestination)?;
        let foreign = self.is_inside(&outside.vpc, src) || outside.side_of(src) != side;
        if foreign {
            Err(Drop::ForeignSource)
        } else {
            Ok(outside)
        }
    }

    /// The VPC that the surroundings are of.
    pub(crate) fn surrounded(outside: &Outside) -> &VpcId {
        &outside.vpc
    }
}
