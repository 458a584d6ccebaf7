//! Pods and the world beyond the VPC, with real packets: as whom they are seen, where answers leave, what the other side
//! of a border can reach. The truth table of upstream's users: VPC ranges, exclusions, external translation.

use crate::nat::table_with;
use e2e::daemon::{Daemon, PATIENCE};
use e2e::expect::{eventually, when};
use e2e::filter::{Filter, Handles, TABLE};
use e2e::mirrors::{dropped, is_silent, mirror, open_group, seen_as};
use e2e::stage::Stage;
use lab::fabric::counters::Reason;
use lab::namespace::Namespaces;
use lab::runtime::pod::Pod;
use lab::talk::Protocol::{self, Tcp, Udp};
use lab::talk::{Call, Mirror, ask};
use lab::vpc::{Answer, CreateInterface, Request, Side, Wanted};
use model::card::{DeviceIndex, NetworkCard};
use std::net::{Ipv4Addr, SocketAddrV4};

pub(crate) const BOTH: [Protocol; 2] = [Tcp, Udp];
const EXTERNAL: (&str, &str) = ("AWS_VPC_K8S_CNI_EXTERNALSNAT", "true");
const EXCLUDE_PEER: (&str, &str) = ("AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS", "10.1.0.0/16");

/// What the node's table says when it translates at all, and when it knows the second ENI.
pub(crate) const SNAT: &str = "snat to";
pub(crate) const SECOND: &str = "\"ens6\"";

pub(crate) fn at(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

/// Two nodes with all networks beyond the VPC; a t3.nano's two ENIs have one address for a pod each.
pub(crate) fn border(test: &str) -> Stage {
    let stage = Stage::new(test, |scene| {
        scene.outside().node("t3.nano", "a").node("t3.nano", "b")
    });
    open_group(&stage);
    stage
}

/// A pod on the primary and one on the second ENI of the first node, whose table has these words.
pub(crate) fn pods<'s>(stage: &'s Stage, daemon: &Daemon, words: &str) -> [Pod<'s>; 2] {
    let pods = ["web-0", "web-1"].map(|name| stage.pod(0, name));
    stage.settle(0, daemon, 2);
    table_with(stage.node(0), words);
    let enis = stage.enis(0);
    for (pod, eni) in pods.iter().zip(&enis) {
        assert!(eni.has(pod.address), "{} on {}", pod.address, eni.id);
    }
    pods
}

/// A destination of each kind, and who answers there.
struct Far {
    mirrors: Vec<(&'static str, Protocol, Mirror)>,
}

impl Far {
    fn of(stage: &Stage) -> Self {
        let mut mirrors = Vec::new();
        for protocol in BOTH {
            for side in Side::ALL {
                let place = stage.place(side);
                let there = mirror(place.namespaces(), protocol, at(place.address(), 80));
                mirrors.push((side.name(), protocol, there));
            }
            let (other, address) = (stage.node(1), stage.nodes()[1].lease.address);
            let there = mirror(other.namespaces(), protocol, at(address, 80));
            mirrors.push(("vpc", protocol, there));
        }
        Self { mirrors }
    }

