//! The network configuration that makes a node ready: written with the first address for pods, kept, never taken away.
//! What is in it is a unit test's business too; here stands the file as a runtime finds it.

use crate::console::{launch, names};
use e2e::daemon::{Daemon, PATIENCE};
use e2e::expect::{eventually, when};
use e2e::stage::Stage;
use lab::vpc::{Action, Chance, Code, Delay, Error, Outcome, Verdict};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A directory of the node that no fixture writes to.
const FOLDER: (&str, &str) = ("HOST_CNI_CONFDIR_PATH", "/etc/cni/ours");
const NAME: &str = "10-aws.conflist";

/// The directory as seen from outside the node.
fn folder(stage: &Stage) -> PathBuf {
    stage.node(0).folder().join("etc-cni/ours")
}

fn make_folder(stage: &Stage) -> PathBuf {
    fs::create_dir_all(folder(stage)).unwrap();
    folder(stage).join(NAME)
}

#[track_caller]
fn is_written(stage: &Stage, within: Duration) -> String {
    let path = folder(stage).join(NAME);
    eventually("the configuration is there", within, || {
        fs::read_to_string(&path).map_err(|error| error.to_string())
    })
}

/// A whole value of the file with its inode.
fn seen(stage: &Stage) -> (String, u64) {
    let path = folder(stage).join(NAME);
    let inode = fs::metadata(&path).unwrap().ino();
    (fs::read_to_string(path).unwrap(), inode)
}

/// No address for pods can be had from EC2.
fn fill_the_subnet(stage: &Stage) {
    let text = "The specified subnet does not have enough free addresses";
    for action in [
        Action::AssignPrivateIpAddresses,
        Action::CreateNetworkInterface,
    ] {
        let chance = Chance {
            action: Some(action),
            permille: 1000,
            verdict: Verdict {
                applied: false,
                outcome: Outcome::Error(Error::new(Code::InsufficientFreeAddresses, text)),
                ..Verdict::default()
            },
            before: Delay::default(),
            after: Delay::default(),
        };
        stage.vpc().faults_mut().add(chance);
    }
}

/// Waits for the first address in EC2, then for the configuration; how long after the address it came.
#[track_caller]
fn after_the_first_address(stage: &Stage) -> Duration {
    eventually("EC2 assigns an address", PATIENCE * 2, || {
        when(stage.enis(0)[0].addresses.len(), |count| *count > 1)
    });
    let began = Instant::now();
    is_written(stage, PATIENCE);
    began.elapsed()
}

#[test]
fn t07_a_node_in_a_full_subnet_lives_without_it_until_its_first_address() {
    let stage = Stage::one("wire/conflist-full", "m5.large");
    make_folder(&stage);
    fill_the_subnet(&stage);
    let mut daemon = launch(&stage, &[FOLDER]);
    let line = names(&daemon, "a first address for pods: EC2 Assign");
    assert!(line.contains("InsufficientFreeAddressesInSubnet"), "{line}");
    assert!(daemon.runs());
    assert_eq!(fs::read_dir(folder(&stage)).unwrap().count(), 0);
    stage.vpc().faults_mut().clear();
    let took = after_the_first_address(&stage);
    assert!(took < Duration::from_secs(2), "{took:?}");
    crate::console::serves(&daemon);
}

#[test]
fn t07_a_node_whose_ec2_is_silent_lives_without_it_until_its_first_address() {
    let stage = Stage::one("wire/conflist-silent", "m5.large");
    make_folder(&stage);
    stage.vpc().faults_mut().fail_imds("/vpc-id", 404);
    let mut daemon = launch(&stage, &[FOLDER]);
    names(&daemon, "the instance metadata service");
    assert!(daemon.runs());
    assert_eq!(fs::read_dir(folder(&stage)).unwrap().count(), 0);
    stage.vpc().faults_mut().clear();
    let took = after_the_first_address(&stage);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

fn expected() -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "aws-cni",
        "disableCheck": true,
        "plugins": [
            {
                "name": "aws-cni", "type": "aws-cni", "vethPrefix": "eni", "mtu": "9001", "podSGEnforcingMode": "strict",
                "pluginLogFile": "/var/log/aws-routed-eni/plugin.log", "pluginLogLevel": "DEBUG",
                "capabilities": {"io.kubernetes.cri.pod-annotations": true}
            },
            {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true},
            {"type": "bandwidth", "capabilities": {"bandwidth": true}},
            {"type": "tuning", "sysctl": {
                "net.ipv6.conf.all.disable_ipv6": "1",
                "net.ipv6.conf.default.disable_ipv6": "1",
                "net.ipv6.conf.lo.disable_ipv6": "1"
            }}
        ]
    })
}

