//! Subnets: ranges, the five reserved addresses, which address or /28 is free, and which ENI has the others.
//! Must not: know slots or instances.

use crate::error::{Code, Error, not_found, value};
use crate::request::{Answer, Request, Tags};
use crate::vpc::Vpc;
use ipnetwork::{IpNetwork, Ipv4Network};
use model::block::Block;
use model::eni::SubnetRecord;
use model::id::{EniId, SubnetId, VpcId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// A subnet.
#[derive(Debug, Clone)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its range.
    pub cidr: Ipv4Network,
    /// Availability zone.
    pub zone: String,
    /// Tags.
    pub tags: Tags,
    taken: BTreeMap<Ipv4Addr, EniId>,
}

/// A subnet as DescribeSubnets shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetView {
    /// Its VPC.
    pub vpc: VpcId,
    /// Availability zone.
    pub zone: String,
    /// The rest.
    pub record: SubnetRecord,
}

/// Addresses that EC2 keeps for itself: the first four and the last.
const RESERVED: u32 = 5;

impl Subnet {
    /// `AvailableIpAddressCount`
    pub fn available(&self) -> u32 {
        self.cidr.size()
            - RESERVED
            - u32::try_from(self.taken.len()).expect("a subnet has at most 2^16 addresses")
    }

    /// The ENI that has this address, alone or in a prefix.
    pub fn owner(&self, address: Ipv4Addr) -> Option<&EniId> {
        self.taken.get(&address)
    }

    /// What DescribeSubnets shows.
    pub fn view(&self) -> SubnetView {
        let record = SubnetRecord {
            id: self.id.clone(),
            cidr: self.cidr,
            available: self.available(),
            tags: self.tags.clone(),
        };
        SubnetView {
            vpc: self.vpc.clone(),
            zone: self.zone.clone(),
            record,
        }
    }

    pub(crate) fn take(&mut self, address: Ipv4Addr, eni: &EniId) {
        self.taken.insert(address, eni.clone());
    }

    pub(crate) fn free(&mut self, address: Ipv4Addr) {
        self.taken.remove(&address);
    }

    /// Whether EC2 gives this address to nobody.
    pub(crate) fn is_reserved(&self, address: Ipv4Addr) -> bool {
        let offset = address.to_bits() - self.cidr.network().to_bits();
        offset < RESERVED - 1 || offset == self.cidr.size() - 1
    }

    /// Chooses single addresses as EC2 does: anywhere in the subnet. All or none.
    pub(crate) fn choose_addresses(
        &self,
        count: u32,
        avoid: Option<Ipv4Addr>,
        mut draw: impl FnMut() -> u64,
    ) -> Result<Vec<Ipv4Addr>, Error> {
        let usable = u64::from(self.cidr.size() - RESERVED);
        if self.available() < count + u32::from(avoid.is_some_and(|a| self.owner(a).is_none())) {
            return Err(Error::new(
                Code::InsufficientFreeAddresses,
                "The specified subnet does not have enough free addresses to satisfy the request.",
            ));
        }
        let first = self.cidr.network().to_bits() + RESERVED - 1;
        let mut chosen = BTreeSet::new();
        let mut order = Vec::new();
        for _ in 0..count {
            let start = draw() % usable;
            let free = (0..usable)
                .map(|step| {
                    let offset = u32::try_from((start + step) % usable).expect("below 2^16");
                    Ipv4Addr::from_bits(first + offset)
                })
                .find(|a| !self.taken.contains_key(a) && !chosen.contains(a) && avoid != Some(*a))
                .expect("as many are free as were counted");
            chosen.insert(free);
            order.push(free);
        }
        Ok(order)
    }

    /// Chooses /28 blocks of which all 16 addresses are free. All or none.
    pub(crate) fn choose_prefixes(
        &self,
        count: u32,
        avoid: Option<Ipv4Addr>,
        draw: u64,
    ) -> Result<Vec<Block>, Error> {
        let blocks = u64::from(self.cidr.size() / 16);
        let chosen: Vec<Block> = (0..blocks)
            .map(|step| self.prefix_at((draw % blocks + step) % blocks))
            .filter(|block| self.is_free(*block, avoid))
            .take(count as usize)
            .collect();
        if chosen.len() < count as usize {
            return Err(Error::new(
                Code::InsufficientCidrBlocks,
                "The specified subnet does not have enough free cidr blocks to satisfy the request.",
            ));
        }
        Ok(chosen)
    }

    pub(crate) fn is_free(&self, block: Block, avoid: Option<Ipv4Addr>) -> bool {
        addresses_of(block).all(|a| {
            self.cidr.contains(a)
                && !self.is_reserved(a)
                && !self.taken.contains_key(&a)
                && avoid != Some(a)
        })
    }

    fn prefix_at(&self, number: u64) -> Block {
        let offset = u32::try_from(number * 16).expect("below 2^16");
        let base = Ipv4Addr::from_bits(self.cidr.network().to_bits() + offset);
        let network = Ipv4Network::new(base, 28).expect("28 is a prefix length");
        Block::try_from(IpNetwork::V4(network)).expect("aligned by construction")
    }
}

/// The IPv4 addresses of a block.
pub(crate) fn addresses_of(block: Block) -> impl Iterator<Item = Ipv4Addr> {
    block.addresses().filter_map(|address| match address {
        std::net::IpAddr::V4(v4) => Some(v4),
        std::net::IpAddr::V6(_) => None,
    })
}

impl Vpc {
    pub(crate) fn create_subnet(&mut self, request: Request) -> Result<Answer, Error> {
        let Request::CreateSubnet {
            vpc,
            cidr,
            zone,
            tags,
        } = request
        else {
            unreachable!("dispatched by variant")
        };
        let network = self
            .networks
            .get(&vpc)
            .ok_or_else(|| not_found(Code::VpcNotFound, "vpc ID", &vpc))?;
        let inside = |range: &Ipv4Network| {
            range.contains(cidr.network()) && range.contains(cidr.broadcast())
        };
        if !(16..=28).contains(&cidr.prefix()) || !network.cidrs.iter().any(inside) {
            return Err(Error::new(
                Code::SubnetRange,
                format!("The CIDR '{cidr}' is invalid."),
            ));
        }
        if zone.is_empty() {
            return Err(value("Value () for parameter availabilityZone is invalid."));
        }
        if self
            .subnets
            .values()
            .any(|other| other.vpc == vpc && other.cidr.overlaps(cidr))
        {
            return Err(Error::new(
                Code::SubnetConflict,
                format!("The CIDR '{cidr}' conflicts with another subnet"),
            ));
        }
        let id: SubnetId = self.fresh("subnet-");
        let cidr =
            Ipv4Network::new(cidr.network(), cidr.prefix()).expect("the prefix length was valid");
        let subnet = Subnet {
            id: id.clone(),
            vpc,
            cidr,
            zone,
            tags,
            taken: BTreeMap::new(),
        };
        let view = subnet.view();
        self.subnets.insert(id, subnet);
        Ok(Answer::Subnet(view))
    }

    /// The subnet of a VPC that contains an address.
    pub(crate) fn subnet_of(&self, vpc: &VpcId, address: Ipv4Addr) -> Option<&Subnet> {
        self.subnets
            .values()
            .find(|subnet| subnet.vpc == *vpc && subnet.cidr.contains(address))
    }
}
