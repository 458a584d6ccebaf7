//! Many sandboxes on one node: as many as it has addresses, one more with the exact reason, thirty that wait at once.

use e2e::cluster::{Cluster, READY_LIMIT};
use e2e::stage::with_causes;
use lab::cri::watch::StatusWatch;
use lab::ec2::Moment;
use lab::kubelet::sandbox::{PodRequest, Sandbox};
use lab::vpc::Action;
use std::collections::BTreeSet;
use std::time::Duration;

/// Sandboxes that are made at once.
const AT_ONCE: usize = 3;

fn run_all(cluster: &Cluster, names: &[String]) -> Vec<Sandbox> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = names
            .chunks(names.len().div_ceil(AT_ONCE))
            .map(|names| {
                scope.spawn(move || {
                    names
                        .iter()
                        .map(|name| cluster.run(0, &PodRequest::new(name)))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    })
}

#[test]
fn a_node_runs_as_many_sandboxes_as_it_has_addresses_and_says_so_to_the_next() {
    let (cluster, _daemons) = Cluster::ready("containerd/crowd", &["m5.large"], &[]);
    let names: Vec<_> = (0..27).map(|n| format!("pod-{n}")).collect();
    let pods = run_all(&cluster, &names);
    let addresses: BTreeSet<_> = pods.iter().map(Sandbox::ip).collect();
    assert_eq!(addresses.len(), 27);
    let said = with_causes(
        &cluster
            .kubelet(0)
            .run(&PodRequest::new("one-too-many"))
            .unwrap_err(),
    );
    assert!(
        said.contains("failed to assign an IP address to container") && said.contains("27"),
        "{said}"
    );
    cluster.holds_exactly(0, &pods.iter().collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for pods in pods.chunks(9) {
            let cluster = &cluster;
            scope.spawn(move || pods.iter().for_each(|pod| cluster.delete(pod)));
        }
    });
    cluster.holds_exactly(0, &[]);
}

#[test]
fn thirty_sandboxes_wait_at_once_while_the_runtime_answers() {
    let variables = [("WARM_IP_TARGET", "1"), ("MINIMUM_IP_TARGET", "1")];
    let (cluster, _daemons) = Cluster::ready("containerd/thirty", &["m5.4xlarge"], &variables);
    let held = cluster
        .stage()
        .hold(0, Action::AssignPrivateIpAddresses, Moment::BeforeItIsDone);
    let status = StatusWatch::start(cluster.kubelet(0).cri().clone()).unwrap();
    let pods: Vec<Sandbox> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..31)
            .map(|n| {
                let cluster = &cluster;
                scope.spawn(move || cluster.run(0, &PodRequest::new(&format!("pod-{n}"))))
            })
            .collect();
        assert!(held.arrives(READY_LIMIT), "the daemon asks EC2 for more");
        waits(&cluster, 30);
        held.release();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let seen = status.end();
    assert_eq!(seen.troubles, Vec::<String>::new());
    assert!(
        seen.answers >= 3 && seen.slowest < Duration::from_secs(1),
        "{seen:?}"
    );
    cluster.holds_exactly(0, &pods.iter().collect::<Vec<_>>());
}

/// Waits until this many plugins wait on the node.
fn waits(cluster: &Cluster, wanted: usize) {
    e2e::expect::eventually("plugins wait", READY_LIMIT, || {
        let count = crate::given_up::plugins(cluster).len();
        if count == wanted { Ok(()) } else { Err(count) }
    });
}
