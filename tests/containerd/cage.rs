//! The DaemonSet's pod under its own constraints: what init leaves on the node, what the daemon may do, when the node has
//! a network.

use e2e::cluster::{Cluster, Release, STATUS_LIMIT};
use e2e::expect::eventually;
use lab::kubelet::daemon::DaemonPod;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// CAP_NET_ADMIN is 12, CAP_NET_RAW 13 (capability.h).
const NET_ADMIN_AND_NET_RAW: &str = "0000000000003000";

#[test]
fn the_manifests_containers_make_a_node_ready_with_two_capabilities() {
    let cluster = Cluster::new("containerd/cage", &["m5.large"], Duration::from_secs(120));
    let kubelet = cluster.kubelet(0);
    let (ready, why) = kubelet.cri().network_ready(STATUS_LIMIT).unwrap();
    assert!(!ready, "a node without a conflist has no network: {why}");
    let pod = cluster.deploy(0, Release::This, &[]);
    cluster.becomes_ready(0);
    let node = cluster.stage().node(0);

    let bin = node.folder().join("opt-cni/bin");
    for plugin in [
        "aws-cni",
        "portmap",
        "host-local",
        "loopback",
        "bandwidth",
        "tuning",
    ] {
        let mode = fs::metadata(bin.join(plugin)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "{plugin}");
    }
    assert!(
        fs::read_dir(&bin)
            .unwrap()
            .flatten()
            .all(|entry| !entry.file_name().to_string_lossy().contains("tmp"))
    );
    let filter = node
        .run(|| fs::read_to_string("/proc/sys/net/ipv4/conf/ens5/rp_filter"))
        .unwrap()
        .unwrap();
    assert_eq!(
        filter.trim(),
        "2",
        "the primary link takes what other ENIs' pods send"
    );

    let list = fs::read_to_string(node.folder().join("etc-cni/net.d/10-aws.conflist")).unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(
        (&list["name"], &list["cniVersion"]),
        (&"aws-cni".into(), &"0.4.0".into())
    );
    let kinds: Vec<_> = list["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plugin| plugin["type"].clone())
        .collect();
    assert_eq!(kinds, ["aws-cni", "portmap"]);

    is_caged(&pod);
    eventually(
        "the readiness probe succeeds",
        Duration::from_secs(20),
        || {
            let state = pod.state();
            if state.ready { Ok(()) } else { Err(state) }
        },
    );
    assert_eq!(pod.state().restarts, 0);
}

/// The main container's first process, by its /proc.
fn is_caged(pod: &DaemonPod) {
    let status = pod.proc_file("status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {status}"))
            .trim()
            .to_owned()
    };
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(field(set), NET_ADMIN_AND_NET_RAW, "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2", "the runtime's filter");
    let mounts = pod.proc_file("mounts").unwrap();
    let root = mounts
        .lines()
        .find(|line| line.split(' ').nth(1) == Some("/"))
        .unwrap();
    assert!(
        root.split(' ')
            .nth(3)
            .unwrap()
            .split(',')
            .any(|option| option == "ro"),
        "{root}"
    );
}