    /// As whom each destination sees the caller; nobody where nothing arrives.
    #[track_caller]
    fn sees(&self, from: &Namespaces, want: &[(&str, Option<Ipv4Addr>)]) {
        for (name, protocol, there) in &self.mirrors {
            let row = want.iter().find(|(row, _)| row == name);
            match row.unwrap_or_else(|| panic!("no row for {name}")).1 {
                Some(address) => {
                    let seen = seen_as(from, *protocol, there.address);
                    assert_eq!(*seen.ip(), address, "{name} {protocol:?}");
                }
                None => is_silent(from, *protocol, there.address),
            }
        }
    }
}

#[test]
fn t28_beyond_the_vpc_pods_of_every_eni_are_seen_as_their_node_and_inside_as_themselves() {
    let stage = border("netns/way-out-default");
    let daemon = stage.daemon(0, &[]);
    let (far, pods) = (Far::of(&stage), pods(&stage, &daemon, SNAT));
    let (node, public) = (stage.nodes()[0].lease.address, stage.public(0));
    let rows = |own| {
        [
            ("internet", public),
            ("peer", Some(node)),
            ("premises", Some(node)),
            ("vpc", Some(own)),
        ]
    };
    for pod in &pods {
        far.sees(pod.namespaces(), &rows(pod.address));
    }
    far.sees(stage.node(0).namespaces(), &rows(node));
}

#[test]
fn t28_with_external_translation_every_network_sees_the_pod_and_the_internet_gateway_drops_it() {
    let stage = border("netns/way-out-external");
    let daemon = stage.daemon(0, &[EXTERNAL]);
    let (far, pods) = (Far::of(&stage), pods(&stage, &daemon, SECOND));
    for pod in &pods {
        let own = Some(pod.address);
        let rows = [
            ("internet", None),
            ("peer", own),
            ("premises", own),
            ("vpc", own),
        ];
        far.sees(pod.namespaces(), &rows);
        let pair = (pod.address, stage.internet().address());
        assert!(dropped(&stage, pair, Reason::NoPublicAddress) > 0);
    }
}

#[test]
fn t28_an_excluded_range_sees_the_pod_itself_and_all_others_the_node() {
    let stage = border("netns/way-out-excluded");
    let daemon = stage.daemon(0, &[EXCLUDE_PEER]);
    let (far, pods) = (Far::of(&stage), pods(&stage, &daemon, "10.1.0.0/16"));
    let (node, public) = (stage.nodes()[0].lease.address, stage.public(0));
    for pod in &pods {
        let rows = [
            ("internet", public),
            ("peer", Some(pod.address)),
            ("premises", Some(node)),
            ("vpc", Some(pod.address)),
        ];
        far.sees(pod.namespaces(), &rows);
    }
}

#[test]
fn t28_a_changed_setting_changes_as_whom_living_pods_are_seen() {
    let stage = border("netns/way-out-flip");
    let daemon = stage.daemon(0, &[]);
    let (pods, node) = (pods(&stage, &daemon, SNAT), stage.nodes()[0].lease.address);
    let place = stage.peer();
    let there = mirror(place.namespaces(), Tcp, at(place.address(), 80));
    let seen = |pod: &Pod<'_>| *seen_as(pod.namespaces(), Tcp, there.address).ip();
    assert_eq!(pods.each_ref().map(seen), [node; 2]);
    daemon.stop();
    let external = stage.daemon(0, &[EXTERNAL]);
    // Connections that live while the table changes are another matter.
    eventually("nothing is translated", PATIENCE, || {
        let table = stage.node(0).table(TABLE, Handles::Hidden);
        when(table, |table| {
            table.as_ref().is_some_and(|table| !table.contains(SNAT))
        })
    });
    let own = pods.each_ref().map(|pod| pod.address);
    assert_eq!(pods.each_ref().map(seen), own);
    external.stop();
    let _again = stage.daemon(0, &[]);
    table_with(stage.node(0), SNAT);
    assert_eq!(pods.each_ref().map(seen), [node; 2]);
}

#[test]
fn the_source_port_stays_without_randomisation_and_changes_with_either_kind() {
    for (mode, stays) in [("none", true), ("prng", false), ("hashrandom", false)] {
        let stage = border(&format!("netns/way-out-{mode}"));
        let daemon = stage.daemon(0, &[("AWS_VPC_K8S_CNI_RANDOMIZESNAT", mode)]);
        let (pods, place) = (pods(&stage, &daemon, SNAT), stage.peer());
        let there = mirror(place.namespaces(), Udp, at(place.address(), 80));
        for (pod, first) in pods.iter().zip([41_000, 42_000]) {
            // A random port can be the same one: eight in a row are not.
            let same = (first..first + 8).filter(|port| {
                let call = Call {
                    source: at(pod.address, *port),
                    ..Call::to(Udp, there.address)
                };
                ask(pod.namespaces(), call).unwrap().port() == *port
            });
            let expected = if stays { 8..=8 } else { 0..=7 };
            let same = same.count();
            assert!(expected.contains(&same), "{mode}: {same} of 8 stayed");
        }
    }
}

#[test]
fn t28_a_client_beyond_the_vpc_reaches_a_pod_of_every_eni_and_its_answers_are_the_pods_own() {
    let stage = border("netns/way-out-inbound");
    let daemon = stage.daemon(0, &[]);
    let pods = pods(&stage, &daemon, SECOND);
    for pod in &pods {
        for protocol in BOTH {
            let target = mirror(pod.namespaces(), protocol, at(pod.address, 80));
            for side in [Side::Peer, Side::Premises] {
                let client = stage.place(side);
                // The client accepts an answer from the address that it asked, and the fabric one by its own ENI.
                let seen = seen_as(client.namespaces(), protocol, target.address);
                assert_eq!(*seen.ip(), client.address(), "{side} {protocol:?}");
            }
        }
    }
    assert_eq!(
        stage.counters().dropped.len(),
        0,
        "{:?}",
        stage.counters().dropped
    );
}

#[test]
fn t28_a_load_balancer_that_keeps_the_client_reaches_a_pod_of_every_eni_directly() {
    let stage = border("netns/way-out-balancer");
    let daemon = stage.daemon(0, &[]);
    let (pods, client) = (pods(&stage, &daemon, SECOND), stage.internet());
    for pod in &pods {
        for protocol in BOTH {
            let target = mirror(pod.namespaces(), protocol, at(pod.address, 80));
            let front = stage
                .balance((protocol, 443), vec![target.address])
                .unwrap();
            let seen = seen_as(client.namespaces(), protocol, front);
            assert_eq!(*seen.ip(), client.address(), "{} {protocol:?}", pod.address);
        }
    }
}

/// A node whose second ENI is in a range of the VPC that the premises have no route to, with a pod on it.
fn in_second_range(test: &str, setting: &[(&str, &str)], check: impl FnOnce(&Stage, &Pod<'_>)) {
    let stage = Stage::new(test, |scene| {
        let scene = scene.outside().also("100.64.0.0/16".parse().unwrap());
        let scene = scene.subnet("first", "10.0.1.0/24".parse().unwrap(), "us-west-2a");
        let scene = scene.subnet("second", "100.64.1.0/24".parse().unwrap(), "us-west-2a");
        scene.node("t3.nano", "first")
    });
    open_group(&stage);
    attach_in(&stage, "second");
    let daemon = stage.daemon(0, setting);
    daemon.has_usable(2);
    table_with(stage.node(0), SECOND);
    let pods = ["web-0", "web-1"].map(|name| stage.pod(0, name));
    let is_second = |pod: &&Pod<'_>| pod.address.octets()[..3] == [100, 64, 1];
    let pod = pods.iter().find(is_second);
    check(&stage, pod.expect("each ENI has one address for a pod"));
}

/// Attaches an ENI of a subnet with one address for a pod, as an operator does.
fn attach_in(stage: &Stage, subnet: &str) {
    let create = CreateInterface {
        groups: vec![stage.group().clone()],
        wanted: Wanted::Count(1),
        ..CreateInterface::in_subnet(stage.subnet(subnet).unwrap().clone())
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
}

#[test]
fn t28_premises_without_a_route_to_a_second_range_hear_its_pods_as_their_node() {
    in_second_range("netns/way-out-second", &[], |stage, pod| {
        let place = stage.premises();
        for protocol in BOTH {
            let there = mirror(place.namespaces(), protocol, at(place.address(), 80));
            let seen = seen_as(pod.namespaces(), protocol, there.address);
            assert_eq!(*seen.ip(), stage.nodes()[0].lease.address);
        }
    });
}

#[test]
fn t28_without_translation_premises_hear_pods_of_a_second_range_and_cannot_answer_them() {
    in_second_range(
        "netns/way-out-second-external",
        &[EXTERNAL],
        |stage, pod| {
            let place = stage.premises();
            let there = mirror(place.namespaces(), Udp, at(place.address(), 80));
            is_silent(pod.namespaces(), Udp, there.address);
            assert_eq!(*there.seen()[0].ip(), pod.address);
            let answer = (place.address(), pod.address);
            assert_eq!(dropped(stage, answer, Reason::NoRouteBack), 1);
        },
    );
}
