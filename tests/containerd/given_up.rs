//! ADDs that wait on a full node and are given up in every way: each ends with as many held addresses as live sandboxes.

use e2e::cluster::{Cluster, READY_LIMIT};
use e2e::expect::eventually;
use e2e::kill::{Cut, Kind};
use e2e::wrapped::Wrapped;
use lab::kubelet::daemon::DaemonPod;
use lab::kubelet::sandbox::{PodRequest, Sandbox};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// A t3.nano has two ENIs of one pod each. What a pod leaves can be used after eight seconds.
const VARIABLES: [(&str, &str); 2] = [
    ("IP_COOLDOWN_PERIOD", "8"),
    ("AWS_VPC_K8S_CNI_LOGLEVEL", "DEBUG"),
];

/// A full node of which one address cools: an ADD waits for it.
struct Full {
    cluster: Cluster,
    stays: Sandbox,
    _daemon: DaemonPod,
}

impl Full {
    fn new(test: &str) -> Self {
        let (cluster, mut daemons) = Cluster::ready(test, &["t3.nano"], &VARIABLES);
        let [stays, goes] = ["stays", "goes"].map(|name| cluster.run(0, &PodRequest::new(name)));
        cluster.holds_exactly(0, &[&stays, &goes]);
        cluster.delete(&goes);
        Self {
            cluster,
            stays,
            _daemon: daemons.remove(0),
        }
    }

    /// The plugin whose ADD waits at the daemon: its number outside the node, its environment.
    #[track_caller]
    fn waiting(&self) -> (u32, BTreeMap<String, String>) {
        let log = self
            .cluster
            .stage()
            .node(0)
            .folder()
            .join("var-log/aws-routed-eni/ipamd.log");
        eventually("an ADD waits", READY_LIMIT, || {
            let adding = plugins(&self.cluster).into_iter().find(|(_, environment)| {
                environment.get("CNI_COMMAND").map(String::as_str) == Some("ADD")
            });
            let (pid, environment) = adding.ok_or("no plugin")?;
            let text = fs::read_to_string(&log).unwrap_or_default();
            let id = &environment["CNI_CONTAINERID"];
            let arrived = text
                .lines()
                .any(|line| line.contains("ADD received") && line.contains(id));
            if arrived {
                Ok((pid, environment))
            } else {
                Err("the daemon has not seen it")
            }
        })
    }

    /// Whoever is given up leaves nothing: the address goes to the next one.
    fn next_one_gets_it(&self) {
        let next = self.cluster.run(0, &PodRequest::new("next"));
        self.cluster.holds_exactly(0, &[&self.stays, &next]);
        let left: Vec<_> = plugins(&self.cluster)
            .into_iter()
            .map(|(pid, _)| pid)
            .collect();
        assert!(left.is_empty(), "plugins still run: {left:?}");
    }
}

/// Plugins that run on the node.
pub(crate) fn plugins(cluster: &Cluster) -> Vec<(u32, BTreeMap<String, String>)> {
    let node = fs::read_link(format!("/proc/{}/ns/mnt", cluster.stage().node(0).init())).unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let plugin = |pid: u32| {
        let path = format!("/proc/{pid}");
        let name = fs::read_to_string(format!("{path}/comm")).ok()?;
        let here = fs::read_link(format!("{path}/ns/mnt")).ok()? == node;
        let is_plugin = here && name.trim().starts_with("aws-cni");
        let environment = fs::read(format!("{path}/environ"))
            .ok()
            .filter(|_| is_plugin)?;
        let text = String::from_utf8_lossy(&environment).into_owned();
        let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
        Some((
            pid,
            pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        ))
    };
    processes
        .filter_map(|entry| plugin(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

#[test]
fn a_cancelled_call_leaves_nothing() {
    let full = Full::new("containerd/cancelled");
    let request = PodRequest::new("impatient");
    let error = full
        .cluster
        .kubelet(0)
        .run_within(&request, Duration::from_secs(2))
        .unwrap_err();
    let said = e2e::stage::with_causes(&error);
    assert!(said.contains("given up"), "{said}");
    full.next_one_gets_it();
}

#[test]
fn a_plugin_that_is_killed_while_it_waits_leaves_nothing() {
    let full = Full::new("containerd/killed-waiting");
    std::thread::scope(|scope| {
        let add = scope.spawn(|| full.cluster.kubelet(0).run(&PodRequest::new("unlucky")));
        let (pid, _) = full.waiting();
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
        let said = e2e::stage::with_causes(&add.join().unwrap().unwrap_err());
        assert!(
            said.contains("aws-cni") && said.contains("killed"),
            "{said}"
        );
    });
    full.next_one_gets_it();
}

/// The first thing the plugin says to the kernel's network is behind the daemon's answer.
#[test]
fn a_plugin_that_is_killed_after_the_answer_leaves_nothing() {
    let full = Full::new("containerd/killed-answered");
    let wrapped = Wrapped::new(full.cluster.stage().node(0));
    let log = full.cluster.stage().evidence().folder().join("cut");
    let cut = Cut {
        kind: Kind {
            call: "sendto".to_owned(),
            path: None,
        },
        nth: 1,
    };
    wrapped.by(&cut.command(&log));
    let said = e2e::stage::with_causes(
        &full
            .cluster
            .kubelet(0)
            .run(&PodRequest::new("unlucky"))
            .unwrap_err(),
    );
    assert!(said.contains("aws-cni"), "{said}");
    wrapped.by(&[]);
    full.next_one_gets_it();
}

#[test]
fn a_del_that_comes_while_an_add_waits_ends_it() {
    let full = Full::new("containerd/del-waiting");
    let node = full.cluster.stage().node(0);
    std::thread::scope(|scope| {
        let add = scope.spawn(|| full.cluster.kubelet(0).run(&PodRequest::new("unlucky")));
        let (_, mut environment) = full.waiting();
        environment.insert("CNI_COMMAND".to_owned(), "DEL".to_owned());
        let list = fs::read_to_string(node.folder().join("etc-cni/net.d/10-aws.conflist")).unwrap();
        let list = lab::runtime::conflist::Conflist::parse(&list).unwrap();
        let config = list.stdin("aws-cni", None);
        let pairs: Vec<String> = environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut command = vec!["env", "-i"];
        command.extend(pairs.iter().map(String::as_str));
        command.push("/opt/cni/bin/aws-cni");
        node.run(|| lab::command::run(&command, &config))
            .unwrap()
            .unwrap();
        let said = e2e::stage::with_causes(&add.join().unwrap().unwrap_err());
        assert!(said.contains("deleted"), "{said}");
    });
    full.next_one_gets_it();
}

#[test]
fn a_pod_that_is_tried_again_while_its_first_sandbox_waits_gets_one_address() {
    let full = Full::new("containerd/tried-again");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| full.cluster.kubelet(0).run(&PodRequest::new("web")));
        full.waiting();
        let second = full.cluster.run(0, &PodRequest::new("web").again());
        let said = e2e::stage::with_causes(&first.join().unwrap().unwrap_err());
        assert!(said.contains("superseded"), "{said}");
        full.cluster.holds_exactly(0, &[&full.stays, &second]);
    });
}
