//! The worked example of datapath.md §7.2 and §7.7, without branch ENIs, line by line.

use std::collections::BTreeSet;

use super::*;
use crate::eni::EniWiring;
use crate::host::HostWiring;
use crate::layout::CONNMARK;

const ETH0: u32 = 2;
const ETH1: u32 = 3;
const VETH_A: u32 = 8;
const VETH_B: u32 = 9;

fn web(ordinal: u8, address: [u8; 4], table: u32) -> PodWiring {
    PodWiring {
        pod: PodName {
            namespace: "default".into(),
            name: format!("web-{ordinal}"),
        },
        veth_prefix: "eni".into(),
        container_ifname: "eth0".into(),
        address: address.into(),
        table: RouteTable(table),
        mtu: 9001,
    }
}

fn pod_a() -> PodWiring {
    web(0, [10, 0, 1, 101], 254)
}

fn pod_b() -> PodWiring {
    web(1, [10, 0, 1, 121], 2)
}

fn eth1() -> EniWiring {
    EniWiring {
        mac: "02:00:00:00:00:20".parse().unwrap(),
        primary: [10, 0, 1, 20].into(),
        subnet: "10.0.1.0/24".parse().unwrap(),
        table: RouteTable(2),
        mtu: 9001,
    }
}

fn node() -> BTreeSet<Object> {
    let host = HostWiring {
        primary: "02:00:00:00:00:10".parse().unwrap(),
        mtu: 9001,
        mark: CONNMARK,
        marking: true,
        returns: vec![],
        external_services: vec![],
    };
    let mut objects = host.objects();
    objects.extend(eth1().addresses(ETH1));
    objects.extend(eth1().routing(ETH1));
    objects.extend(pod_a().host_side(VETH_A));
    objects.extend(pod_b().host_side(VETH_B));
    objects
}

fn device(index: Option<u32>) -> String {
    match index.unwrap() {
        ETH0 => "eth0".into(),
        ETH1 => "eth1".into(),
        VETH_A => pod_a().host_interface(),
        VETH_B => pod_b().host_interface(),
        other => panic!("link {other}"),
    }
}

fn lines(
    objects: &BTreeSet<Object>,
    device: impl Fn(Option<u32>) -> String,
) -> (Vec<String>, Vec<String>) {
    let mut rules: Vec<(u32, String)> = Vec::new();
    let mut routes = Vec::new();
    for object in objects {
        match object {
            Object::Rule(rule) => rules.push((rule.priority, rule.to_string())),
            Object::Route(route) => routes.push(route.line(&device(route.link))),
            Object::Address(_) | Object::Neighbour(_) => {}
        }
    }
    rules.sort();
    (rules.into_iter().map(|(_, line)| line).collect(), routes)
}

#[test]
fn the_life_of_a_packet_is_told_by_these_rules_and_routes() {
    let (rules, routes) = lines(&node(), device);
    assert_eq!(
        rules,
        [
            "512:\tfrom all to 10.0.1.101 lookup main",
            "512:\tfrom all to 10.0.1.121 lookup main",
            "1024:\tfrom all fwmark 0x80/0x80 lookup main",
            "1536:\tfrom 10.0.1.121 lookup 2",
            "32765:\tfrom 10.0.1.20 lookup 2",
        ]
    );
    assert_eq!(
        routes,
        [
            "default via 10.0.1.1 dev eth1 table 2",
            "10.0.1.1 dev eth1 table 2 scope link",
            "10.0.1.101 dev eni0d7763386da scope link",
            "10.0.1.121 dev eni0761ccbeace scope link",
        ]
    );
}

#[test]
fn the_pod_sees_one_address_two_routes_and_a_permanent_neighbour() {
    let host_mac: Mac = "5a:00:00:00:00:01".parse().unwrap();
    let inside = pod_b().pod_side(2, host_mac);
    let (rules, routes) = lines(&inside, |_| "eth0".into());
    assert!(rules.is_empty());
    assert_eq!(
        routes,
        [
            "default via 169.254.1.1 dev eth0",
            "169.254.1.1 dev eth0 scope link"
        ]
    );
    let rest: Vec<_> = inside
        .iter()
        .filter(|it| !matches!(it, Object::Route(_)))
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        rest,
        [
            "address 10.0.1.121/32 on link 2",
            "neighbour 169.254.1.1 lladdr 5a:00:00:00:00:01 on link 2"
        ]
    );
}

#[test]
fn the_pod_end_goes_up_first_and_reaches_the_gateway_before_it_is_the_default() {
    let said: Vec<_> = pod_b()
        .pod_changes(2, Mac([2; 6]))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        said,
        [
            "set link 2 from down to up",
            "add address 10.0.1.121/32 on link 2",
            "add route 169.254.1.1 dev #2 scope link",
            "add route default via 169.254.1.1 dev #2",
            "add neighbour 169.254.1.1 lladdr 02:02:02:02:02:02 on link 2",
        ]
    );
}

#[test]
fn the_host_takes_the_route_over_from_a_former_holder() {
    let said: Vec<_> = pod_b()
        .host_changes(9)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        said,
        [
            "set link 9 from down to up",
            "put route 10.0.1.121 dev #9 scope link",
            "add rule 512:\tfrom all to 10.0.1.121 lookup main",
            "add rule 1536:\tfrom 10.0.1.121 lookup 2",
        ]
    );
}

#[test]
fn tables_zero_and_one_are_main() {
    for table in [0, 1, 254] {
        assert_eq!(
            web(1, [10, 0, 1, 121], table).host_side(9),
            web(1, [10, 0, 1, 121], 254).host_side(9)
        );
    }
    assert_eq!(pod_a().host_side(8).len(), 2);
}
