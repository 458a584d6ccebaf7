//! The manifest's own probes for five minutes: on a full node, and on nodes whose EC2 does not answer, from the first
//! start and later. Nothing of that is cured by a restart, so nothing is restarted; when EC2 answers, pods are served.

use e2e::cluster::{Cluster, READY_LIMIT, Release, endures};
use e2e::cut::{cut, lift};
use e2e::expect::eventually;
use e2e::stage::with_causes;
use lab::kubelet::daemon::{DaemonPod, Kind, PodState};
use lab::kubelet::sandbox::PodRequest;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(300);
const LIFE: Duration = Duration::from_secs(480);
const FULL: usize = 0;
const MUTE_AT_FIRST: usize = 1;
const MUTE_LATER: usize = 2;

#[test]
fn t16_five_minutes_of_probes_restart_nothing_on_a_full_node_or_without_ec2() {
    let cluster = Cluster::new("containerd/probes", &["t3.nano"; 3], LIFE);
    cut(cluster.stage(), MUTE_AT_FIRST, "drop");
    let daemons: Vec<DaemonPod> = (0..3)
        .map(|node| cluster.deploy(node, Release::This, &[]))
        .collect();
    let began = Instant::now();
    [FULL, MUTE_LATER]
        .into_iter()
        .for_each(|node| cluster.becomes_ready(node));
    let pods = ["a", "b"].map(|name| cluster.run(FULL, &PodRequest::new(name)));
    cluster.holds_exactly(FULL, &[&pods[0], &pods[1]]);
    let said = with_causes(
        &cluster
            .kubelet(FULL)
            .run(&PodRequest::new("c"))
            .unwrap_err(),
    );
    assert!(
        said.contains("failed to assign an IP address to container"),
        "{said}"
    );
    cut(cluster.stage(), MUTE_LATER, "drop");

    // What start-up waits for is named where kubelet's events show it.
    let named = eventually("readiness names EC2", READY_LIMIT, || {
        let state = daemons[MUTE_AT_FIRST].state();
        let told = state
            .probes
            .iter()
            .rev()
            .find(|probe| probe.kind == Kind::Readiness && probe.said.contains("EC2"));
        told.map(|probe| probe.said.clone()).ok_or(state)
    });
    assert!(named.contains("NOT_SERVING"), "{named}");
    endures(began, LONG);

    for (node, ready) in [(FULL, true), (MUTE_AT_FIRST, false), (MUTE_LATER, true)] {
        let state = daemons[node].state();
        assert_eq!(
            (state.restarts, state.condemned),
            (0, 0),
            "node {node}: {:?}",
            state.probes.last()
        );
        assert_eq!(state.ready, ready, "node {node}: {:?}", state.probes.last());
        // Every ten seconds from the first minute on.
        let living = of(&state, Kind::Liveness);
        assert!(
            living.len() >= 20 && living.iter().all(|exit| *exit == Some(0)),
            "node {node}: {living:?}"
        );
        let slowest = state.probes.iter().map(|probe| probe.took).max();
        assert!(
            slowest < Some(Duration::from_secs(5)),
            "node {node}: {slowest:?}"
        );
    }
    // EC2 is back: nobody restarts anything, and both nodes run pods.
    for node in [MUTE_AT_FIRST, MUTE_LATER] {
        lift(cluster.stage(), node);
        cluster.becomes_ready(node);
        let pod = cluster.run(node, &PodRequest::new("late"));
        cluster.holds_exactly(node, &[&pod]);
        assert_eq!(daemons[node].state().restarts, 0);
    }
}

fn of(state: &PodState, kind: Kind) -> Vec<Option<i32>> {
    state
        .probes
        .iter()
        .filter(|probe| probe.kind == kind)
        .map(|probe| probe.exit)
        .collect()
}
