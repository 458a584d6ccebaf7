//! Tables of growth plans.

use super::*;
use crate::scene::{address, grant, id, inventory, key};
use model::eni::EniKind;

const NOW: Instant = Instant(0);

fn plan(pool: &Inventory, targets: WarmTargets, demand: &Demand) -> Vec<Growth> {
    plan_growth(pool, &targets, demand, &|_| false, NOW)
}

fn reachable(pool: &Inventory, demand: &Demand, until: Instant) -> u32 {
    Reach::of(pool, demand, NOW).until(until)
}

fn waiting(waiting: u32) -> Demand {
    Demand {
        waiting,
        creating: vec![],
    }
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

fn assign(eni: u8, count: u32) -> Growth {
    Growth::Assign {
        eni: id(eni),
        count,
    }
}

fn create(secondary: u32) -> Growth {
    Growth::Create { secondary }
}

#[test]
fn a_fresh_node_with_twenty_pods_waiting_asks_for_everything_at_once() {
    let pool = inventory(3, 9, &[(0, 0)]);
    assert_eq!(plan(&pool, warm_eni(1), &waiting(0)), [assign(0, 9)]);
    assert_eq!(
        plan(&pool, warm_eni(1), &waiting(20)),
        [assign(0, 9), create(9), create(9)]
    );
    assert_eq!(
        plan(&pool, warm_ip(1, 0), &waiting(20)),
        [assign(0, 9), create(9), create(3)]
    );
    assert_eq!(plan(&pool, warm_ip(0, 4), &waiting(0)), [assign(0, 4)]);
}

#[test]
fn one_call_covers_the_deficit_where_one_eni_can() {
    let pool = inventory(3, 9, &[(0, 7), (1, 4), (2, 2)]);
    assert_eq!(plan(&pool, warm_ip(15, 0), &waiting(0)), [assign(0, 2)]);
    assert_eq!(plan(&pool, warm_ip(17, 0), &waiting(0)), [assign(1, 4)]);
    assert_eq!(
        plan(&pool, warm_ip(22, 0), &waiting(0)),
        [assign(2, 7), assign(0, 2)]
    );
    assert_eq!(
        plan(&pool, warm_ip(99, 0), &waiting(0)),
        [assign(2, 7), assign(1, 5), assign(0, 2)]
    );
}

#[test]
fn a_spare_eni_counts_as_warm_while_it_comes() {
    let mut pool = inventory(3, 9, &[(0, 9), (1, 9)]);
    for number in 1..=9 {
        grant(&mut pool, number);
    }
    pool.eni_mut(&id(1)).unwrap().state = EniState::Coming;
    assert_eq!(plan(&pool, warm_eni(1), &waiting(0)), []);
    assert_eq!(plan(&pool, warm_eni(1), &waiting(1)), [create(9)]);
    assert_eq!(plan(&pool, warm_ip(1, 0), &waiting(8)), []);
}

#[test]
fn what_is_on_its_way_is_not_asked_for_again() {
    let mut pool = inventory(3, 9, &[(0, 0)]);
    pool.eni_mut(&id(0)).unwrap().incoming = 9;
    assert_eq!(plan(&pool, warm_eni(1), &waiting(0)), []);
    let creating = Demand {
        waiting: 20,
        creating: vec![9, 9],
    };
    assert_eq!(plan(&pool, warm_eni(1), &creating), []);
    let creating = Demand {
        waiting: 9,
        creating: vec![9],
    };
    assert_eq!(plan(&pool, warm_eni(1), &creating), []);
}

#[test]
fn room_on_an_eni_with_a_call_in_flight_is_waited_for() {
    let mut pool = inventory(3, 9, &[(0, 0)]);
    pool.eni_mut(&id(0)).unwrap().incoming = 1;
    let busy = |eni: &EniId| *eni == id(0);
    assert_eq!(
        plan_growth(&pool, &warm_ip(1, 0), &waiting(5), &busy, NOW),
        []
    );
    assert_eq!(
        plan_growth(&pool, &warm_ip(1, 0), &waiting(10), &busy, NOW),
        [create(2)]
    );
    pool.insert_eni(crate::scene::eni(1));
    assert_eq!(
        plan_growth(&pool, &warm_ip(1, 0), &waiting(5), &busy, NOW),
        [assign(1, 5)]
    );
}

#[test]
fn cooling_addresses_are_warm_but_do_not_serve_who_waits() {
    let mut pool = inventory(3, 9, &[(0, 2)]);
    for number in 1..=2 {
        grant(&mut pool, number);
        pool.release(NOW, &key(number));
    }
    assert_eq!(plan(&pool, warm_ip(2, 0), &waiting(0)), []);
    assert_eq!(plan(&pool, warm_ip(1, 0), &waiting(1)), [assign(0, 1)]);
    assert_eq!(
        plan_growth(
            &pool,
            &warm_ip(1, 0),
            &waiting(1),
            &|_| false,
            Instant(30_000)
        ),
        []
    );
}

#[test]
fn the_number_of_pods_and_of_enis_bounds_everything() {
    let mut pool = inventory(3, 9, &[(0, 9)]);
    pool.limits.max_pods = 12;
    assert_eq!(plan(&pool, warm_eni(3), &waiting(50)), [create(3)]);
    pool.limits.max_pods = 9;
    assert_eq!(plan(&pool, warm_eni(3), &waiting(50)), []);
    pool.limits.max_pods = 110;
    pool.limits.max_enis = 1;
    assert_eq!(plan(&pool, warm_eni(3), &waiting(50)), []);
}

#[test]
fn trunks_efas_leaving_and_foreign_enis_are_never_filled() {
    let mut pool = inventory(5, 9, &[(0, 9), (1, 0), (2, 0), (3, 0), (4, 0)]);
    pool.eni_mut(&id(1)).unwrap().kind = EniKind::Trunk;
    pool.eni_mut(&id(2)).unwrap().kind = EniKind::Efa;
    pool.eni_mut(&id(3)).unwrap().state = EniState::Leaving;
    pool.eni_mut(&id(4)).unwrap().managed = false;
    assert_eq!(plan(&pool, warm_eni(2), &waiting(5)), []);
}

#[test]
fn a_target_of_no_spare_eni_still_keeps_one_address() {
    let mut pool = inventory(3, 9, &[(0, 9)]);
    for number in 1..=8 {
        grant(&mut pool, number);
    }
    assert_eq!(plan(&pool, warm_eni(0), &waiting(0)), []);
    grant(&mut pool, 9);
    assert_eq!(plan(&pool, warm_eni(0), &waiting(0)), [create(9)]);
}

#[test]
fn reachable_is_what_could_come_in_time() {
    let mut pool = inventory(2, 9, &[(0, 5)]);
    grant(&mut pool, 1);
    grant(&mut pool, 2);
    pool.release(NOW, &key(2));
    let demand = Demand::default();
    // 3 free, 4 places on the ENI, 9 on another one; the cooling address if there is time.
    assert_eq!(reachable(&pool, &demand, Instant(29_999)), 16);
    assert_eq!(reachable(&pool, &demand, Instant(30_000)), 17);
    assert_eq!(
        reachable(
            &pool,
            &Demand {
                waiting: 3,
                creating: vec![9]
            },
            Instant(0)
        ),
        16
    );
    pool.eni_mut(&id(0)).unwrap().incoming = 4;
    assert_eq!(
        reachable(&pool, &demand, Instant(0)),
        16,
        "incoming takes the places"
    );
    pool.eni_mut(&id(0)).unwrap().incoming = 0;
    pool.start_leaving(address(0, 5));
    assert_eq!(
        reachable(&pool, &demand, Instant(0)),
        16,
        "a leaving address makes place"
    );
    pool.limits.max_pods = 5;
    assert_eq!(reachable(&pool, &demand, Instant(0)), 3);
}
