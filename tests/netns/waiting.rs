//! An ADD that waits, as a runtime sees it: served, killed, superseded, deleted, handed to the next daemon, refused.

use crate::raw;
use e2e::stage::{PLUGIN, Stage};
use e2e::traffic::reaches;
use lab::runtime::sandbox::DelWith;
use lab::vpc::{Action, Verdict};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// EC2 takes that long to carry out the next call of an action.
fn slow(stage: &Stage, action: Action, seconds: u64) {
    let verdict = Verdict {
        before: Duration::from_secs(seconds),
        ..Verdict::default()
    };
    stage.vpc().faults_mut().plan_next(action, verdict);
}

/// A node that has no address for the next seconds.
fn without_addresses(test: &str, seconds: u64) -> Stage {
    let stage = Stage::one(test, "t3.small");
    slow(&stage, Action::AssignPrivateIpAddresses, seconds);
    // No other ENI helps out.
    stage
}

const ONE_ENI: [(&str, &str); 1] = [("MAX_ENI", "1")];

#[test]
fn a_plugin_that_is_killed_while_it_waits_is_forgotten_and_the_pods_next_sandbox_is_served() {
    let stage = without_addresses("netns/waiting-kill", 4);
    let daemon = stage.daemon(0, &ONE_ENI);
    let (mut one, mut two) = (
        stage.sandbox(0, "web-0", "1.0.0"),
        stage.sandbox(0, "web-0", "1.0.0"),
    );
    let mut waiting = one.begin("ADD", PLUGIN).unwrap();
    daemon.has_received("default/web-0", 1);
    waiting.kill().unwrap();
    let killed = Instant::now();
    let end = waiting.finish().unwrap();
    assert_eq!((end.exit, end.stdout.as_str()), (None, ""));
    assert!(
        killed.elapsed() < Duration::from_secs(2),
        "nothing is left that holds its stdout or stderr"
    );
    let told = daemon.says("a pod's ADD was given up by its caller", |_| true);
    assert_eq!(told["waiters"], 0, "{told}");
    let del = stage.del(&mut one, DelWith::Netns);
    assert!(del.succeeded(), "{}", del.failure());
    let add = stage.add(&mut two);
    assert!(add.succeeded(), "{}", add.failure());
    assert_eq!(daemon.lines("address given to a pod").len(), 1);
}

#[test]
fn a_retry_under_a_new_sandbox_id_supersedes_the_waiter_and_a_del_ends_its_own() {
    let stage = without_addresses("netns/waiting-superseded", 5);
    let daemon = stage.daemon(0, &ONE_ENI);
    let (old, new) = (
        stage.sandbox(0, "web-0", "1.0.0"),
        stage.sandbox(0, "web-0", "1.0.0"),
    );
    let mut gone = stage.sandbox(0, "web-1", "1.0.0");
    let first = old.begin("ADD", PLUGIN).unwrap();
    daemon.has_received("default/web-0", 1);
    let second = new.begin("ADD", PLUGIN).unwrap();
    let third = gone.begin("ADD", PLUGIN).unwrap();
    let (code, text) = raw::error(&first.finish().unwrap());
    let phrase = "failed to assign an IP address to container";
    let expected = format!("{phrase}: superseded by sandbox {}", new.container());
    assert_eq!((code, text.starts_with(&expected)), (102, true), "{text}");
    daemon.has_received("default/web-1", 1);
    let del = stage.del(&mut gone, DelWith::Netns);
    assert!(del.succeeded(), "{}", del.failure());
    let (code, text) = raw::error(&third.finish().unwrap());
    let expected = format!("{phrase}: deleted while waiting for an address");
    assert_eq!((code, text.starts_with(&expected)), (101, true), "{text}");
    let served = second.finish().unwrap();
    assert!(served.succeeded(), "{}", served.failure());
}

#[test]
fn an_add_that_waits_for_an_eni_is_served_when_ec2_has_attached_it() {
    let stage = Stage::one("netns/waiting-attach", "t3.nano");
    slow(&stage, Action::AttachNetworkInterface, 3);
    let _daemon = stage.daemon(0, &[]);
    let first = stage.pod(0, "web-0");
    let began = Instant::now();
    // The primary ENI has one address for pods.
    let second = stage.pod(0, "web-1");
    let attached = stage
        .journal()
        .count(|record| record.action == "AttachNetworkInterface" && record.outcome == "ok");
    assert_eq!(attached, 1, "after {:?}", began.elapsed());
    assert!(stage.enis(0)[1].has(second.address));
    reaches(&second, first.address, 2);
}

