//! Node ports on every ENI, and the marks that answers find their way back with. kube-proxy is a table of the test's
//! own that sends a port of every local address to a pod, the client's address kept (`externalTrafficPolicy: Local`).

use crate::way_out::{BOTH, SECOND, SNAT, at, border, pods};
use e2e::filter::Filter;
use e2e::mirrors::{mirror, seen_as};
use e2e::stage::Stage;
use lab::runtime::pod::Pod;
use lab::talk::Protocol::{self, Tcp};
use std::net::{Ipv4Addr, SocketAddrV4};

const NODE_PORT: u16 = 30_080;

/// Sends the node's port of every local address to a pod.
fn kube_proxy(stage: &Stage, pod: &Pod<'_>) {
    let table = format!(
        "table ip kube-proxy-of-test {{}}
         delete table ip kube-proxy-of-test
         table ip kube-proxy-of-test {{ chain services {{
             type nat hook prerouting priority dstnat;
             fib daddr type local meta l4proto {{ tcp, udp }} th dport {NODE_PORT} dnat to {}:80
         }}
         }}",
        pod.address
    );
    stage.node(0).nft_script(&table);
}

/// The primary address of each ENI of the first node.
fn addresses(stage: &Stage) -> Vec<Ipv4Addr> {
    let enis = stage.enis(0).into_iter();
    enis.map(|eni| eni.primary().unwrap()).collect()
}

/// Clients of every kind, to the ports that they reach an address of the node by.
#[track_caller]
fn all_reach(stage: &Stage, address: Ipv4Addr, protocol: Protocol, what: &str) {
    let target = at(address, NODE_PORT);
    let other = (
        &**stage.node(1).namespaces(),
        stage.nodes()[1].lease.address,
    );
    let peer = (stage.peer().namespaces(), stage.peer().address());
    let internet = (stage.internet().namespaces(), stage.internet().address());
    let front = stage.balance((protocol, 443), vec![target]).unwrap();
    let mut calls: Vec<(_, SocketAddrV4)> = vec![(other, target), (peer, target)];
    calls.push((internet, front));
    if address == stage.nodes()[0].lease.address {
        calls.push((internet, at(stage.public(0).unwrap(), NODE_PORT)));
    }
    for ((client, own), target) in calls {
        let seen = seen_as(client, protocol, target);
        assert_eq!(*seen.ip(), own, "{what}, {protocol:?} {own} -> {target}");
    }
}

#[test]
fn t28_a_node_port_of_any_eni_leads_to_a_pod_of_any_eni_and_keeps_the_client() {
    let stage = border("netns/node-port");
    let daemon = stage.daemon(0, &[]);
    let pods = pods(&stage, &daemon, SECOND);
    for pod in &pods {
        kube_proxy(&stage, pod);
        for protocol in BOTH {
            let _service = mirror(pod.namespaces(), protocol, at(pod.address, 80));
            for (index, address) in addresses(&stage).into_iter().enumerate() {
                let what = format!("ENI {index} to {}", pod.address);
                all_reach(&stage, address, protocol, &what);
            }
        }
    }
}

#[test]
fn t28_node_ports_stay_when_translation_is_external() {
    let stage = border("netns/node-port-external");
    let daemon = stage.daemon(0, &[("AWS_VPC_K8S_CNI_EXTERNALSNAT", "true")]);
    let pods = pods(&stage, &daemon, SECOND);
    for pod in &pods {
        kube_proxy(&stage, pod);
        let _service = mirror(pod.namespaces(), Tcp, at(pod.address, 80));
        for (index, address) in addresses(&stage).into_iter().enumerate() {
            let what = format!("ENI {index} to {}", pod.address);
            all_reach(&stage, address, Tcp, &what);
        }
    }
}

/// Sets every bit but the node's own of each mark early, and counts late how many packets still have them.
const STRANGER: &str = "table ip stranger {
    counter kept {}
    counter lost {}
    chain early { type filter hook prerouting priority mangle - 10;
        meta mark set meta mark | 0xffffff7f
        ct mark set ct mark | 0x7fffff7f
    }
    chain late { type filter hook forward priority 100;
        meta mark & 0xffffff7f == 0xffffff7f ct mark & 0x7fffff7f == 0x7fffff7f counter name kept return
        counter name lost
    }
}";

#[test]
fn t28_other_programs_bits_of_packet_and_connection_marks_are_kept() {
    let stage = border("netns/node-port-marks");
    let daemon = stage.daemon(0, &[("AWS_VPC_CNI_NODE_PORT_SUPPORT", "false")]);
    let pods = pods(&stage, &daemon, SNAT);
    stage.node(0).nft_script(STRANGER);
    let place = stage.peer();
    let node = stage.nodes()[0].lease.address;
    for protocol in BOTH {
        let there = mirror(place.namespaces(), protocol, at(place.address(), 80));
        for pod in &pods {
            let seen = seen_as(pod.namespaces(), protocol, there.address);
            assert_eq!(*seen.ip(), node, "{} {protocol:?}", pod.address);
        }
    }
    let list = ["list", "counters", "table", "ip", "stranger"];
    let text = stage.node(0).nft(&list).unwrap();
    let packets = |name: &str| -> u64 {
        let counter = text.split(&format!("counter {name} {{")).nth(1).unwrap();
        let number = counter.split("packets ").nth(1).unwrap();
        number.split(' ').next().unwrap().parse().unwrap()
    };
    // A question and an answer of UDP, at least five packets of TCP, from two pods.
    assert!(packets("kept") >= 14, "{text}");
    assert_eq!(packets("lost"), 0, "{text}");
}
