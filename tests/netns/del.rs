//! DEL succeeds for what is gone and leaves nothing; a failed ADD leaves the node as it was.

use e2e::expect::{eventually, when};
use e2e::kernel::Inside;
use e2e::stage::Stage;
use lab::runtime::invocation::Invocation;
use lab::runtime::sandbox::{DelWith, Sandbox};
use serde_json::Value;
use std::fs;
use std::time::Duration;

#[track_caller]
fn succeeds(call: &Invocation) {
    assert!(call.succeeded(), "{}", call.failure());
}

/// Addresses that the daemon's checkpoint says are held by pods.
fn held(stage: &Stage) -> Vec<String> {
    let path = stage.node(0).root().join("run/aws-node/ipam.json");
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let entries = file["allocations"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["ipv4"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn three_dels_succeed_and_nothing_is_left_of_pods_on_either_eni() {
    let stage = Stage::one("netns/three-dels", "t3.nano");
    let daemon = stage.daemon(0, &[]);
    let node = stage.node(0);
    // Both ENIs are there before: what is compared is what pods leave.
    let (mut a, mut b) = (
        stage.sandbox(0, "web-0", "0.4.0"),
        stage.sandbox(0, "web-1", "0.4.0"),
    );
    succeeds(&stage.add(&mut a));
    stage.settle(0, &daemon, 2);
    let others = stage_without(&stage, &a);
    succeeds(&stage.add(&mut b));
    for sandbox in [&mut a, &mut b] {
        succeeds(&stage.del(sandbox, DelWith::Netns));
        sandbox.remove_netns().unwrap();
        succeeds(&stage.del(sandbox, DelWith::Nothing));
    }
    assert_eq!(held(&stage), Vec::<String>::new());
    drop(daemon);
    for sandbox in [&mut a, &mut b] {
        succeeds(&stage.del(sandbox, DelWith::Nothing));
    }
    let after = eventually(
        "the links of both pods are gone",
        Duration::from_secs(5),
        || when(node.snapshot(), |seen| *seen == others),
    );
    assert_eq!(after, others);
}

/// The node's snapshot without the lines of one pod.
fn stage_without(stage: &Stage, sandbox: &Sandbox<'_>) -> String {
    let result = sandbox.result().unwrap();
    let link = result["interfaces"][0]["name"].as_str().unwrap();
    let address = result["ips"][0]["address"]
        .as_str()
        .unwrap()
        .trim_end_matches("/32");
    let snapshot = stage.node(0).snapshot();
    let is_its =
        |line: &&str| line.contains(link) || line.contains(&format!("to {address} lookup"));
    let lines: Vec<&str> = snapshot.lines().filter(|line| !is_its(line)).collect();
    lines.join("\n") + "\n"
}

#[test]
fn without_a_daemon_a_del_removes_what_its_result_names() {
    let stage = Stage::one("netns/del-alone", "m5.large");
    // With a target in addresses no ENI comes because one is taken.
    let daemon = stage.daemon(0, &[("WARM_IP_TARGET", "2")]);
    let node = stage.node(0);
    daemon.says("host network changed to the desired state", |_| true);
    let mut sandbox = stage.sandbox(0, "web-0", "0.4.0");
    let before = node.rules();
    succeeds(&stage.add(&mut sandbox));
    assert_ne!(node.rules(), before);
    daemon.kill();
    let call = stage.del(&mut sandbox, DelWith::Netns);
    succeeds(&call);
    assert!(call.elapsed < Duration::from_secs(7), "{:?}", call.elapsed);
    assert_eq!(node.rules(), before);
}

#[test]
fn an_old_runtime_passes_no_result_and_the_daemon_knows_all_that_is_needed() {
    let stage = Stage::one("netns/del-old", "m5.large");
    // With a target in addresses no ENI comes because one is taken.
    let daemon = stage.daemon(0, &[("WARM_IP_TARGET", "2")]);
    daemon.says("host network changed to the desired state", |_| true);
    let mut sandbox = stage.sandbox(0, "web-0", "0.3.1");
    let before = stage.node(0).rules();
    succeeds(&stage.add(&mut sandbox));
    succeeds(&stage.del(&mut sandbox, DelWith::Netns));
    assert_eq!(stage.node(0).rules(), before);
    assert_eq!(held(&stage), Vec::<String>::new());
}

#[test]
fn a_del_of_a_pod_that_never_was_succeeds_and_changes_nothing() {
    let stage = Stage::one("netns/del-unknown", "m5.large");
    let daemon = stage.daemon(0, &[]);
    let pod = stage.pod(0, "web-0");
    stage.settle(0, &daemon, 2);
    let mut unknown = stage.sandbox(0, "web-9", "0.4.0");
    let before = stage.node(0).snapshot();
    succeeds(&stage.del(&mut unknown, DelWith::Netns));
    succeeds(&stage.del(&mut unknown, DelWith::Nothing));
    assert_eq!(stage.node(0).snapshot(), before);
    e2e::traffic::reaches(&pod, stage.nodes()[0].lease.address, 1);
}

/// Makes the ADD of `web-0` fail by `obstacle`; everything must be as before and the address free.
fn undone(test: &str, obstacle: impl FnOnce(&Stage, &Sandbox<'_>), wanted: &str) {
    let stage = Stage::one(test, "m5.large");
    // With a target in addresses no ENI comes because one is taken.
    let daemon = stage.daemon(0, &[("WARM_IP_TARGET", "2")]);
    daemon.says("host network changed to the desired state", |_| true);
    let mut sandbox = stage.sandbox(0, "web-0", "1.0.0");
    obstacle(&stage, &sandbox);
    let before = stage.node(0).snapshot();
    let call = stage.add(&mut sandbox);
    let (code, text) = crate::raw::error(&call);
    assert_eq!(code, 105, "{text}");
    assert!(text.contains(wanted), "{text}");
    assert_eq!(stage.node(0).snapshot(), before);
    assert_eq!(
        daemon.lines("address given to a pod").len(),
        1,
        "it was not refused before"
    );
    assert_eq!(
        held(&stage),
        Vec::<String>::new(),
        "the address was given back"
    );
}

#[test]
fn an_add_into_a_namespace_that_has_the_interface_is_undone() {
    let obstacle = |stage: &Stage, sandbox: &Sandbox<'_>| {
        let enter = format!("--net={}", sandbox.netns());
        let command = [
            "nsenter", &enter, "ip", "link", "add", "eth0", "type", "bridge",
        ];
        stage
            .node(0)
            .run(|| lab::command::run(&command, ""))
            .unwrap()
            .unwrap();
    };
    undone(
        "netns/undo-taken",
        obstacle,
        "interface eth0 already exists",
    );
}

#[test]
fn an_add_whose_host_link_is_somebody_elses_is_undone_and_the_link_stays() {
    let obstacle = |stage: &Stage, _: &Sandbox<'_>| {
        let add = || {
            lab::command::run(
                &["ip", "link", "add", "eni0d7763386da", "type", "bridge"],
                "",
            )
        };
        stage.node(0).run(add).unwrap().unwrap();
    };
    undone(
        "netns/undo-foreign",
        obstacle,
        "host link eni0d7763386da exists and is not a veth",
    );
}

#[test]
fn an_add_that_fails_after_its_link_was_made_is_undone() {
    let obstacle = |stage: &Stage, _: &Sandbox<'_>| {
        let read_only = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys";
        stage
            .node(0)
            .run(|| lab::command::run(&["sh", "-c", read_only], ""))
            .unwrap()
            .unwrap();
    };
    undone("netns/undo-sysctl", obstacle, "Read-only file system");
}
