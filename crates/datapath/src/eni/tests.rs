//! Plans for an ENI from the states it is found in.

use super::*;
use crate::value::LinkKind;

fn wiring() -> EniWiring {
    EniWiring {
        mac: Mac([2, 0, 0, 0, 0, 0x20]),
        primary: Ipv4Addr::new(10, 0, 1, 20),
        subnet: "10.0.1.0/24".parse().unwrap(),
        table: RouteTable(2),
        mtu: 9001,
    }
}

fn link(index: u32) -> Link {
    Link {
        index,
        name: format!("eth{index}"),
        mac: Some(wiring().mac),
        up: true,
        mtu: 9001,
        kind: LinkKind::Other,
        peer: None,
        rp_filter: Some(LOOSE),
    }
}

fn address(link: u32, text: &str) -> Address {
    Address {
        link,
        address: text.parse().unwrap(),
    }
}

fn connected(link: u32, source: [u8; 4]) -> Route {
    Route {
        table: RouteTable::MAIN,
        destination: "10.0.1.0/24".parse().unwrap(),
        gateway: None,
        link: Some(link),
        scope: Scope::Link,
        source: Some(source.into()),
        metric: 0,
        protocol: Protocol::KERNEL,
    }
}

fn split(objects: BTreeSet<Object>) -> Routing {
    let mut routing = Routing::default();
    for object in objects {
        match object {
            Object::Route(route) => routing.own.push(route),
            Object::Rule(rule) => routing.rules.push(rule),
            other => panic!("{other}"),
        }
    }
    routing
}

fn said(plan: &[Change]) -> Vec<String> {
    plan.iter().map(ToString::to_string).collect()
}

#[test]
fn a_fresh_eni_gets_everything_in_order() {
    let fresh = Link {
        up: false,
        mtu: 1500,
        rp_filter: Some(1),
        ..link(3)
    };
    assert_eq!(
        said(&wiring().plan_link(&fresh, &[])),
        [
            "set link 3 from mtu 1500 to mtu 9001",
            "set link 3 from rp_filter 1 to rp_filter 2",
            "set link 3 from down to up",
            "add address 10.0.1.20/24 on link 3",
        ]
    );
    let main = vec![connected(2, [10, 0, 1, 10]), connected(3, [10, 0, 1, 20])];
    assert_eq!(
        said(&wiring().plan_routing(
            3,
            &Routing {
                main,
                ..Routing::default()
            }
        )),
        [
            "add route 10.0.1.1 dev #3 table 2 scope link",
            "add route default via 10.0.1.1 dev #3 table 2",
            "add rule 32765:\tfrom 10.0.1.20 lookup 2",
            "remove route 10.0.1.0/24 dev #3 proto kernel scope link src 10.0.1.20",
        ],
        "the primary ENI's connected route stays"
    );
}

#[test]
fn an_eni_that_is_set_up_needs_nothing() {
    assert_eq!(
        wiring().plan_link(&link(3), &[address(3, "10.0.1.20/24")]),
        []
    );
    assert_eq!(wiring().plan_routing(3, &split(wiring().routing(3))), []);
}

#[test]
fn foreign_global_addresses_go_and_other_links_and_link_local_ones_stay() {
    let observed = [
        address(3, "10.0.1.99/24"),
        address(3, "10.0.1.20/32"),
        address(3, "169.254.7.7/16"),
        address(2, "10.0.1.10/24"),
    ];
    assert_eq!(
        said(&wiring().plan_link(&link(3), &observed)),
        [
            "remove address 10.0.1.20/32 on link 3",
            "remove address 10.0.1.99/24 on link 3",
            "add address 10.0.1.20/24 on link 3",
        ]
    );
}

#[test]
fn our_address_is_added_again_when_the_removal_of_another_may_have_dropped_it() {
    let observed = [address(3, "10.0.1.50/24"), address(3, "10.0.1.20/24")];
    assert_eq!(
        said(&wiring().plan_link(&link(3), &observed)),
        [
            "remove address 10.0.1.50/24 on link 3",
            "add address 10.0.1.20/24 on link 3"
        ]
    );
}

#[test]
fn routes_over_a_link_that_came_back_with_another_index_are_replaced() {
    assert_eq!(
        said(&wiring().plan_routing(5, &split(wiring().routing(3)))),
        [
            "replace route 10.0.1.1 dev #3 table 2 scope link by route 10.0.1.1 dev #5 table 2 scope link",
            "replace route default via 10.0.1.1 dev #3 table 2 by route default via 10.0.1.1 dev #5 table 2",
        ]
    );
}

#[test]
fn other_routes_of_the_table_and_other_rules_are_left_alone() {
    let mut observed = split(wiring().routing(3));
    observed.own.push(Route {
        table: RouteTable(2),
        ..connected(3, [10, 0, 1, 20])
    });
    let somebodys = Rule {
        priority: 1000,
        ..observed.rules[0].clone()
    };
    let another = Rule {
        from: Some(host([10, 0, 1, 30].into())),
        ..observed.rules[0].clone()
    };
    observed.rules.extend([somebodys, another]);
    assert_eq!(wiring().plan_routing(3, &observed), []);
}

#[test]
fn a_rule_of_ours_into_another_table_goes_after_the_right_one_came() {
    let mut observed = split(wiring().routing(3));
    observed.rules[0].table = RouteTable(7);
    assert_eq!(
        said(&wiring().plan_routing(3, &observed)),
        [
            "add rule 32765:\tfrom 10.0.1.20 lookup 2",
            "remove rule 32765:\tfrom 10.0.1.20 lookup 7"
        ]
    );
}

#[test]
fn of_links_with_the_same_address_the_oldest_is_the_device() {
    let other = Link {
        mac: None,
        ..link(1)
    };
    let links = Links {
        known: vec![link(9), link(3), other],
        unreadable: 0,
    };
    assert_eq!(link_of(links, wiring().mac).unwrap().index, 3);
}

#[test]
fn a_missing_link_is_told_with_the_links_that_could_not_be_read() {
    let links = Links {
        known: vec![link(1)],
        unreadable: 2,
    };
    let told = link_of(links, Mac([9; 6])).unwrap_err().to_string();
    assert_eq!(
        told,
        "no link has the MAC address 09:09:09:09:09:09 (2 links could not be read)"
    );
}

#[test]
fn the_primary_eni_is_refused_before_anything_is_touched() {
    for table in [0, 1, 254] {
        let refused = apply(&EniWiring {
            table: RouteTable(table),
            ..wiring()
        });
        assert!(
            matches!(refused, Err(ApplyError::PrimaryTable)),
            "{refused:?}"
        );
    }
}
