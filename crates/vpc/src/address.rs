//! Addresses and prefixes of ENIs: choosing, assigning, unassigning. Must not: create or attach ENIs.

use crate::error::{Code, Error, not_found, value};
use crate::hash::mix;
use crate::request::{Answer, Wanted};
use crate::subnet::addresses_of;
use crate::vpc::Vpc;
use model::block::Block;
use model::eni::{EniAddress, EniKind};
use model::id::{EniId, SubnetId};
use model::time::Instant;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

impl Vpc {
    /// AssignPrivateIpAddresses: all or none.
    pub(crate) fn assign(
        &mut self,
        now: Instant,
        eni: &EniId,
        wanted: Wanted,
        move_taken: bool,
    ) -> Result<Answer, Error> {
        let interface = self.interface_or_refuse(eni)?.clone();
        if interface.kind == EniKind::EfaOnly {
            return Err(value(
                "An EFA-only network interface cannot have IP addresses.",
            ));
        }
        let (wanted, moved) = match wanted {
            // An address that is already this ENI's needs no slot.
            Wanted::Addresses(addresses) => {
                let new: Vec<_> = addresses
                    .into_iter()
                    .filter(|a| !interface.has(*a))
                    .collect();
                let moved = if move_taken {
                    self.movable(&interface.subnet, &new)?
                } else {
                    vec![]
                };
                (
                    Wanted::Addresses(new.into_iter().filter(|a| !moved.contains(a)).collect()),
                    moved,
                )
            }
            Wanted::Count(_) | Wanted::PrefixCount(_) | Wanted::Prefixes(_) => (wanted, vec![]),
        };
        self.check_slots(eni, wanted.slots() + moved.len())?;
        let (mut addresses, prefixes) = self.choose(&interface.subnet, &wanted, None)?;
        for address in &moved {
            self.strip(now, &interface.subnet, *address);
        }
        addresses.extend(moved);
        self.take_all(&interface.subnet, eni, &addresses, &prefixes);
        self.change(now, eni, |interface| {
            interface
                .addresses
                .extend(addresses.iter().map(|address| EniAddress {
                    address: *address,
                    primary: false,
                }));
            interface.prefixes.extend(prefixes.iter().copied());
        });
        Ok(Answer::Assigned {
            eni: eni.clone(),
            addresses,
            prefixes,
        })
    }

    /// UnassignPrivateIpAddresses: all or none.
    pub(crate) fn unassign(
        &mut self,
        now: Instant,
        eni: &EniId,
        addresses: &[Ipv4Addr],
        prefixes: &[Block],
    ) -> Result<Answer, Error> {
        let interface = self.interface_or_refuse(eni)?;
        if addresses.is_empty() && prefixes.is_empty() {
            return Err(Error::new(
                Code::MissingParameter,
                "Either private IP addresses or prefixes must be given.",
            ));
        }
        if addresses.iter().any(|a| interface.primary() == Some(*a)) {
            return Err(value("Primary IP address cannot be unassigned"));
        }
        let single = |a: &Ipv4Addr| interface.addresses.iter().any(|own| own.address == *a);
        if !addresses.iter().all(single) || !prefixes.iter().all(|p| interface.prefixes.contains(p))
        {
            return Err(value(format!(
                "Some of the specified addresses are not assigned to interface {eni}"
            )));
        }
        let subnet = self
            .subnets
            .get_mut(&interface.subnet.clone())
            .expect("an ENI's subnet exists");
        addresses.iter().for_each(|a| subnet.free(*a));
        prefixes
            .iter()
            .flat_map(|p| addresses_of(*p))
            .for_each(|a| subnet.free(a));
        self.change(now, eni, |interface| {
            interface
                .addresses
                .retain(|own| !addresses.contains(&own.address));
            interface.prefixes.retain(|own| !prefixes.contains(own));
        });
        Ok(Answer::Done)
    }

