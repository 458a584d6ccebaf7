//! What still fits: ENIs on the card, addresses on an ENI. Must not: decide to use it.

use crate::address::AddressState;
use crate::inventory::{Inventory, Slots};

/// How many more ENIs the card takes while `creating` are being created. ENIs that are not ours and ENIs on their way
/// out still take a place.
pub fn enis_left(inventory: &Inventory, creating: usize) -> u32 {
    let taken = u32::try_from(inventory.enis.len() + creating).unwrap_or(u32::MAX);
    inventory.limits.max_enis.saturating_sub(taken)
}

/// How many more addresses an ENI takes. Lost addresses are gone in EC2 and take no place; leaving ones and prefixes do.
pub(crate) fn slots_left(slots: &Slots, slots_per_eni: u32) -> u32 {
    let owned = slots
        .addresses
        .states()
        .filter(|state| **state != AddressState::Lost)
        .count();
    let taken = u32::try_from(owned + slots.prefixes.len())
        .unwrap_or(u32::MAX)
        .saturating_add(slots.eni.incoming);
    slots_per_eni.saturating_sub(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eni::EniState;
    use crate::scene::{address, grant, id, inventory};
    use model::block::Block;
    use model::time::Instant;

    #[test]
    fn every_attached_eni_and_every_one_being_created_takes_a_place() {
        let mut pool = inventory(4, 9, &[(0, 0), (1, 0)]);
        assert_eq!(enis_left(&pool, 0), 2);
        pool.eni_mut(&id(1)).unwrap().managed = false;
        pool.eni_mut(&id(0)).unwrap().state = EniState::Leaving;
        assert_eq!(
            [
                enis_left(&pool, 1),
                enis_left(&pool, 2),
                enis_left(&pool, 9)
            ],
            [1, 0, 0]
        );
    }

    #[test]
    fn leaving_and_incoming_addresses_take_a_place_and_lost_ones_do_not() {
        let mut pool = inventory(3, 9, &[(0, 4)]);
        let lost = grant(&mut pool, 1);
        pool.forget_address(lost);
        pool.start_leaving(address(0, 4));
        pool.eni_mut(&id(0)).unwrap().incoming = 5;
        assert_eq!(slots_left(&pool.enis[&id(0)], 9), 1);
        assert_eq!(slots_left(&pool.enis[&id(0)], 5), 0);
    }

    #[test]
    fn a_prefix_takes_one_place() {
        let mut pool = inventory(3, 9, &[(0, 4)]);
        let prefix =
            Block::try_from("10.0.9.16/28".parse::<ipnetwork::IpNetwork>().unwrap()).unwrap();
        pool.set_prefixes(&id(0), vec![prefix]);
        assert_eq!(slots_left(&pool.enis[&id(0)], 9), 4);
        assert_eq!(
            (pool.prefixes().count(), pool.stats(Instant(0)).total),
            (1, 4)
        );
    }
}
