//! Which address a pod gets, and the ways it lets go. Must not: decide when a pod may ask, or write the checkpoint.

use crate::address::AddressState;
use crate::inventory::{Grant, Inventory, Slots};
use model::allocation::Allocation;
use model::card::{DeviceIndex, RouteTable};
use model::pod::{PodKey, PodName};
use model::time::{Instant, Now};
use std::cmp::Reverse;
use std::net::Ipv4Addr;

/// Network name of entries that upstream took over from its earliest releases, which knew the container only.
const MIGRATED_NETWORK: &str = "_migrated-from-cri";
/// Interface name of such entries.
const MIGRATED_INTERFACE: &str = "unknown";

impl Inventory {
    /// Gives an address to a pod: the one it holds already, or the lowest one of the ENI with the most pods, so that
    /// other ENIs can empty. An address whose cooldown has ended is as good as a free one. `None`: nothing can be given
    /// now.
    pub fn assign(&mut self, now: Now, key: &PodKey, pod: &PodName) -> Option<Grant> {
        if let Some(held) = self.holder(key) {
            return Some(held);
        }
        let address = self.choose(now.boot)?;
        self.cooling.remove(&address);
        let allocation = Allocation {
            key: key.clone(),
            pod: pod.clone(),
            address,
            since: now.wall,
            interfaces: 1,
        };
        self.hold(allocation);
        self.holder(key)
    }

    /// Whether a key holds an address.
    pub fn holds(&self, key: &PodKey) -> bool {
        self.allocations.contains_key(key)
    }

    /// What a key holds.
    pub fn holder(&self, key: &PodKey) -> Option<Grant> {
        let allocation = self.allocations.get(key)?;
        let eni = self
            .located
            .get(&allocation.address)
            .and_then(|id| self.eni(id));
        Some(Grant {
            key: key.clone(),
            pod: allocation.pod.clone(),
            address: allocation.address,
            eni: eni.map(|eni| eni.id.clone()),
            index: eni.map_or(DeviceIndex(0), |eni| eni.index),
            table: eni.map_or(RouteTable::MAIN, crate::eni::Eni::table),
        })
    }

    /// Takes a pod's address into cooldown, also when its ENI is not known. A key that is not there is also looked for
    /// as upstream's earliest releases wrote it. `None`: nothing is held.
    pub fn release(&mut self, now: Instant, key: &PodKey) -> Option<Grant> {
        let grant = self.holder(key).or_else(|| self.holder(&migrated(key)))?;
        self.let_go(&grant);
        self.cool(now, grant.address);
        Some(grant)
    }

    /// Takes an address back that the pod never saw: it is free at once.
    pub fn give_back(&mut self, key: &PodKey) -> Option<Grant> {
        let grant = self.holder(key)?;
        self.let_go(&grant);
        self.derive(grant.address);
        Some(grant)
    }

    pub(crate) fn hold(&mut self, allocation: Allocation) {
        let address = allocation.address;
        self.holders.insert(address, allocation.key.clone());
        self.allocations.insert(allocation.key.clone(), allocation);
        self.derive(address);
    }

    /// Starts the cooldown of an address that nobody holds, and drops ended ones of addresses on no known ENI, which
    /// nothing else would ever remove.
    pub(crate) fn cool(&mut self, now: Instant, address: Ipv4Addr) {
        let located = &self.located;
        self.cooling
            .retain(|address, until| *until > now || located.contains_key(address));
        self.cooling
            .insert(address, now.after(self.limits.cooldown));
        self.derive(address);
    }

    fn let_go(&mut self, grant: &Grant) {
        self.allocations.remove(&grant.key);
        self.holders.remove(&grant.address);
        if self.lost.contains(&grant.address) {
            self.unlocate(grant.address);
        }
    }

    fn choose(&self, now: Instant) -> Option<Ipv4Addr> {
        let candidates = self.enis.values().filter(|slots| slots.eni.gives());
        let candidates = candidates.filter_map(|slots| Some((slots, slots.first_assignable(now)?)));
        let best = candidates.min_by_key(|(slots, _)| (Reverse(slots.held()), slots.eni.index));
        best.map(|(_, address)| address)
    }
}

impl Slots {
    /// Addresses in use: by a pod or, as far as anybody knows, by a link.
    pub(crate) fn held(&self) -> usize {
        let in_use =
            |state: &&AddressState| matches!(state, AddressState::Held | AddressState::HeldByLink);
        self.addresses.states().filter(in_use).count()
    }

    fn first_assignable(&self, now: Instant) -> Option<Ipv4Addr> {
        self.addresses
            .iter()
            .find(|(_, state)| state.is_assignable(now))
            .map(|(address, _)| address)
    }
}

