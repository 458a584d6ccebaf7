//! What the inventory keeps, forgets and refuses.

use super::*;
use crate::scene::{address, eni, grant, id, inventory, key, now, pod};

#[test]
fn an_eni_seen_again_keeps_its_addresses() {
    let mut pool = inventory(3, 9, &[(0, 2)]);
    let mut again = eni(0);
    again.incoming = 4;
    pool.insert_eni(again);
    assert_eq!(pool.eni(&id(0)).map(|e| e.incoming), Some(4));
    assert_eq!(pool.addresses(&id(0)).count(), 2);
    assert_eq!(pool.check(), Ok(()));
}

#[test]
fn pods_on_a_removed_eni_keep_their_addresses_and_get_them_back_with_it() {
    let mut pool = inventory(3, 9, &[(1, 2)]);
    let granted = pool.assign(now(0), &key(1), &pod(1)).unwrap();
    assert_eq!(pool.remove_eni(&id(1)), std::slice::from_ref(&granted));
    assert_eq!((pool.homeless(), pool.state_of(granted.address)), (1, None));
    let homeless = pool.holder(&key(1)).unwrap();
    assert_eq!(
        (homeless.eni, homeless.index, homeless.table),
        (None, DeviceIndex(0), RouteTable::MAIN)
    );
    pool.insert_eni(eni(2));
    pool.add_address(&id(2), granted.address);
    assert_eq!(
        pool.state_of(granted.address),
        Some((id(2), AddressState::Held))
    );
    assert_eq!(pool.holder(&key(1)).unwrap().table, RouteTable(3));
    assert_eq!(pool.check(), Ok(()));
}

#[test]
fn a_cooldown_survives_its_eni() {
    let mut pool = inventory(3, 9, &[(1, 1)]);
    let held = grant(&mut pool, 1);
    pool.release(Instant(1_000), &key(1));
    pool.remove_eni(&id(1));
    pool.insert_eni(eni(1));
    pool.add_address(&id(1), held);
    assert_eq!(
        pool.state_of(held),
        Some((
            id(1),
            AddressState::Cooling {
                until: Instant(31_000)
            }
        ))
    );
}

#[test]
fn only_a_free_address_leaves_and_it_may_stay_after_all() {
    let mut pool = inventory(3, 9, &[(0, 3)]);
    let held = grant(&mut pool, 1);
    let cooling = grant(&mut pool, 2);
    pool.release(Instant(0), &key(2));
    assert!(
        !pool.start_leaving(held)
            && !pool.start_leaving(cooling)
            && !pool.start_leaving(address(9, 9))
    );
    let free = address(0, 3);
    assert!(pool.start_leaving(free));
    assert!(!pool.start_leaving(free), "it leaves already");
    assert!(
        pool.assign(now(0), &key(3), &pod(3)).is_none(),
        "a leaving address was given out"
    );
    pool.cancel_leaving(free);
    assert_eq!(pool.state_of(free), Some((id(0), AddressState::Free)));
    pool.cancel_leaving(held);
    assert_eq!(pool.state_of(held), Some((id(0), AddressState::Held)));
}

#[test]
fn an_address_that_ec2_lacks_is_gone_unless_a_pod_holds_it() {
    let mut pool = inventory(3, 9, &[(0, 4)]);
    let held = grant(&mut pool, 1);
    let cooling = grant(&mut pool, 2);
    pool.release(Instant(0), &key(2));
    let (leaving, free) = (address(0, 3), address(0, 4));
    pool.start_leaving(leaving);
    for each in [held, cooling, leaving, free] {
        pool.forget_address(each);
    }
    assert_eq!(
        pool.addresses(&id(0))
            .map(|(a, s)| (a, *s))
            .collect::<Vec<_>>(),
        [(held, AddressState::Lost)]
    );
    assert_eq!(pool.holder(&key(1)).unwrap().address, held);
    assert_eq!(pool.check(), Ok(()));
    pool.release(Instant(0), &key(1));
    assert_eq!(
        pool.state_of(held),
        None,
        "a lost address goes with its pod"
    );
}

#[test]
fn a_lost_address_that_ec2_shows_again_is_its_holders() {
    let mut pool = inventory(3, 9, &[(0, 1), (1, 0)]);
    let held = grant(&mut pool, 1);
    pool.forget_address(held);
    pool.add_address(&id(1), held);
    assert_eq!(pool.state_of(held), Some((id(1), AddressState::Held)));
    assert_eq!(pool.check(), Ok(()));
}

#[test]
fn an_address_stays_where_it_is_known() {
    let mut pool = inventory(3, 9, &[(0, 1), (1, 0)]);
    pool.add_address(&id(1), address(0, 1));
    assert_eq!(
        pool.state_of(address(0, 1)),
        Some((id(0), AddressState::Free))
    );
}

#[test]
fn an_ended_cooldown_makes_an_address_free_to_leave() {
    let mut pool = inventory(3, 9, &[(0, 1)]);
    let held = grant(&mut pool, 1);
    pool.release(Instant(0), &key(1));
    pool.expire(Instant(29_999));
    assert!(!pool.start_leaving(held));
    pool.expire(Instant(30_000));
    assert!(pool.start_leaving(held));
}

#[cfg(not(debug_assertions))]
#[test]
fn the_primary_address_is_ignored() {
    let mut pool = inventory(3, 9, &[(0, 1)]);
    let primary = pool.eni(&id(0)).unwrap().primary;
    pool.add_address(&id(0), primary);
    assert_eq!(pool.state_of(primary), None);
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "never a pod's")]
fn the_primary_address_is_refused_loudly_in_debug_builds() {
    let mut pool = inventory(3, 9, &[(0, 1)]);
    let primary = pool.eni(&id(0)).unwrap().primary;
    pool.add_address(&id(0), primary);
}