#[test]
fn it_says_what_upstreams_says_and_outlives_every_end_of_the_daemon() {
    let stage = Stage::one("wire/conflist-ends", "m5.large");
    let path = make_folder(&stage);
    let variables = [
        FOLDER,
        ("AWS_VPC_K8S_PLUGIN_LOG_LEVEL", "DEBUG"),
        ("ENABLE_BANDWIDTH_PLUGIN", "true"),
        ("DISABLE_POD_V6", "true"),
    ];
    let daemon = stage.daemon(0, &variables);
    let text = is_written(&stage, PATIENCE);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value, expected());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    let written = seen(&stage);
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(seen(&stage), written);
    let daemon = stage.daemon(0, &variables);
    daemon.says("network configuration is there already", |_| true);
    daemon.kill();
    assert_eq!(seen(&stage), written, "the same file, not even rewritten");
    let names: Vec<_> = fs::read_dir(folder(&stage)).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

/// Waits until the daemon has said this that often.
#[track_caller]
fn said(daemon: &Daemon, message: &str, times: usize) {
    eventually(&format!("{message:?} {times} times"), PATIENCE, || {
        when(daemon.lines(message), |lines| lines.len() >= times)
    });
}

#[test]
fn it_is_put_back_when_somebody_removes_or_changes_it_and_others_files_stay() {
    let stage = Stage::one("wire/conflist-back", "m5.large");
    let path = make_folder(&stage);
    let foreign = folder(&stage).join("05-other.conflist");
    fs::write(&foreign, "{}").unwrap();
    let half_made = folder(&stage).join(".10-aws.conflist.0123456789abcdef.aws-node-new");
    fs::write(&half_made, "{").unwrap();
    let daemon = stage.daemon(0, &[FOLDER]);
    let (text, _) = eventually("it is written", PATIENCE, || {
        when(daemon.lines("network configuration written").len(), |n| {
            *n == 1
        })
        .map(|_| seen(&stage))
    });
    assert!(!half_made.exists(), "what a killed daemon left is gone");
    fs::remove_file(&path).unwrap();
    said(
        &daemon,
        "network configuration was gone or changed; put back",
        1,
    );
    assert_eq!(seen(&stage).0, text);
    fs::write(&path, "{}").unwrap();
    said(
        &daemon,
        "network configuration was gone or changed; put back",
        2,
    );
    assert_eq!(seen(&stage).0, text);
    assert_eq!(fs::read_to_string(foreign).unwrap(), "{}");
}

#[test]
fn a_directory_that_is_missing_is_named_and_waited_for() {
    let stage = Stage::one("wire/conflist-folder", "m5.large");
    let mut daemon = launch(&stage, &[FOLDER]);
    let line = names(&daemon, "/etc/cni/ours/10-aws.conflist: No such file");
    assert!(line.contains("make a file beside"), "{line}");
    assert!(daemon.runs());
    make_folder(&stage);
    is_written(&stage, PATIENCE);
    crate::console::serves(&daemon);
}

#[test]
fn a_directory_that_is_read_only_is_named_and_waited_for() {
    let stage = Stage::one("wire/conflist-read-only", "m5.large");
    make_folder(&stage);
    let inside = |command: &[&str]| {
        let run = || lab::command::run(command, "");
        let said = stage.node(0).run(run).expect("the node is there");
        said.unwrap_or_else(|error| panic!("{error}"))
    };
    inside(&["mount", "-t", "tmpfs", "-o", "ro", "none", FOLDER.1]);
    let mut daemon = launch(&stage, &[FOLDER]);
    let line = names(&daemon, "/etc/cni/ours/10-aws.conflist: ");
    assert!(line.contains("Read-only file system"), "{line}");
    assert!(daemon.runs());
    inside(&["mount", "-o", "remount,rw", FOLDER.1]);
    let mounted = stage.node(0).root().join("etc/cni/ours").join(NAME);
    eventually("it is written", PATIENCE, || {
        fs::read_to_string(&mounted).map_err(|error| error.to_string())
    });
    crate::console::serves(&daemon);
}

#[test]
fn a_daemon_that_waits_beside_another_writes_none() {
    let stage = Stage::one("wire/conflist-second", "m5.large");
    let path = make_folder(&stage);
    let first = stage.daemon(0, &[]);
    let second = stage.launch(0, &[FOLDER]);
    second.says("not starting beside another node daemon", |_| true);
    assert!(!path.exists());
    assert_eq!(first.stop(), Some(0));
    is_written(&stage, PATIENCE);
}
