//! What the pool knows: ENIs, their addresses, who holds what, what cools. Must not: choose an address (`assign`) or plan
//! a change.
//!
//! Facts about an address (held, cooling, routed by a link) are kept by address alone, because a restarted daemon knows
//! them before it knows the ENI. The state of an address on an ENI is derived from them by [`Inventory::derive`] after
//! each change.

use crate::address::AddressState;
use crate::eni::Eni;
use crate::slots::Addresses;
use model::allocation::Allocation;
use model::block::Block;
use model::card::{DeviceIndex, RouteTable};
use model::id::EniId;
use model::pod::{PodKey, PodName};
use model::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The bounds of one card's pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// ENIs on the card, the primary one and those that are not ours included.
    pub max_enis: u32,
    /// Addresses for pods per ENI.
    pub slots_per_eni: u32,
    /// Pods the node may run; no address beyond that is asked for.
    pub max_pods: u32,
    /// Rest of a released address.
    pub cooldown: Duration,
}

/// An address in the hands of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who holds it.
    pub key: PodKey,
    /// Name of the pod, possibly unnamed.
    pub pod: PodName,
    /// The address.
    pub address: Ipv4Addr,
    /// Its ENI; `None`: not known (yet).
    pub eni: Option<EniId>,
    /// Position of the ENI; 0 when the ENI is not known.
    pub index: DeviceIndex,
    /// Route table of the ENI; main when the ENI is not known.
    pub table: RouteTable,
}

/// The pool of one network card.
#[derive(Debug, Clone)]
pub struct Inventory {
    pub(crate) limits: PoolLimits,
    pub(crate) enis: BTreeMap<EniId, Slots>,
    /// Which ENI an address is on.
    pub(crate) located: BTreeMap<Ipv4Addr, EniId>,
    pub(crate) allocations: BTreeMap<PodKey, Allocation>,
    /// Who holds an address; the reverse of `allocations`.
    pub(crate) holders: BTreeMap<Ipv4Addr, PodKey>,
    pub(crate) cooling: BTreeMap<Ipv4Addr, Instant>,
    pub(crate) linked: BTreeSet<Ipv4Addr>,
    pub(crate) leaving: BTreeSet<Ipv4Addr>,
    pub(crate) lost: BTreeSet<Ipv4Addr>,
}

/// An ENI and its addresses.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    pub(crate) eni: Eni,
    pub(crate) addresses: Addresses,
    /// Delegated prefixes that another mode left; see [`Inventory::set_prefixes`].
    pub(crate) prefixes: Vec<Block>,
}