    /// Chooses what a request wants from a subnet, takes nothing. `avoid` is spoken for by the same request.
    pub(crate) fn choose(
        &mut self,
        subnet: &SubnetId,
        wanted: &Wanted,
        avoid: Option<Ipv4Addr>,
    ) -> Result<(Vec<Ipv4Addr>, Vec<Block>), Error> {
        self.draws += 1;
        let (seed, number) = (self.seed, self.draws);
        let mut step = 0;
        let mut draw = || {
            step += 1;
            mix(seed, &[0xadd, number, step])
        };
        let found = self.subnets.get(subnet).expect("the caller looked it up");
        match wanted {
            Wanted::Count(count) => Ok((found.choose_addresses(*count, avoid, draw)?, vec![])),
            Wanted::PrefixCount(count) => {
                Ok((vec![], found.choose_prefixes(*count, avoid, draw())?))
            }
            Wanted::Addresses(addresses) => {
                if addresses.iter().collect::<BTreeSet<_>>().len() < addresses.len()
                    || addresses.iter().any(|a| avoid == Some(*a))
                {
                    return Err(value("An address was given twice."));
                }
                let check =
                    |a: &Ipv4Addr| self.check_explicit(subnet, *a, Code::ResourceAlreadyAssigned);
                Ok((
                    addresses.iter().map(check).collect::<Result<_, _>>()?,
                    vec![],
                ))
            }
            Wanted::Prefixes(prefixes) => match prefixes
                .iter()
                .find(|p| !p.is_prefix() || !found.is_free(**p, avoid))
            {
                Some(taken) => Err(Error::new(
                    Code::InsufficientCidrBlocks,
                    format!("The prefix {taken} is not free."),
                )),
                None => Ok((vec![], prefixes.clone())),
            },
        }
    }

    /// An address somebody names must lie in the subnet, not be reserved, and be free.
    pub(crate) fn check_explicit(
        &self,
        subnet: &SubnetId,
        address: Ipv4Addr,
        taken: Code,
    ) -> Result<Ipv4Addr, Error> {
        let found = self
            .subnets
            .get(subnet)
            .ok_or_else(|| not_found(Code::SubnetNotFound, "subnet ID", subnet))?;
        if !found.cidr.contains(address) {
            return Err(value(
                "Address does not fall within the subnet's address range",
            ));
        }
        if found.is_reserved(address) {
            return Err(value("Address is in subnet's reserved address range"));
        }
        match found.owner(address) {
            Some(_) if taken == Code::ResourceAlreadyAssigned => Err(Error::new(
                taken,
                format!("[{address}] is already assigned, but move is not allowed."),
            )),
            Some(_) => Err(Error::new(taken, format!("Address {address} is in use."))),
            None => Ok(address),
        }
    }

    /// Those of the addresses that other ENIs hold as secondary ones.
    fn movable(&self, subnet: &SubnetId, addresses: &[Ipv4Addr]) -> Result<Vec<Ipv4Addr>, Error> {
        let found = &self.subnets[subnet];
        let mut moved = Vec::new();
        for address in addresses {
            let Some(holder) = found.owner(*address).and_then(|eni| self.interface(eni)) else {
                continue;
            };
            let secondary = holder
                .addresses
                .iter()
                .any(|own| own.address == *address && !own.primary);
            if !secondary {
                return Err(Error::new(
                    Code::IpAddressInUse,
                    format!("Address {address} is in use."),
                ));
            }
            moved.push(*address);
        }
        Ok(moved)
    }

    fn strip(&mut self, now: Instant, subnet: &SubnetId, address: Ipv4Addr) {
        let holder = self.subnets[subnet]
            .owner(address)
            .expect("found movable")
            .clone();
        self.change(now, &holder, |interface| {
            interface.addresses.retain(|own| own.address != address)
        });
    }

    fn take_all(
        &mut self,
        subnet: &SubnetId,
        eni: &EniId,
        addresses: &[Ipv4Addr],
        prefixes: &[Block],
    ) {
        let subnet = self
            .subnets
            .get_mut(subnet)
            .expect("an ENI's subnet exists");
        addresses.iter().for_each(|a| subnet.take(*a, eni));
        prefixes
            .iter()
            .flat_map(|p| addresses_of(*p))
            .for_each(|a| subnet.take(a, eni));
    }

    /// Only an attached ENI has a limit: its instance type's.
    fn check_slots(&self, eni: &EniId, more: usize) -> Result<(), Error> {
        let interface = self.interface_or_refuse(eni)?;
        let Some(attachment) = &interface.attachment else {
            return Ok(());
        };
        let limit = self.limits_of(&attachment.instance).addresses_per_eni.get() as usize;
        if interface.slots() + more > limit {
            return Err(Error::new(
                Code::PrivateIpAddressLimitExceeded,
                format!("Number of private addresses will exceed limit of {limit} for {eni}."),
            ));
        }
        Ok(())
    }
}

impl Wanted {
    /// Slots the request needs.
    pub(crate) fn slots(&self) -> usize {
        match self {
            Self::Count(count) | Self::PrefixCount(count) => *count as usize,
            Self::Addresses(addresses) => addresses.len(),
            Self::Prefixes(prefixes) => prefixes.len(),
        }
    }
}
