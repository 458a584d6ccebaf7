//! Another release and back, each time with a slow image pull between: pods keep their packets, sandboxes wait and are
//! made, the node keeps its network.

use crate::steady::Steady;
use e2e::cluster::{Cluster, Release, endures, succeed};
use e2e::expect::eventually;
use lab::kubelet::daemon::DaemonPod;
use lab::kubelet::sandbox::PodRequest;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Between the old pod's end and the new one's start: pulling an image on a bad day.
const PULL: Duration = Duration::from_secs(20);

#[test]
fn another_release_and_back_with_a_slow_pull_fails_no_sandbox() {
    let (mut steady, mut daemons) = Steady::new("containerd/upgrade");
    let (this, first) = (
        fs::read(plugin(&steady.cluster)).unwrap(),
        daemons.remove(0),
    );
    steady.ready_meanwhile(|cluster| {
        // The next release has another network configuration, too.
        let changed = [("AWS_VPC_K8S_PLUGIN_LOG_LEVEL", "DEBUG")];
        let next = upgrade(cluster, first, (Release::Next, &changed));
        assert_ne!(
            fs::read(plugin(cluster)).unwrap(),
            this,
            "the next release's plugin"
        );
        configures(cluster, "DEBUG");
        let _back = upgrade(cluster, next, (Release::This, &[]));
        assert_eq!(
            fs::read(plugin(cluster)).unwrap(),
            this,
            "this release's plugin again"
        );
        configures(cluster, "INFO");
    });
    // The last daemon's keeper is gone; its container runs on, and sweeps.
    steady.is_alone_again();
}

/// Ends the daemon, and starts the other release when its image is there. Meanwhile a pod is made and another ends.
fn upgrade(
    cluster: &Cluster,
    old: DaemonPod,
    (release, extra): (Release, &[(&str, &str)]),
) -> DaemonPod {
    let before = cluster.run(0, &PodRequest::new("before"));
    old.delete().unwrap();
    let ended = Instant::now();
    let (daemon, during) = std::thread::scope(|scope| {
        let during = scope.spawn(|| cluster.run(0, &PodRequest::new("during")));
        succeed("stop", &before, before.stop());
        succeed("remove", &before, before.remove());
        endures(ended, PULL);
        let daemon = cluster.deploy(0, release, extra);
        (daemon, during.join().unwrap())
    });
    cluster.delete(&during);
    daemon
}

fn plugin(cluster: &Cluster) -> PathBuf {
    cluster.stage().node(0).folder().join("opt-cni/bin/aws-cni")
}

fn configures(cluster: &Cluster, level: &str) {
    let path = cluster
        .stage()
        .node(0)
        .folder()
        .join("etc-cni/net.d/10-aws.conflist");
    let wanted = format!("\"pluginLogLevel\":\"{level}\"");
    eventually(
        "the network configuration is the release's own",
        Duration::from_secs(20),
        || {
            let text = fs::read_to_string(&path).unwrap();
            let without_blanks: String = text.split_whitespace().collect();
            if without_blanks.contains(&wanted) {
                Ok(())
            } else {
                Err(text)
            }
        },
    );
}
