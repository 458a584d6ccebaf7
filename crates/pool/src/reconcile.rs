//! The difference between the inventory and one observation of EC2. Must not: apply it, or judge whether the observation
//! is new enough to prove an absence (`ipam::truth` does).

use crate::address::AddressState;
use crate::eni::{Eni, EniState};
use crate::inventory::Inventory;
use model::eni::EniRecord;
use model::id::EniId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// What an observation has that the inventory has not, and the other way round. Each list is sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Addresses of our ENIs that are new, on another ENI than known, or lost and there again.
    pub new_addresses: Vec<(EniId, Ipv4Addr)>,
    /// Known addresses that their ENI does not have; lost ones are not named again.
    pub missing_addresses: Vec<(EniId, Ipv4Addr)>,
    /// Known ENIs that were not observed.
    pub missing_enis: Vec<EniId>,
    /// Observed ENIs that are not known.
    pub unknown_enis: Vec<EniId>,
}

/// Compares. Addresses are compared on ENIs of ours that are known and observed, and not on their way out; prefixes are
/// left alone.
pub fn compare(inventory: &Inventory, observed: &[EniRecord]) -> Difference {
    let observed: BTreeMap<&EniId, &EniRecord> =
        observed.iter().map(|record| (&record.id, record)).collect();
    let mut difference = Difference {
        missing_enis: inventory
            .enis()
            .map(|eni| &eni.id)
            .filter(|id| !observed.contains_key(id))
            .cloned()
            .collect(),
        unknown_enis: observed
            .keys()
            .filter(|id| inventory.eni(id).is_none())
            .map(|id| (*id).clone())
            .collect(),
        ..Difference::default()
    };
    for eni in inventory
        .enis()
        .filter(|eni| eni.managed && eni.state != EniState::Leaving)
    {
        if let Some(record) = observed.get(&eni.id) {
            difference.compare_addresses(inventory, eni, &singles(record));
        }
    }
    difference
}

impl Difference {
    /// Whether the inventory is what was observed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn compare_addresses(&mut self, inventory: &Inventory, eni: &Eni, seen: &BTreeSet<Ipv4Addr>) {
        for address in seen.iter().filter(|address| **address != eni.primary) {
            let known = matches!(
                inventory.state_of(*address),
                Some((home, state)) if home == eni.id && state != AddressState::Lost
            );
            if !known {
                self.new_addresses.push((eni.id.clone(), *address));
            }
        }
        for (address, state) in inventory.addresses(&eni.id) {
            if !seen.contains(&address) && *state != AddressState::Lost {
                self.missing_addresses.push((eni.id.clone(), address));
            }
        }
    }
}

fn singles(record: &EniRecord) -> BTreeSet<Ipv4Addr> {
    let blocks = record.pod_blocks().filter(|block| !block.is_prefix());
    let addresses = blocks.flat_map(|block| block.addresses().collect::<Vec<_>>());
    addresses
        .filter_map(|address| {
            if let IpAddr::V4(v4) = address {
                Some(v4)
            } else {
                None
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{address, eni, grant, id, inventory};
    use model::eni::{EniAddress, EniStatus};

    fn record(number: u8, secondaries: &[Ipv4Addr]) -> EniRecord {
        let known = eni(number);
        let primary = EniAddress {
            address: known.primary,
            primary: true,
        };
        let others = secondaries.iter().map(|address| EniAddress {
            address: *address,
            primary: false,
        });
        EniRecord {
            id: known.id,
            mac: known.mac,
            subnet: "subnet-1".parse().unwrap(),
            kind: known.kind,
            status: EniStatus::InUse,
            description: String::new(),
            addresses: std::iter::once(primary).chain(others).collect(),
            prefixes: vec![],
            groups: vec![],
            attachment: None,
            tags: BTreeMap::new(),
        }
    }

    #[test]
    fn equal_worlds_have_no_difference() {
        let pool = inventory(3, 9, &[(0, 2), (1, 0)]);
        let records = [record(1, &[]), record(0, &[address(0, 2), address(0, 1)])];
        assert!(compare(&pool, &records).is_empty());
    }

    #[test]
    fn each_kind_of_difference_is_named() {
        let pool = inventory(4, 9, &[(0, 2), (1, 1), (2, 0)]);
        // One address is missing, one is new, one has moved to another ENI; one ENI is missing, one is unknown.
        let records = [
            record(0, &[address(0, 1), address(0, 3), address(1, 1)]),
            record(1, &[]),
            record(7, &[address(7, 1)]),
        ];
        let want = Difference {
            new_addresses: vec![(id(0), address(0, 3)), (id(0), address(1, 1))],
            missing_addresses: vec![(id(0), address(0, 2)), (id(1), address(1, 1))],
            missing_enis: vec![id(2)],
            unknown_enis: vec![id(7)],
        };
        assert_eq!(compare(&pool, &records), want);
    }

    #[test]
    fn a_lost_address_is_not_missed_again_and_is_new_when_it_is_there_again() {
        let mut pool = inventory(4, 9, &[(0, 1)]);
        let held = grant(&mut pool, 1);
        pool.forget_address(held);
        assert!(compare(&pool, &[record(0, &[])]).is_empty());
        assert_eq!(
            compare(&pool, &[record(0, &[held])]).new_addresses,
            [(id(0), held)]
        );
    }

    #[test]
    fn addresses_of_foreign_and_leaving_enis_are_left_alone() {
        let mut pool = inventory(4, 9, &[(0, 1), (1, 1)]);
        pool.eni_mut(&id(0)).unwrap().managed = false;
        pool.eni_mut(&id(1)).unwrap().state = EniState::Leaving;
        assert!(compare(&pool, &[record(0, &[address(0, 9)]), record(1, &[])]).is_empty());
    }
}