#[test]
fn t12_two_waiters_survive_a_restart_and_get_their_addresses_when_the_cooldown_ends() {
    let stage = Stage::one("netns/waiting-restart", "t3.small");
    let variables = [("MAX_ENI", "1"), ("IP_COOLDOWN_PERIOD", "6")];
    let daemon = stage.daemon(0, &variables);
    let pods = ["a", "b", "c"].map(|name| stage.pod(0, name));
    let [a, b, _c] = pods;
    let addresses = [a.address, b.address];
    let cooling_from = Instant::now();
    stage.stop(a);
    stage.stop(b);
    let sandboxes = ["d", "e"].map(|name| stage.sandbox(0, name, "1.0.0"));
    let waiting = sandboxes
        .each_ref()
        .map(|sandbox| sandbox.begin("ADD", PLUGIN).unwrap());
    daemon.has_received("default/d", 1);
    daemon.has_received("default/e", 1);
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.stopped(), Some(0));
    let _next = stage.daemon(0, &variables);
    for call in waiting {
        let call = call.finish().unwrap();
        assert!(call.succeeded(), "{}", call.failure());
        assert!(
            cooling_from.elapsed() >= Duration::from_secs(6),
            "{:?}",
            cooling_from.elapsed()
        );
        let result = call.json().unwrap();
        let given = result["ips"][0]["address"].as_str().unwrap();
        let given = given.trim_end_matches("/32").parse().unwrap();
        assert!(addresses.contains(&given), "{given}");
    }
}

#[test]
fn t02_a_full_node_refuses_at_once_and_tells_its_limit_from_a_cooldown_that_ends_too_late() {
    let stage = Stage::one("netns/waiting-limit", "t3.nano");
    let _daemon = stage.daemon(0, &ONE_ENI);
    let only = stage.pod(0, "web-0");
    let mut sandbox = stage.hasty_sandbox(0, "web-1", 5);
    let call = stage.add(&mut sandbox);
    let (code, text) = raw::error(&call);
    let phrase = "failed to assign an IP address to container";
    let expected = format!("{phrase}: node limit 1: 1 addresses are held by pods");
    assert_eq!((code, text.starts_with(&expected)), (100, true), "{text}");
    assert!(call.elapsed < Duration::from_secs(2), "{:?}", call.elapsed);
    stage.stop(only);
    let call = stage.add(&mut sandbox);
    let (code, text) = raw::error(&call);
    let expected = format!(
        "{phrase}: no address before the deadline: 0 of 1 are held by pods and 1 cool for longer"
    );
    assert_eq!((code, text.starts_with(&expected)), (11, true), "{text}");
    assert!(call.elapsed < Duration::from_secs(2), "{:?}", call.elapsed);
}

#[test]
fn t02_an_eni_that_is_not_attached_in_time_is_named() {
    let stage = Stage::one("netns/waiting-attaching", "t3.nano");
    slow(&stage, Action::AttachNetworkInterface, 14);
    let _daemon = stage.daemon(0, &[]);
    let _first = stage.pod(0, "web-0");
    let mut sandbox = stage.hasty_sandbox(0, "web-1", 5);
    let (code, text) = raw::error(&stage.add(&mut sandbox));
    let expected = "failed to assign an IP address to container: eni-";
    assert_eq!((code, text.starts_with(expected)), (11, true), "{text}");
    let step = "is on its way and cannot be used yet: EC2 is asked to attach it";
    assert!(text.contains(step), "{text}");
}

#[test]
fn t02_what_start_up_waits_for_is_told_to_the_runtime() {
    let stage = Stage::one("netns/waiting-not-ready", "t3.nano");
    stage
        .vpc()
        .faults_mut()
        .fail_imds("placement/availability-zone", 404);
    let _daemon = stage.launch(0, &[]);
    let mut sandbox = stage.hasty_sandbox(0, "web-0", 5);
    let (code, text) = raw::error(&stage.add(&mut sandbox));
    assert_eq!(code, 11, "{text}");
    let expected =
        "failed to assign an IP address to container: the node daemon is starting: waiting for ";
    assert!(text.starts_with(expected), "{text}");
    assert!(
        text.contains("/latest/meta-data/placement/availability-zone"),
        "{text}"
    );
}

#[test]
fn t02_a_checkpoint_that_cannot_be_written_is_told_to_the_runtime() {
    let stage = Stage::one("netns/waiting-checkpoint", "t3.nano");
    let store = "/var/run/aws-node/store/ipam.json";
    let folder = stage.node(0).root().join("run/aws-node/store");
    std::fs::create_dir_all(&folder).unwrap();
    let variables = [("AWS_VPC_K8S_CNI_BACKING_STORE", store), ("MAX_ENI", "1")];
    let daemon = stage.daemon(0, &variables);
    daemon.says("EC2 call done", |line| {
        line["action"] == "AssignPrivateIpAddresses"
    });
    let read_only = "mount -t tmpfs -o ro none /run/aws-node/store";
    stage
        .node(0)
        .run(|| lab::command::run(&["sh", "-c", read_only], ""))
        .unwrap()
        .unwrap();
    let mut sandbox = stage.hasty_sandbox(0, "web-0", 5);
    let (code, text) = raw::error(&stage.add(&mut sandbox));
    assert_eq!(code, 11, "{text}");
    let expected = "failed to assign an IP address to container: checkpoint cannot be written: ";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("ipam.json"), "{text}");
    let writable = "umount /run/aws-node/store";
    stage
        .node(0)
        .run(|| lab::command::run(&["sh", "-c", writable], ""))
        .unwrap()
        .unwrap();
    // The next attempt to write may be ten seconds away.
    let mut patient = stage.sandbox(0, "web-0", "1.0.0");
    let add = stage.add(&mut patient);
    assert!(add.succeeded(), "{}", add.failure());
}
