//! The runtime and the daemon are restarted under traffic: pods keep their packets, sandboxes are made and ended all the
//! while.

use e2e::cluster::{Cluster, succeed};
use e2e::expect::eventually;
use e2e::traffic::{Stream, unbroken};
use lab::cri::watch::StatusWatch;
use lab::kubelet::sandbox::PodRequest;
use nix::sys::signal::Signal;
use std::time::Duration;

const TYPES: [&str; 2] = ["m5.large", "m5.large"];

#[test]
fn a_runtime_that_is_restarted_keeps_its_pods() {
    let (mut cluster, daemons) = Cluster::ready("containerd/runtime-restart", &TYPES, &[]);
    let (a, c) = (
        cluster.run(0, &PodRequest::new("a")),
        cluster.run(1, &PodRequest::new("c")),
    );
    let (inside, address, target) = (a.namespaces().unwrap(), a.ip(), c.ip());
    let old = cluster.run(0, &PodRequest::new("old"));
    let stream = Stream {
        from: &inside,
        address,
        target,
    };
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        unbroken(&[stream], || cluster.restart_runtime(0, signal));
    }
    succeed("stop", &old, old.stop());
    succeed("remove", &old, old.remove());
    let new = cluster.run(0, &PodRequest::new("new"));
    cluster.holds_exactly(0, &[&a, &new]);
    assert_eq!(
        daemons[0].state().restarts,
        0,
        "containers go on without their runtime"
    );
}

#[test]
fn a_daemon_that_dies_is_missed_by_nobody() {
    let (cluster, daemons) = Cluster::ready("containerd/daemon-restart", &TYPES, &[]);
    let (a, c) = (
        cluster.run(0, &PodRequest::new("a")),
        cluster.run(1, &PodRequest::new("c")),
    );
    let inside = a.namespaces().unwrap();
    let stream = Stream {
        from: &inside,
        address: a.ip(),
        target: c.ip(),
    };
    let status = StatusWatch::start(cluster.kubelet(0).cri().clone()).unwrap();
    unbroken(&[stream], || {
        let before = cluster.run(0, &PodRequest::new("before"));
        daemons[0].kill().unwrap();
        // Nobody answers now, or the next one does: either way both calls succeed.
        succeed("stop", &before, before.stop());
        let during = cluster.run(0, &PodRequest::new("during"));
        cluster.delete(&during);
        succeed("remove", &before, before.remove());
        eventually(
            "the daemon runs again",
            Duration::from_secs(30),
            || match daemons[0].state() {
                state if state.restarts == 1 => Ok(()),
                state => Err(state),
            },
        );
        daemons[0].terminate().unwrap();
        // kubelet waits ten seconds before a second start: the daemon is down for all of this.
        let waits = cluster.run(0, &PodRequest::new("waits"));
        cluster.delete(&waits);
    });
    let seen = status.end();
    assert_eq!(
        seen.troubles,
        Vec::<String>::new(),
        "the node has a network throughout"
    );
    assert_eq!(daemons[0].state().restarts, 2);
    cluster.holds_exactly_after_a_sweep(0, &[&a]);
}

#[test]
fn stop_succeeds_while_the_daemon_is_down() {
    let (cluster, mut daemons) = Cluster::ready("containerd/stop-without", &["m5.large"], &[]);
    let pods = ["a", "b", "c"].map(|name| cluster.run(0, &PodRequest::new(name)));
    daemons.remove(0).delete().unwrap();
    for pod in &pods {
        cluster.delete(pod);
    }
    cluster.holds_exactly(0, &[&pods[0], &pods[1], &pods[2]]);
    let (ready, why) = cluster
        .kubelet(0)
        .cri()
        .network_ready(Duration::from_secs(1))
        .unwrap();
    assert!(ready, "the conflist stays without the daemon: {why}");
    let _daemon = cluster.deploy(0, e2e::cluster::Release::This, &[]);
    // The new daemon frees by itself what nobody could tell the old one: the links are gone.
    cluster.holds_exactly_after_a_sweep(0, &[]);
}
