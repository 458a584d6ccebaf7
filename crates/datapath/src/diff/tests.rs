//! Properties of `diff` and `undo` in a model of the kernel that is a set of objects and nothing else.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use model::card::RouteTable;
use model::mac::Mac;
use proptest::prelude::*;

use super::*;
use crate::undo::inverse;
use crate::value::{Address, LinkKind, Mark, Neighbour, Protocol, Route, Rule};

type State = BTreeSet<Object>;

/// Does what the kernel would, and panics where it would refuse.
fn carry_out(state: &mut State, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Set { .. } => {}
            Change::Add(object) => assert!(state.insert(object.clone()), "{change}: already there"),
            Change::Replace { old, new } => {
                if let Some(old) = old {
                    assert!(state.remove(old), "{change}: nothing to replace");
                }
                assert!(state.insert(new.clone()), "{change}: already there");
            }
            Change::Remove(object) => assert!(state.remove(object), "{change}: not there"),
        }
    }
}

fn small_address() -> impl Strategy<Value = Ipv4Addr> {
    (0u8..4).prop_map(|last| Ipv4Addr::new(10, 0, 1, last))
}

fn network() -> impl Strategy<Value = Ipv4Network> {
    (small_address(), prop_oneof![Just(24u8), Just(32)])
        .prop_map(|(ip, prefix)| Ipv4Network::new(ip, prefix).unwrap())
}

fn route() -> impl Strategy<Value = Route> {
    let scope = prop_oneof![Just(Scope::Global), Just(Scope::Link)];
    let gateway = proptest::option::of(small_address());
    (1u32..3, network(), gateway, 1u32..3, scope, 0u32..2).prop_map(
        |(table, destination, gateway, link, scope, metric)| Route {
            table: RouteTable(table),
            destination,
            gateway,
            link: Some(link),
            scope,
            source: None,
            metric,
            protocol: Protocol::BOOT,
        },
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    let side = || proptest::option::of(network());
    let mark = proptest::option::of(Just(Mark {
        value: 0x80,
        mask: 0x80,
    }));
    (0u32..3, side(), side(), mark, 1u32..3).prop_map(|(priority, from, to, mark, table)| Rule {
        priority,
        from,
        to,
        mark,
        table: RouteTable(table),
    })
}

fn object() -> impl Strategy<Value = Object> {
    prop_oneof![
        (1u32..3, network()).prop_map(|(link, address)| Object::Address(Address { link, address })),
        route().prop_map(Object::Route),
        (1u32..3, small_address(), 0u8..3).prop_map(|(link, address, last)| {
            Object::Neighbour(Neighbour {
                link,
                address,
                mac: Mac([2, 0, 0, 0, 0, last]),
            })
        }),
        rule().prop_map(Object::Rule),
    ]
}

fn state() -> impl Strategy<Value = State> {
    proptest::collection::btree_set(object(), 0..12)
}

proptest! {
    #[test]
    fn carrying_out_the_difference_makes_the_observed_desired(observed in state(), desired in state()) {
        let mut reached = observed.clone();
        carry_out(&mut reached, &diff(&observed, &desired));
        prop_assert_eq!(reached, desired);
    }

    #[test]
    fn nothing_differs_from_itself(observed in state()) {
        prop_assert_eq!(diff(&observed, &observed), []);
    }

    #[test]
    fn undoing_any_first_part_of_a_plan_restores_the_start(observed in state(), desired in state(), part in 0.0f64..=1.0) {
        let plan = diff(&observed, &desired);
        let done = &plan[..(plan.len() as f64 * part) as usize];
        let mut state = observed.clone();
        carry_out(&mut state, done);
        carry_out(&mut state, &inverse(done));
        prop_assert_eq!(state, observed);
    }

    #[test]
    fn undoing_an_undo_is_the_plan(observed in state(), desired in state()) {
        let plan = diff(&observed, &desired);
        prop_assert_eq!(inverse(&inverse(&plan)), plan);
    }

    #[test]
    fn no_rule_goes_before_everything_new_is_there(observed in state(), desired in state()) {
        let plan = diff(&observed, &desired);
        let removed = |change: &Change| matches!(change, Change::Remove(Object::Rule(_)));
        let added = |change: &Change| matches!(change, Change::Add(_) | Change::Replace { .. });
        let first_removal = plan.iter().position(removed).unwrap_or(plan.len());
        let last_addition = plan.iter().rposition(added).map_or(0, |index| index + 1);
        prop_assert!(last_addition <= first_removal, "{plan:#?}");
    }
}

fn default_route(gateway: u8) -> Object {
    Object::Route(Route {
        table: RouteTable(2),
        destination: "0.0.0.0/0".parse().unwrap(),
        gateway: Some(Ipv4Addr::new(10, 0, 1, gateway)),
        link: Some(3),
        scope: Scope::Global,
        source: None,
        metric: 0,
        protocol: Protocol::BOOT,
    })
}

#[test]
fn a_route_with_another_gateway_is_replaced_in_one_step() {
    let plan = diff(
        &State::from([default_route(9)]),
        &State::from([default_route(1)]),
    );
    assert_eq!(
        plan,
        [Change::Replace {
            old: Some(default_route(9)),
            new: default_route(1)
        }]
    );
}

#[test]
fn of_several_rivals_all_but_one_go_before_the_replacement() {
    let plan = diff(
        &State::from([default_route(8), default_route(9)]),
        &State::from([default_route(1)]),
    );
    let replacement = Change::Replace {
        old: Some(default_route(9)),
        new: default_route(1),
    };
    assert_eq!(plan, [Change::Remove(default_route(8)), replacement]);
}

fn link(rp_filter: Option<u32>) -> Link {
    Link {
        index: 3,
        name: "eth1".into(),
        mac: None,
        up: false,
        mtu: 1500,
        kind: LinkKind::Other,
        peer: None,
        rp_filter,
    }
}

#[test]
fn a_link_gets_its_size_and_filter_before_it_goes_up() {
    let plan = link_changes(
        &link(Some(1)),
        LinkWish {
            mtu: 9001,
            rp_filter: 2,
        },
    );
    let said: Vec<_> = plan.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "set link 3 from mtu 1500 to mtu 9001",
            "set link 3 from rp_filter 1 to rp_filter 2",
            "set link 3 from down to up"
        ]
    );
}

#[test]
fn a_link_that_is_as_wished_is_left_alone() {
    let wished = Link {
        up: true,
        mtu: 9001,
        ..link(Some(2))
    };
    assert_eq!(
        link_changes(
            &wished,
            LinkWish {
                mtu: 9001,
                rp_filter: 2
            }
        ),
        []
    );
}
