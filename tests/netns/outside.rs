//! The laboratory's networks beyond the VPC, seen from a node's own namespace: no pod, no plugin, no daemon.

use e2e::kernel::Inside;
use e2e::mirrors::{dropped, is_silent, mirror, open_group, seen_as};
use e2e::stage::Stage;
use lab::fabric::counters::Reason;
use lab::outside::Place;
use lab::ping::{Ping, sweep};
use lab::talk::Protocol::{self, Tcp, Udp};
use lab::vpc::{Answer, CreateInterface, Request, Wanted};
use model::card::{DeviceIndex, NetworkCard};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

const BOTH: [Protocol; 2] = [Tcp, Udp];

fn at(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

fn quick(target: Ipv4Addr) -> Ping {
    Ping {
        timeout: Duration::from_millis(300),
        ..Ping::to(target, 1)
    }
}

/// One node with everything beyond the VPC.
fn one(test: &str) -> Stage {
    Stage::new(test, |scene| scene.outside().node("m5.large", "a"))
}

/// Gives the node's primary ENI one more address, as a daemon and a pod would.
fn secondary(stage: &Stage) -> Ipv4Addr {
    let assign = Request::AssignPrivateIpAddresses {
        eni: stage.enis(0)[0].id.clone(),
        wanted: Wanted::Count(1),
        allow_reassignment: false,
    };
    let Ok(Answer::Assigned { addresses, .. }) = stage.request(assign) else {
        panic!("not assigned")
    };
    let local = format!("{}/32", addresses[0]);
    let node = stage.node(0);
    node.ip(&["address", "add", &local, "dev", "ens5"]).unwrap();
    addresses[0]
}

#[test]
fn a_nodes_primary_address_reaches_the_internet_under_its_public_address_and_no_other_does() {
    let stage = one("netns/outside-internet");
    let (primary, public) = (stage.nodes()[0].lease.address, stage.public(0).unwrap());
    let (internet, second) = (stage.internet(), secondary(&stage));
    let host = internet.address();
    assert!(stage.ping(0, Ping::to(host, 3)).unwrap().all_arrived());
    for protocol in BOTH {
        let mirror = mirror(internet.namespaces(), protocol, at(host, 80));
        let seen = seen_as(stage.node(0).namespaces(), protocol, mirror.address);
        assert_eq!(*seen.ip(), public, "{protocol:?}");
    }
    let other = Ping {
        source: Some(second),
        ..quick(host)
    };
    assert_eq!(stage.ping(0, other).unwrap().received, 0);
    let reason = Reason::NoPublicAddress;
    assert_eq!(dropped(&stage, (second, host), reason), 1);
    assert_eq!(dropped(&stage, (primary, host), reason), 0);
    let text = reason.to_string();
    assert_eq!(text, "Internet gateway: source has no public address");
}

#[test]
fn a_client_on_the_internet_reaches_a_nodes_public_address_when_a_group_allows_it() {
    let stage = one("netns/outside-inbound");
    let (internet, node) = (stage.internet(), stage.node(0).namespaces());
    let primary = stage.nodes()[0].lease.address;
    let target = at(stage.public(0).unwrap(), 30_080);
    let _mirrors = BOTH.map(|protocol| mirror(node, protocol, at(primary, 30_080)));
    is_silent(internet.namespaces(), Tcp, target);
    open_group(&stage);
    for protocol in BOTH {
        let seen = seen_as(internet.namespaces(), protocol, target);
        assert_eq!(*seen.ip(), internet.address(), "{protocol:?}");
    }
    is_silent(internet.namespaces(), Tcp, at(primary, 30_080));
    assert!(
        internet
            .ping(Ping::to(*target.ip(), 1))
            .unwrap()
            .all_arrived()
    );
}

#[test]
fn every_host_of_a_network_beyond_answers_and_a_peer_sees_true_addresses_both_ways() {
    let stage = one("netns/outside-peer");
    let (peer, node) = (stage.peer(), stage.node(0).namespaces());
    let primary = stage.nodes()[0].lease.address;
    open_group(&stage);
    for target in [
        [203, 0, 113, 7],
        [198, 51, 100, 99],
        [10, 1, 77, 7],
        [192, 168, 5, 5],
    ] {
        let target = Ipv4Addr::from(target);
        assert!(stage.ping(0, Ping::to(target, 1)).unwrap().all_arrived());
    }
    let sides = |side: &Place, protocol| {
        let there = mirror(side.namespaces(), protocol, at(side.address(), 80));
        let here = mirror(node, protocol, at(primary, 80));
        assert_eq!(*seen_as(node, protocol, there.address).ip(), primary);
        let seen = seen_as(side.namespaces(), protocol, here.address);
        assert_eq!(*seen.ip(), side.address());
    };
    for protocol in BOTH {
        sides(peer, protocol);
        sides(stage.premises(), protocol);
    }
}

#[test]
fn a_sweep_names_those_who_answered() {
    let stage = one("netns/outside-sweep");
    let answering = [stage.internet().address(), stage.peer().address()];
    let silent = Ipv4Addr::new(10, 0, 1, 250);
    let all = [answering[0], silent, answering[1]];
    let node = stage.node(0).namespaces();
    let answered = sweep(node, &all, Duration::from_millis(500)).unwrap();
    assert_eq!(answered, BTreeSet::from(answering));
}

#[test]
fn premises_answer_the_vpcs_first_range_and_have_no_route_to_the_second() {
    let stage = Stage::new("netns/outside-premises", |scene| {
        let scene = scene.outside().also("100.64.0.0/16".parse().unwrap());
        let scene = scene.subnet("first", "10.0.1.0/24".parse().unwrap(), "us-west-2a");
        let scene = scene.subnet("second", "100.64.1.0/24".parse().unwrap(), "us-west-2a");
        scene.node("m5.large", "first").node("m5.large", "second")
    });
    let [first, second] = [0, 1].map(|index| stage.nodes()[index].lease.address);
    let host = stage.premises().address();
    assert!(stage.ping(0, Ping::to(host, 1)).unwrap().all_arrived());
    assert!(stage.ping(0, Ping::to(second, 1)).unwrap().all_arrived());
    assert_eq!(stage.ping(1, quick(host)).unwrap().received, 0);
    let reason = Reason::NoRouteBack;
    assert_eq!(dropped(&stage, (host, second), reason), 1, "the answer");
    assert_eq!(dropped(&stage, (host, first), reason), 0);
}

#[test]
fn the_load_balancer_shows_the_client_to_its_targets_and_itself_to_the_client() {
    let stage = one("netns/outside-balancer");
    open_group(&stage);
    let (internet, node) = (stage.internet(), stage.node(0).namespaces());
    let primary = stage.nodes()[0].lease.address;
    for protocol in BOTH {
        let target = mirror(node, protocol, at(primary, 30_080));
        let front = stage.balance((protocol, 80), vec![target.address]).unwrap();
        for _ in 0..3 {
            let seen = seen_as(internet.namespaces(), protocol, front);
            assert_eq!(*seen.ip(), internet.address(), "{protocol:?}");
        }
        assert_eq!(target.seen().len(), 3);
    }
}

#[test]
fn an_answer_to_the_load_balancer_by_another_eni_is_dropped_and_named() {
    let stage = one("netns/outside-asymmetric");
    open_group(&stage);
    let second = attached(&stage);
    let (internet, node) = (stage.internet(), stage.node(0).namespaces());
    let _target = mirror(node, Tcp, at(second, 30_080));
    let front = stage.balance((Tcp, 80), vec![at(second, 30_080)]).unwrap();
    // No rule sends what comes from the second ENI out through it.
    is_silent(internet.namespaces(), Tcp, front);
    let pair = (second, internet.address());
    assert!(dropped(&stage, pair, Reason::AnotherEni) > 0);
    let gateway = "route add default via 10.0.1.1 dev ens6 onlink table 2";
    let gateway: Vec<&str> = gateway.split(' ').collect();
    stage.node(0).ip(&gateway).unwrap();
    let from = second.to_string();
    stage
        .node(0)
        .ip(&["rule", "add", "from", &from, "lookup", "2"])
        .unwrap();
    let seen = seen_as(internet.namespaces(), Tcp, front);
    assert_eq!(*seen.ip(), internet.address());
}

#[test]
fn an_answer_to_the_load_balancer_from_another_address_is_dropped_and_named() {
    let stage = one("netns/outside-source");
    open_group(&stage);
    let (primary, second) = (stage.nodes()[0].lease.address, secondary(&stage));
    let internet = stage.internet();
    // A datagram socket for all addresses answers from the one that the route prefers.
    let everywhere = at(Ipv4Addr::UNSPECIFIED, 30_080);
    let _target = mirror(stage.node(0).namespaces(), Udp, everywhere);
    let front = stage.balance((Udp, 80), vec![at(second, 30_080)]).unwrap();
    is_silent(internet.namespaces(), Udp, front);
    let pair = (primary, internet.address());
    assert_eq!(dropped(&stage, pair, Reason::AnotherSource), 1);
}

/// Attaches a second ENI and gives its link its address; routing stays as it is.
fn attached(stage: &Stage) -> Ipv4Addr {
    let create = CreateInterface {
        groups: vec![stage.group().clone()],
        ..CreateInterface::in_subnet(stage.subnet("a").unwrap().clone())
    };
    let Ok(Answer::Interface(made)) = stage.request(Request::CreateNetworkInterface(create)) else {
        panic!("no ENI")
    };
    let attach = Request::AttachNetworkInterface {
        eni: made.interface.id.clone(),
        instance: stage.nodes()[0].instance.clone(),
        index: DeviceIndex(1),
        card: NetworkCard(0),
    };
    stage.request(attach).unwrap();
    let address = made.interface.primary().unwrap();
    e2e::expect::eventually("the link is there", Duration::from_secs(20), || {
        let links = stage.node(0).links();
        e2e::expect::when(links, |links| links.contains(&"ens6".to_owned()))
    });
    let node = stage.node(0);
    node.ip(&["link", "set", "dev", "ens6", "up"]).unwrap();
    let local = format!("{address}/32");
    node.ip(&["address", "add", &local, "dev", "ens6"]).unwrap();
    let loose = [
        "sh",
        "-c",
        "echo 2 > /proc/sys/net/ipv4/conf/ens6/rp_filter",
    ];
    node.run(|| lab::command::run(&loose, "")).unwrap().unwrap();
    address
}
