//! The runtime and the daemon are restarted under traffic: pods keep their packets, sandboxes are made and ended all the
//! while.

use crate::steady::Steady;
use e2e::cluster::{Cluster, Release, succeed};
use e2e::expect::eventually;
use lab::kubelet::sandbox::PodRequest;
use nix::sys::signal::Signal;
use std::time::Duration;

#[test]
fn a_runtime_that_is_restarted_keeps_its_pods() {
    let (mut steady, daemons) = Steady::new("containerd/runtime-restart");
    let old = steady.cluster.run(0, &PodRequest::new("old"));
    steady.meanwhile(|cluster| {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            cluster.restart_runtime(0, signal);
        }
    });
    succeed("stop", &old, old.stop());
    succeed("remove", &old, old.remove());
    let new = steady.cluster.run(0, &PodRequest::new("new"));
    steady.cluster.holds_exactly(0, &[&steady.here, &new]);
    assert_eq!(
        daemons[0].state().restarts,
        0,
        "containers go on without their runtime"
    );
}

#[test]
fn a_daemon_that_dies_is_missed_by_nobody() {
    let (mut steady, daemons) = Steady::new("containerd/daemon-restart");
    steady.ready_meanwhile(|cluster| {
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
    assert_eq!(daemons[0].state().restarts, 2);
    steady.is_alone_again();
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
    let _daemon = cluster.deploy(0, Release::This, &[]);
    // The new daemon frees by itself what nobody could tell the old one: the links are gone.
    cluster.holds_exactly_after_a_sweep(0, &[]);
}
