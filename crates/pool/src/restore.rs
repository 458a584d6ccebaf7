//! What a starting daemon knows from its files and from the host's links, before it knows its ENIs. Must not: judge
//! whether it is still true.

use crate::inventory::Inventory;
use model::allocation::{Allocation, Cooling};
use model::pod::PodKey;
use model::time::Instant;
use std::net::Ipv4Addr;

/// An allocation that contradicts one that is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Another key holds the address.
    #[error("restore {address} for {key}: {holder} holds it")]
    Address {
        /// The address of both.
        address: Ipv4Addr,
        /// Who was to get it.
        key: Box<PodKey>,
        /// Who has it.
        holder: Box<PodKey>,
    },
    /// The key holds another address (or this one already).
    #[error("restore {address} for {key}: it holds {held}")]
    Key {
        /// The address to restore.
        address: Ipv4Addr,
        /// Its holder.
        key: Box<PodKey>,
        /// What it holds.
        held: Ipv4Addr,
    },
}

impl Inventory {
    /// Takes an allocation over as it was written. It ends the address's cooldown, its departure, and its being held by
    /// a link.
    ///
    /// # Errors
    /// The address or the key is taken; nothing changed.
    pub fn restore(&mut self, allocation: Allocation) -> Result<(), Conflict> {
        let Allocation {
            address, ref key, ..
        } = allocation;
        if let Some(other) = self.allocations.get(key) {
            return Err(Conflict::Key {
                address,
                key: Box::new(key.clone()),
                held: other.address,
            });
        }
        if let Some(holder) = self.holders.get(&address) {
            return Err(Conflict::Address {
                address,
                key: Box::new(key.clone()),
                holder: Box::new(holder.clone()),
            });
        }
        self.cooling.remove(&address);
        self.leaving.remove(&address);
        self.linked.remove(&address);
        self.hold(allocation);
        Ok(())
    }

    /// Takes a cooldown over; the later end counts when there are two. Held addresses do not cool.
    pub fn restore_cooling(&mut self, cooling: Cooling) {
        if self.holders.contains_key(&cooling.address) {
            return;
        }
        let until = self.cooling.entry(cooling.address).or_insert(cooling.until);
        *until = cooling.until.max(*until);
        self.derive(cooling.address);
    }

    /// Keeps an address from everybody because a host link still routes it, though nobody is known to hold it. Nothing
    /// happens when somebody is.
    pub fn hold_by_link(&mut self, address: Ipv4Addr) {
        if !self.holders.contains_key(&address) {
            self.linked.insert(address);
            self.derive(address);
        }
    }

    /// The link is gone: the address cools.
    pub fn unhold_by_link(&mut self, now: Instant, address: Ipv4Addr) {
        if self.linked.remove(&address) {
            self.cool(now, address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::AddressState;
    use crate::scene::{address, grant, id, inventory, key, now, pod};
    use model::time::WallTime;

    fn allocation(number: u32, address: Ipv4Addr) -> Allocation {
        Allocation {
            key: key(number),
            pod: pod(number),
            address,
            since: WallTime(7),
            interfaces: 1,
        }
    }

    #[test]
    fn what_is_restored_before_its_eni_is_known_comes_home() {
        let mut pool = inventory(3, 9, &[(0, 0)]);
        let (held, cool, linked) = (address(0, 1), address(0, 2), address(0, 3));
        pool.restore(allocation(1, held)).unwrap();
        pool.restore_cooling(Cooling {
            address: cool,
            until: Instant(40),
        });
        pool.hold_by_link(linked);
        assert_eq!(pool.homeless(), 1);
        for each in [held, cool, linked, address(0, 4)] {
            pool.add_address(&id(0), each);
        }
        let states: Vec<_> = pool.addresses(&id(0)).map(|(_, state)| *state).collect();
        let cooling = AddressState::Cooling { until: Instant(40) };
        assert_eq!(
            states,
            [
                AddressState::Held,
                cooling,
                AddressState::HeldByLink,
                AddressState::Free
            ]
        );
        assert_eq!(pool.homeless(), 0);
        assert_eq!(
            pool.allocations().next().map(|a| a.since),
            Some(WallTime(7))
        );
        assert_eq!(pool.check(), Ok(()));
    }

    #[test]
    fn a_second_holder_and_a_second_address_are_conflicts() {
        let mut pool = inventory(3, 9, &[(0, 2)]);
        let held = grant(&mut pool, 1);
        let error = pool.restore(allocation(2, held)).unwrap_err();
        assert!(matches!(error, Conflict::Address { .. }));
        assert_eq!(
            error.to_string(),
            "restore 10.0.0.1 for aws-cni/c2/eth0: aws-cni/c1/eth0 holds it"
        );
        let error = pool.restore(allocation(1, address(0, 2))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "restore 10.0.0.2 for aws-cni/c1/eth0: it holds 10.0.0.1"
        );
        assert_eq!(pool.allocations().count(), 1);
        assert_eq!(pool.check(), Ok(()));
    }

    #[test]
    fn an_address_held_by_a_link_is_nobodys_and_cools_when_the_link_goes() {
        let mut pool = inventory(3, 9, &[(0, 1)]);
        pool.hold_by_link(address(0, 1));
        assert_eq!(pool.assign(now(0), &key(1), &pod(1)), None);
        assert_eq!(pool.stats(Instant(0)).held, 1);
        pool.unhold_by_link(Instant(10), address(0, 1));
        assert_eq!(
            pool.state_of(address(0, 1)),
            Some((
                id(0),
                AddressState::Cooling {
                    until: Instant(30_010)
                }
            ))
        );
        pool.unhold_by_link(Instant(20), address(0, 1));
        assert_eq!(
            pool.next_cooldown_end(Instant(10)),
            Some(Instant(30_010)),
            "a second call changes nothing"
        );
    }

    #[test]
    fn a_link_of_a_known_holder_says_nothing_new() {
        let mut pool = inventory(3, 9, &[(0, 1)]);
        let held = grant(&mut pool, 1);
        pool.hold_by_link(held);
        pool.give_back(&key(1));
        assert_eq!(pool.state_of(held), Some((id(0), AddressState::Free)));
    }

    #[test]
    fn the_later_of_two_cooldowns_counts_and_a_held_address_does_not_cool() {
        let mut pool = inventory(3, 9, &[(0, 2)]);
        let held = grant(&mut pool, 1);
        pool.restore_cooling(Cooling {
            address: held,
            until: Instant(50),
        });
        pool.restore_cooling(Cooling {
            address: address(0, 2),
            until: Instant(50),
        });
        pool.restore_cooling(Cooling {
            address: address(0, 2),
            until: Instant(40),
        });
        assert_eq!(
            pool.cooling(Instant(0)),
            [Cooling {
                address: address(0, 2),
                until: Instant(50)
            }]
        );
        assert_eq!(pool.state_of(held), Some((id(0), AddressState::Held)));
    }
}