fn migrated(key: &PodKey) -> PodKey {
    PodKey {
        network: MIGRATED_NETWORK.to_owned(),
        container: key.container.clone(),
        interface: MIGRATED_INTERFACE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eni::EniState;
    use crate::scene::{address, grant, id, inventory, key, now, pod};
    use model::eni::EniKind;

    #[test]
    fn the_same_key_gets_the_same_address() {
        let mut pool = inventory(3, 9, &[(0, 2)]);
        let first = pool.assign(now(0), &key(1), &pod(1)).unwrap();
        assert_eq!(pool.assign(now(9), &key(1), &pod(1)), Some(first.clone()));
        assert_eq!(
            (first.address, first.eni, first.index),
            (address(0, 1), Some(id(0)), DeviceIndex(0))
        );
        assert_eq!(pool.allocations().count(), 1);
    }

    #[test]
    fn the_fullest_eni_is_used_first_and_its_lowest_address() {
        let mut pool = inventory(3, 9, &[(0, 1), (1, 3), (2, 3)]);
        let order: Vec<_> = (1..=7).map(|n| grant(&mut pool, n)).collect();
        let want =
            [(0, 1), (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)].map(|(e, n)| address(e, n));
        assert_eq!(order, want);
        assert_eq!(pool.assign(now(0), &key(8), &pod(8)), None);
        pool.give_back(&key(2));
        assert_eq!(grant(&mut pool, 9), address(1, 1));
    }

    #[test]
    fn enis_that_are_not_ours_usable_or_ordinary_give_nothing() {
        let mut pool = inventory(9, 9, &[(0, 1), (1, 1), (2, 1), (3, 1)]);
        pool.eni_mut(&id(0)).unwrap().managed = false;
        pool.eni_mut(&id(1)).unwrap().state = EniState::Coming;
        pool.eni_mut(&id(2)).unwrap().state = EniState::Leaving;
        pool.eni_mut(&id(3)).unwrap().kind = EniKind::Trunk;
        assert_eq!(pool.assign(now(0), &key(1), &pod(1)), None);
        pool.eni_mut(&id(1)).unwrap().state = EniState::Usable;
        assert_eq!(grant(&mut pool, 1), address(1, 1));
    }

    #[test]
    fn a_released_address_rests_for_exactly_the_cooldown() {
        let mut pool = inventory(3, 9, &[(0, 1)]);
        grant(&mut pool, 1);
        assert_eq!(
            pool.release(Instant(500), &key(1)).map(|g| g.address),
            Some(address(0, 1))
        );
        assert_eq!(
            pool.release(Instant(500), &key(1)),
            None,
            "nothing is held any more"
        );
        assert_eq!(pool.assign(now(30_499), &key(2), &pod(2)), None);
        assert_eq!(pool.next_cooldown_end(Instant(500)), Some(Instant(30_500)));
        assert_eq!(
            pool.assign(now(30_500), &key(2), &pod(2))
                .map(|g| g.address),
            Some(address(0, 1))
        );
        assert_eq!(pool.cooling(Instant(500)), []);
    }

    #[test]
    fn an_address_given_back_is_free_at_once() {
        let mut pool = inventory(3, 9, &[(0, 1)]);
        grant(&mut pool, 1);
        assert!(pool.give_back(&key(1)).is_some());
        assert_eq!(
            pool.state_of(address(0, 1)),
            Some((id(0), AddressState::Free))
        );
        assert_eq!(pool.give_back(&key(1)), None);
    }

    #[test]
    fn an_entry_of_upstreams_earliest_releases_is_found_by_its_container() {
        let mut pool = inventory(3, 9, &[(0, 2)]);
        pool.assign(now(0), &migrated(&key(1)), &PodName::default());
        assert!(pool.holder(&key(1)).is_none());
        assert!(
            pool.release(Instant(0), &key(2)).is_none(),
            "another container"
        );
        let released = pool.release(Instant(0), &key(1)).unwrap();
        assert_eq!(released.key, migrated(&key(1)));
        assert_eq!(pool.allocations().count(), 0);
    }

    #[test]
    fn an_address_without_a_home_cools_too() {
        let mut pool = inventory(3, 9, &[(1, 1)]);
        let held = grant(&mut pool, 1);
        pool.remove_eni(&id(1));
        let released = pool.release(Instant(0), &key(1)).unwrap();
        assert_eq!((released.address, released.eni), (held, None));
        assert_eq!(pool.cooling(Instant(0)).len(), 1);
        assert_eq!(
            pool.next_cooldown_end(Instant(0)),
            None,
            "its end brings no address"
        );
        assert_eq!(pool.check(), Ok(()));
    }
}