impl Inventory {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            enis: BTreeMap::new(),
            located: BTreeMap::new(),
            allocations: BTreeMap::new(),
            holders: BTreeMap::new(),
            cooling: BTreeMap::new(),
            linked: BTreeSet::new(),
            leaving: BTreeSet::new(),
            lost: BTreeSet::new(),
        }
    }

    /// The bounds.
    pub fn limits(&self) -> &PoolLimits {
        &self.limits
    }

    /// Replaces the bounds: a restarted daemon holds addresses before it knows its instance's limits.
    pub fn set_limits(&mut self, limits: PoolLimits) {
        self.limits = limits;
    }

    /// Adds an ENI. One that is there already keeps its addresses; its other fields are replaced.
    pub fn insert_eni(&mut self, eni: Eni) {
        match self.enis.get_mut(&eni.id) {
            Some(slots) => slots.eni = eni,
            None => {
                self.enis.insert(
                    eni.id.clone(),
                    Slots {
                        eni,
                        addresses: Addresses::default(),
                        prefixes: Vec::new(),
                    },
                );
            }
        }
    }

    /// An ENI.
    pub fn eni(&self, id: &EniId) -> Option<&Eni> {
        self.enis.get(id).map(|slots| &slots.eni)
    }

    /// An ENI, to change. Its id is the key it was found by and must stay.
    pub fn eni_mut(&mut self, id: &EniId) -> Option<&mut Eni> {
        self.enis.get_mut(id).map(|slots| &mut slots.eni)
    }

    /// All ENIs, by id.
    pub fn enis(&self) -> impl Iterator<Item = &Eni> {
        self.enis.values().map(|slots| &slots.eni)
    }

    /// Removes an ENI with its addresses. Pods on it keep their allocations, without a home: nobody else gets their
    /// addresses until they let go. Returns those allocations.
    pub fn remove_eni(&mut self, id: &EniId) -> Vec<Grant> {
        let Some(slots) = self.enis.get(id) else {
            return Vec::new();
        };
        let addresses: Vec<Ipv4Addr> = slots.addresses.iter().map(|(address, _)| address).collect();
        let stranded = addresses
            .iter()
            .filter_map(|address| self.holders.get(address))
            .filter_map(|key| self.holder(key));
        let stranded = stranded.collect();
        for address in addresses {
            self.unlocate(address);
        }
        self.enis.remove(id);
        stranded
    }

    /// Adds an address that EC2 gave to an ENI: free, or in the state its holder, link or cooldown says. Nothing happens
    /// when it is known, except that a lost address comes home to its holder. The ENI's primary address and unknown ENIs
    /// are ignored.
    pub fn add_address(&mut self, eni: &EniId, address: Ipv4Addr) {
        let Some(slots) = self.enis.get(eni) else {
            return;
        };
        debug_assert_ne!(
            slots.eni.primary, address,
            "the primary address of {eni} is never a pod's"
        );
        if slots.eni.primary == address {
            return;
        }
        if self.lost.remove(&address) {
            self.unlocate(address);
        }
        if self.located.contains_key(&address) {
            return;
        }
        self.located.insert(address, eni.clone());
        self.derive(address);
    }

    /// Says which delegated prefixes EC2 shows on an ENI. No pod gets an address of them, but each takes a slot, and the
    /// ENI is not freed: a pod from the time before may live in one.
    pub fn set_prefixes(&mut self, eni: &EniId, prefixes: Vec<Block>) {
        if let Some(slots) = self.enis.get_mut(eni) {
            slots.prefixes = prefixes;
        }
    }

    /// Delegated prefixes on all ENIs.
    pub fn prefixes(&self) -> impl Iterator<Item = Block> {
        self.enis
            .values()
            .flat_map(|slots| slots.prefixes.iter().copied())
    }

    /// The addresses of an ENI, lowest first.
    pub fn addresses(&self, eni: &EniId) -> impl Iterator<Item = (Ipv4Addr, &AddressState)> {
        self.enis
            .get(eni)
            .into_iter()
            .flat_map(|slots| slots.addresses.iter())
    }

    /// Where an address is and in which state; `None` when it is on no known ENI.
    pub fn state_of(&self, address: Ipv4Addr) -> Option<(EniId, AddressState)> {
        let eni = self.located.get(&address)?;
        Some((eni.clone(), self.enis.get(eni)?.addresses.get(address)?))
    }

    /// Marks a free address as being given back to EC2. `false`: it is not free, and nothing changed.
    pub fn start_leaving(&mut self, address: Ipv4Addr) -> bool {
        let free = matches!(self.state_of(address), Some((_, AddressState::Free)));
        if free {
            self.leaving.insert(address);
            self.derive(address);
        }
        free
    }

    /// Takes [`Self::start_leaving`] back.
    pub fn cancel_leaving(&mut self, address: Ipv4Addr) {
        if self.leaving.remove(&address) {
            self.derive(address);
        }
    }

    /// Removes an address that EC2 no longer has. A held one stays as lost until its pod lets go.
    pub fn forget_address(&mut self, address: Ipv4Addr) {
        match self.state_of(address) {
            None | Some((_, AddressState::Lost)) => {}
            Some((_, AddressState::Held)) => {
                self.lost.insert(address);
                self.derive(address);
            }
            Some((
                _,
                AddressState::Free
                | AddressState::Cooling { .. }
                | AddressState::Leaving
                | AddressState::HeldByLink,
            )) => {
                self.unlocate(address);
            }
        }
    }

    /// Makes addresses free whose cooldown has ended. [`Self::assign`] needs no such call; giving addresses back to EC2
    /// does.
    pub fn expire(&mut self, now: Instant) {
        let ended: Vec<Ipv4Addr> = self
            .cooling
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(address, _)| *address)
            .collect();
        for address in ended {
            self.cooling.remove(&address);
            self.derive(address);
        }
    }

    /// The one place where the state of an address is computed.
    pub(crate) fn derived(&self, address: Ipv4Addr) -> AddressState {
        if self.holders.contains_key(&address) {
            return if self.lost.contains(&address) {
                AddressState::Lost
            } else {
                AddressState::Held
            };
        }
        if self.leaving.contains(&address) {
            return AddressState::Leaving;
        }
        if self.linked.contains(&address) {
            return AddressState::HeldByLink;
        }
        self.cooling
            .get(&address)
            .map_or(AddressState::Free, |until| AddressState::Cooling {
                until: *until,
            })
    }

    pub(crate) fn derive(&mut self, address: Ipv4Addr) {
        let state = self.derived(address);
        if let Some(slots) = self
            .located
            .get(&address)
            .and_then(|eni| self.enis.get_mut(eni))
        {
            slots.addresses.insert(address, state);
        }
    }

    pub(crate) fn unlocate(&mut self, address: Ipv4Addr) {
        self.leaving.remove(&address);
        self.lost.remove(&address);
        if let Some(slots) = self
            .located
            .remove(&address)
            .and_then(|eni| self.enis.get_mut(&eni))
        {
            slots.addresses.remove(address);
        }
    }
}

#[cfg(test)]
mod tests;
