//! Numbers about the pool, computed when asked. Must not: be stored.

use crate::address::AddressState;
use crate::inventory::Inventory;
use model::allocation::{Allocation, Cooling};
use model::time::Instant;

/// How many addresses are in which state, over the ENIs that belong to the pool: ours, coming or usable, no trunks.
/// Addresses on their way back to EC2 and lost ones are not part of `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Owned addresses (upstream's `T`).
    pub total: u32,
    /// Held by a pod or a link (upstream's `A`).
    pub held: u32,
    /// Cooling at this instant.
    pub cooling: u32,
    /// On their way back to EC2; not in `total`.
    pub leaving: u32,
    /// `total - held`, cooling ones included (upstream's `F`).
    pub available: u32,
    /// Could be given to a pod at this instant.
    pub assignable: u32,
}

impl Inventory {
    /// The numbers at `now`.
    pub fn stats(&self, now: Instant) -> Stats {
        let mut stats = Stats::default();
        for slots in self.enis.values().filter(|slots| slots.eni.counts()) {
            for state in slots.addresses.states() {
                stats.count(*state, now, slots.eni.gives());
            }
        }
        stats.available = stats.total - stats.held;
        stats
    }

    /// All allocations, by key.
    pub fn allocations(&self) -> impl Iterator<Item = &Allocation> {
        self.allocations.values()
    }

    /// Addresses that cool at `now`, whether their ENI is known or not.
    pub fn cooling(&self, now: Instant) -> Vec<Cooling> {
        let cooling = self.cooling.iter().filter(|(_, until)| **until > now);
        cooling
            .map(|(address, until)| Cooling {
                address: *address,
                until: *until,
            })
            .collect()
    }

    /// Allocations whose address is on no known ENI.
    pub fn homeless(&self) -> usize {
        self.holders
            .keys()
            .filter(|address| !self.located.contains_key(address))
            .count()
    }

    /// The next instant after `now` at which an address of the pool can be given out again.
    pub fn next_cooldown_end(&self, now: Instant) -> Option<Instant> {
        self.cooldown_ends(now).min()
    }

    /// When the addresses of the pool that cool at `now` can be given out again.
    pub(crate) fn cooldown_ends(&self, now: Instant) -> impl Iterator<Item = Instant> {
        let states = self
            .enis
            .values()
            .filter(|slots| slots.eni.counts())
            .flat_map(|slots| slots.addresses.states());
        states
            .filter_map(|state| cooldown_end(*state))
            .filter(move |until| *until > now)
    }
}

impl Stats {
    fn count(&mut self, state: AddressState, now: Instant, gives: bool) {
        match state {
            AddressState::Leaving => self.leaving += 1,
            AddressState::Lost => {}
            AddressState::Held | AddressState::HeldByLink => {
                self.total += 1;
                self.held += 1;
            }
            AddressState::Free | AddressState::Cooling { .. } => {
                self.total += 1;
                let ready = state.is_assignable(now);
                self.cooling += u32::from(!ready);
                self.assignable += u32::from(ready && gives);
            }
        }
    }
}

fn cooldown_end(state: AddressState) -> Option<Instant> {
    if let AddressState::Cooling { until } = state {
        Some(until)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eni::EniState;
    use crate::scene::{address, grant, id, inventory, key};

    #[test]
    fn each_state_is_counted_where_it_belongs() {
        let mut pool = inventory(3, 9, &[(0, 7)]);
        let lost = grant(&mut pool, 1);
        for number in 2..=3 {
            grant(&mut pool, number);
        }
        pool.forget_address(lost);
        pool.release(Instant(0), &key(3));
        pool.start_leaving(address(0, 4));
        pool.hold_by_link(address(0, 5));
        let want = Stats {
            total: 5,
            held: 2,
            cooling: 1,
            leaving: 1,
            available: 3,
            assignable: 2,
        };
        assert_eq!(pool.stats(Instant(29_999)), want);
        assert_eq!(
            pool.stats(Instant(30_000)),
            Stats {
                cooling: 0,
                assignable: 3,
                ..want
            }
        );
    }

    #[test]
    fn a_coming_eni_counts_but_gives_nothing_and_a_leaving_one_is_gone() {
        let mut pool = inventory(3, 9, &[(0, 2), (1, 3)]);
        pool.eni_mut(&id(0)).unwrap().state = EniState::Coming;
        pool.eni_mut(&id(1)).unwrap().state = EniState::Leaving;
        assert_eq!(
            pool.stats(Instant(0)),
            Stats {
                total: 2,
                available: 2,
                ..Stats::default()
            }
        );
    }
}
