//! Pods on two nodes through CRI: packets within and across nodes, a host port through portmap, pods that no API server
//! knows, and what is left of them.

use crate::steady::Steady;
use e2e::cluster::{Cluster, succeed};
use lab::kubelet::sandbox::{PodRequest, Sandbox};
use lab::ping::Ping;
use lab::talk::{Call, Mirror, Protocol, ask};
use std::net::{Ipv4Addr, SocketAddrV4};

const TYPES: [&str; 2] = ["m5.large", "m5.large"];

#[track_caller]
fn reaches(from: &Sandbox, target: Ipv4Addr) {
    let pinged = from.ping(Ping::to(target, 3)).unwrap().unwrap();
    assert!(
        pinged.all_arrived(),
        "{} -> {target}: {pinged:?}",
        from.ip()
    );
}

#[test]
fn pods_reach_each_other_and_leave_nothing() {
    let (cluster, _daemons) = Cluster::ready("containerd/pods", &TYPES, &[]);
    let [a, b, c] = [(0, "a"), (0, "b"), (1, "c")]
        .map(|(node, name)| cluster.run(node, &PodRequest::new(name)));
    for (from, to) in [(&a, &b), (&b, &a), (&a, &c), (&c, &a), (&c, &b)] {
        reaches(from, to.ip());
    }
    cluster.holds_exactly(0, &[&a, &b]);

    // What kubelet calls a static pod: its uid is a hash, no API server has ever seen it.
    let mut stat = PodRequest::new("kube-proxy-node-1");
    (stat.namespace, stat.uid) = (
        "kube-system".to_owned(),
        "5c4d3b2a190807f6e5d4c3b2a1908070".to_owned(),
    );
    let stat = cluster.run(0, &stat);
    reaches(&stat, c.ip());

    let host = cluster.run(0, &PodRequest::new("on-the-host").on_host_network());
    assert_eq!(host.netns(), None, "it has the node's network");
    cluster.holds_exactly(0, &[&a, &b, &stat]);

    let rules = |node: usize| {
        let run = || lab::command::run(&["ip", "rule"], "");
        cluster.stage().node(node).run(run).unwrap().unwrap()
    };
    for sandbox in [&stat, &host, &b] {
        succeed("stop", sandbox, sandbox.stop());
    }
    cluster.holds_exactly(0, &[&a]);
    assert!(!rules(0).contains(&b.ip().to_string()), "{}", rules(0));
    // Remove sends DEL without a namespace, for a pod that is gone.
    for sandbox in [&stat, &host, &b] {
        succeed("remove", sandbox, sandbox.remove());
    }
    reaches(&a, c.ip());
    [&a, &c]
        .into_iter()
        .for_each(|sandbox| cluster.delete(sandbox));
    (0..2).for_each(|node| cluster.holds_exactly(node, &[]));
}

#[test]
fn a_host_port_leads_to_its_pod_and_goes_with_it() {
    let (cluster, _daemons) = Cluster::ready("containerd/host-port", &TYPES, &[]);
    let server = cluster.run(0, &PodRequest::new("server").host_port(8080, 80));
    let client = cluster.run(1, &PodRequest::new("client"));
    let node = cluster.stage().nodes()[0].lease.address;
    let (inside, outside) = (
        SocketAddrV4::new(server.ip(), 80),
        SocketAddrV4::new(node, 8080),
    );
    let mirror = Mirror::open(&server.namespaces().unwrap(), Protocol::Tcp, inside).unwrap();
    let call = Call::to(Protocol::Tcp, outside);
    let seen = ask(&client.namespaces().unwrap(), call).unwrap();
    assert_eq!(*seen.ip(), client.ip(), "the pod sees who calls");
    drop(mirror);
    cluster.delete(&server);
    ask(&client.namespaces().unwrap(), call).unwrap_err();
    let filter = || lab::command::run(&["iptables-save", "-t", "nat"], "");
    let left = cluster.stage().node(0).run(filter).unwrap().unwrap();
    assert!(
        !left.contains("8080"),
        "portmap's rules went with the pod: {left}"
    );
}

#[test]
fn traffic_goes_on_while_pods_come_and_go() {
    let (mut steady, _daemons) = Steady::new("containerd/comings");
    let target = steady.there.ip();
    steady.ready_meanwhile(|cluster| {
        for round in 0..6 {
            let pod = cluster.run(0, &PodRequest::new(&format!("guest-{round}")));
            reaches(&pod, target);
            cluster.delete(&pod);
        }
    });
    steady.cluster.holds_exactly(0, &[&steady.here]);
}
