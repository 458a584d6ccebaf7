//! Tables of release plans.

use super::*;
use crate::grow::plan_growth;
use crate::scene::{LATER, address, grant, id, inventory, key};
use model::block::Block;
use model::eni::EniKind;

fn plan(pool: &Inventory, targets: WarmTargets) -> Vec<Release> {
    plan_release(pool, &targets, &Demand::default(), &|_| false, LATER)
}

fn warm_eni(warm_eni: u32) -> WarmTargets {
    WarmTargets {
        warm_eni,
        ..WarmTargets::default()
    }
}

fn warm_ip(warm_ip: u32, minimum_ip: u32) -> WarmTargets {
    WarmTargets {
        warm_ip,
        minimum_ip,
        ..WarmTargets::default()
    }
}

fn eni(number: u8) -> Release {
    Release::Eni { eni: id(number) }
}

fn addresses(eni: u8, last: &[u8]) -> Release {
    Release::Addresses {
        eni: id(eni),
        addresses: last.iter().map(|last| address(eni, *last)).collect(),
    }
}

fn with_pods(mut pool: Inventory, pods: u32) -> Inventory {
    for number in 1..=pods {
        grant(&mut pool, number);
    }
    pool
}

#[test]
fn spare_enis_beyond_the_target_go() {
    let pool = inventory(3, 9, &[(0, 9), (1, 9), (2, 9)]);
    assert_eq!(plan(&pool, warm_eni(1)), [eni(2), eni(1)]);
    assert_eq!(plan(&pool, warm_eni(2)), [eni(2)]);
    assert_eq!(plan(&pool, warm_eni(3)), []);
    assert_eq!(plan(&with_pods(pool, 10), warm_eni(1)), []);
}

#[test]
fn no_spare_eni_settles() {
    let full = with_pods(inventory(3, 9, &[(0, 9), (1, 9)]), 9);
    assert_eq!(
        plan(&full, warm_eni(0)),
        [],
        "growth would bring it back at once"
    );
    let not_full = with_pods(inventory(3, 9, &[(0, 9), (1, 9)]), 8);
    assert_eq!(plan(&not_full, warm_eni(0)), [eni(1)]);
}

#[test]
fn single_addresses_go_from_the_enis_with_the_fewest_pods() {
    let pool = with_pods(inventory(3, 9, &[(0, 9), (1, 4)]), 10);
    assert_eq!(plan(&pool, warm_ip(1, 0)), [addresses(1, &[4, 3])]);
    assert_eq!(plan(&pool, warm_ip(1, 12)), [addresses(1, &[4])]);
    assert_eq!(plan(&pool, warm_ip(3, 0)), []);
}

#[test]
fn an_idle_eni_goes_as_a_whole_when_the_others_suffice() {
    let pool = with_pods(inventory(3, 9, &[(0, 6), (1, 9)]), 3);
    assert_eq!(plan(&pool, warm_ip(2, 0)), [eni(1), addresses(0, &[6])]);
    assert_eq!(
        plan(&pool, warm_ip(4, 0)),
        [addresses(1, &[9, 8, 7, 6, 5, 4, 3, 2])]
    );
}

#[test]
fn what_is_held_cooling_linked_young_primary_or_special_stays() {
    let idle = || inventory(4, 9, &[(0, 9), (1, 9)]);
    let mut pool = idle();
    pool.eni_mut(&id(1)).unwrap().since = Instant(LATER.0 - 59_999);
    assert_eq!(plan(&pool, warm_eni(0)), []);
    pool.eni_mut(&id(1)).unwrap().since = Instant(LATER.0 - 60_000);
    assert_eq!(plan(&pool, warm_eni(0)), [eni(1)]);
    for kind in [EniKind::Trunk, EniKind::Efa, EniKind::EfaOnly] {
        pool.eni_mut(&id(1)).unwrap().kind = kind;
        assert_eq!(plan(&pool, warm_eni(0)), [], "{kind:?}");
    }
    let mut pool = idle();
    pool.eni_mut(&id(1)).unwrap().managed = false;
    assert_eq!(plan(&pool, warm_eni(0)), []);
    let mut pool = idle();
    let prefix = Block::try_from("10.0.9.16/28".parse::<ipnetwork::IpNetwork>().unwrap()).unwrap();
    pool.set_prefixes(&id(1), vec![prefix]);
    assert_eq!(plan(&pool, warm_eni(0)), []);
    let mut pool = idle();
    pool.hold_by_link(address(1, 4));
    assert_eq!(plan(&pool, warm_eni(0)), []);
    let mut pool = inventory(4, 9, &[(1, 9)]);
    grant(&mut pool, 1);
    pool.release(LATER, &key(1));
    assert_eq!(
        plan(&pool, warm_ip(0, 1)),
        [addresses(1, &[9, 8, 7, 6, 5, 4, 3, 2])]
    );
}

#[test]
fn cooling_addresses_are_not_the_warm_ones_that_stay() {
    let mut pool = inventory(3, 9, &[(0, 3)]);
    for number in 1..=2 {
        grant(&mut pool, number);
        pool.release(LATER, &key(number));
    }
    assert_eq!(
        plan(&pool, warm_ip(1, 0)),
        [],
        "the only address that can be given out stays"
    );
    let rested = LATER.after(Duration::from_secs(30));
    pool.expire(rested);
    let plan = plan_release(
        &pool,
        &warm_ip(1, 0),
        &Demand::default(),
        &|_| false,
        rested,
    );
    assert_eq!(plan, [addresses(0, &[3, 2])]);
}

#[test]
fn nothing_goes_while_anything_waits_or_comes_or_is_blocked() {
    let mut pool = inventory(3, 9, &[(0, 9), (1, 9)]);
    let none: &dyn Fn(&EniId) -> bool = &|_| false;
    for demand in [
        Demand {
            waiting: 1,
            creating: vec![],
        },
        Demand {
            waiting: 0,
            creating: vec![9],
        },
    ] {
        assert_eq!(
            plan_release(&pool, &warm_ip(1, 0), &demand, none, LATER),
            []
        );
    }
    let busy = |eni: &EniId| *eni == id(1);
    let plan_with = |pool: &Inventory, blocked: &dyn Fn(&EniId) -> bool| {
        plan_release(pool, &warm_eni(0), &Demand::default(), blocked, LATER)
    };
    assert_eq!(plan_with(&pool, &busy), []);
    assert_eq!(plan_with(&pool, none), [eni(1)]);
    pool.eni_mut(&id(0)).unwrap().incoming = 1;
    assert_eq!(plan_with(&pool, none), []);
    pool.eni_mut(&id(0)).unwrap().incoming = 0;
    pool.eni_mut(&id(1)).unwrap().state = EniState::Coming;
    assert_eq!(plan_with(&pool, none), []);
}

#[test]
fn what_went_is_not_asked_for_again() {
    for targets in [
        warm_eni(0),
        warm_eni(1),
        warm_ip(2, 0),
        warm_ip(2, 7),
        warm_ip(0, 3),
    ] {
        for pods in 0..=20 {
            let mut pool = with_pods(inventory(3, 9, &[(0, 9), (1, 9), (2, 9)]), pods);
            for release in plan(&pool, targets) {
                match release {
                    Release::Eni { eni } => drop(pool.remove_eni(&eni)),
                    Release::Addresses { addresses, .. } => {
                        addresses.into_iter().for_each(|a| pool.forget_address(a))
                    }
                }
            }
            let regrowth = plan_growth(&pool, &targets, &Demand::default(), &|_| false, LATER);
            assert_eq!(regrowth, [], "{targets:?}, {pods} pods");
        }
    }
}
