//! A node whose whole tree is killed and which boots again: another boot id, an empty run directory, the same disk and
//! ENIs. Its pods come back, no address is given twice, no ENI leaks.

use e2e::cluster::{Cluster, Release, STATUS_LIMIT};
use lab::kubelet::sandbox::PodRequest;
use lab::ping::Ping;
use std::collections::BTreeSet;

#[test]
fn t20_pods_come_back_after_a_reboot_and_no_address_is_given_twice() {
    let (mut cluster, mut daemons) =
        Cluster::ready("containerd/reboot", &["m5.large", "m5.large"], &[]);
    let names = ["a", "b", "c"];
    let before: Vec<_> = names
        .iter()
        .map(|name| cluster.run(0, &PodRequest::new(name)))
        .collect();
    let witness = cluster.run(1, &PodRequest::new("witness"));
    let enis = |cluster: &Cluster| {
        let enis = cluster
            .stage()
            .enis(0)
            .into_iter()
            .map(|eni| eni.id.to_string());
        enis.collect::<BTreeSet<_>>()
    };
    let enis_before = enis(&cluster);
    let all_before = cluster.stage().count_interfaces();
    // What kept the daemon's pod went down with the node.
    drop(daemons.remove(0));
    cluster.reboot(0);
    let found: Vec<_> = cluster.kubelet(0).cri().sandboxes().unwrap();
    assert!(
        found.len() >= names.len(),
        "the runtime remembers what ran: {found:?}"
    );
    // kubelet gives up the sandboxes of the last boot: their namespaces are gone, the daemon is not there yet.
    for sandbox in found {
        cluster.kubelet(0).cri().stop_sandbox(&sandbox.id).unwrap();
        cluster
            .kubelet(0)
            .cri()
            .remove_sandbox(&sandbox.id)
            .unwrap();
    }
    let _daemon = cluster.deploy(0, Release::This, &[]);
    cluster.becomes_ready(0);
    let after: Vec<_> = names
        .iter()
        .map(|name| cluster.run(0, &PodRequest::new(name).again()))
        .collect();
    let addresses: BTreeSet<_> = after.iter().map(|pod| pod.ip()).collect();
    assert_eq!(addresses.len(), names.len());
    assert!(!addresses.contains(&witness.ip()));
    for pod in &after {
        let pinged = pod.ping(Ping::to(witness.ip(), 2)).unwrap().unwrap();
        assert!(
            pinged.all_arrived(),
            "{} -> {}: {pinged:?}",
            pod.ip(),
            witness.ip()
        );
    }
    cluster.holds_exactly(0, &after.iter().collect::<Vec<_>>());
    assert_eq!(enis(&cluster), enis_before, "the ENIs are found again");
    assert_eq!(
        cluster.stage().count_interfaces(),
        all_before,
        "none was made"
    );
    drop(before);
    let (ready, why) = cluster
        .kubelet(0)
        .cri()
        .network_ready(STATUS_LIMIT)
        .unwrap();
    assert!(ready, "{why}");
}
