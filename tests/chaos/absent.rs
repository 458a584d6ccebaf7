//! T-19: a DEL succeeds without whatever it could use, however often it is called.
//!
//! The test asks for a policy engine and an API server that do not answer either: no DEL talks to one, so there is nothing
//! to be without yet.

use crate::home::looked_after;
use crate::truth::{kernel_serves, settled};
use e2e::kernel::Inside;
use e2e::stage::Stage;
use lab::runtime::pod::Pod;
use lab::runtime::sandbox::{DelWith, Sandbox};
use std::collections::BTreeSet;
use std::fs;

const VARIABLES: &[(&str, &str)] = &[("IP_COOLDOWN_PERIOD", "1"), ("MAX_ENI", "2")];

#[track_caller]
fn succeeds(stage: &Stage, sandbox: &mut Sandbox<'_>, with: DelWith) {
    for time in 1..=3 {
        let call = stage.del(sandbox, with);
        assert!(call.succeeded(), "time {time}: {}", call.failure());
    }
}

/// A node with a pod that stays and one that goes while the daemon is down; both on the primary ENI or one on each.
fn without_daemon(test: &str, missing: impl FnOnce(&Stage, &mut Sandbox<'_>) -> DelWith) {
    let stage = Stage::one(test, "t3.nano");
    let first = stage.launch(0, VARIABLES);
    let ((steady, mut goes), _) = looked_after((&stage, 0), VARIABLES, first, |home| {
        let [steady, goes] = home.pods(["steady", "goes"]);
        settled(&stage, 0, &[&steady, &goes], 2);
        (steady, goes.into_sandbox())
    });
    let with = missing(&stage, &mut goes);
    succeeds(&stage, &mut goes, with);
    if with == DelWith::Netns {
        goes.remove_netns().unwrap();
    }
    let live = BTreeSet::from([steady.address]);
    kernel_serves(&stage, 0, &live);
    // What the daemon could not be told then it learns by the runtime's next DEL.
    let again = stage.launch(0, VARIABLES);
    looked_after((&stage, 0), VARIABLES, again, |home| {
        home.serves();
        succeeds(&stage, &mut goes, DelWith::Nothing);
        settled(&stage, 0, &[&steady], 2);
    });
}

#[test]
fn t19_three_dels_succeed_with_the_daemon_down() {
    without_daemon("chaos/absent-daemon", |_, _| DelWith::Netns);
}

#[test]
fn t19_three_dels_succeed_with_the_daemon_down_and_the_namespace_gone() {
    without_daemon("chaos/absent-netns", |_, sandbox| {
        sandbox.remove_netns().unwrap();
        DelWith::Nothing
    });
}

#[test]
fn t19_three_dels_succeed_when_the_daemon_has_lost_its_files() {
    let stage = Stage::one("chaos/absent-files", "t3.nano");
    let first = stage.launch(0, VARIABLES);
    let ((steady, mut goes), _) = looked_after((&stage, 0), VARIABLES, first, |home| {
        let [steady, goes] = home.pods(["steady", "goes"]);
        settled(&stage, 0, &[&steady, &goes], 2);
        (steady, goes.into_sandbox())
    });
    for name in ["ipam.json", "intents.json"] {
        fs::remove_file(stage.node(0).root().join("run/aws-node").join(name)).unwrap();
    }
    let again = stage.launch(0, VARIABLES);
    looked_after((&stage, 0), VARIABLES, again, |home| {
        home.serves();
        succeeds(&stage, &mut goes, DelWith::Netns);
        goes.remove_netns().unwrap();
        succeeds(&stage, &mut goes, DelWith::Nothing);
        // Nobody knows the pod that stays but its link.
        kernel_serves(&stage, 0, &BTreeSet::from([steady.address]));
        e2e::traffic::reaches(&steady, stage.nodes()[0].lease.address, 1);
    });
}

/// A DEL that comes late, with the daemon down, of a sandbox whose address another pod has by now.
#[test]
fn t19_a_wrong_previous_result_takes_nothing_from_the_pod_that_has_its_address() {
    let stage = Stage::one("chaos/absent-wrong", "t3.nano");
    let variables = [("IP_COOLDOWN_PERIOD", "0"), ("MAX_ENI", "1")];
    let first = stage.launch(0, &variables);
    let ((old, new), _) = looked_after((&stage, 0), &variables, first, |home| {
        let [pod] = home.pods(["old"]);
        let address = pod.address;
        let mut old = pod.into_sandbox();
        let result = old.result().cloned();
        home.end(&mut old);
        let [new] = home.pods(["new"]);
        assert_eq!(new.address, address, "there is no other");
        old.recall(result);
        (old, new)
    });
    still_wired(&stage, old, &new);
}

fn still_wired(stage: &Stage, mut old: Sandbox<'_>, new: &Pod<'_>) {
    let before = stage.node(0).snapshot();
    let result = old.result().cloned();
    for _ in 0..3 {
        old.recall(result.clone());
        let call = stage.del(&mut old, DelWith::Nothing);
        assert!(call.succeeded(), "{}", call.failure());
    }
    assert_eq!(stage.node(0).snapshot(), before);
    e2e::traffic::reaches(new, stage.nodes()[0].lease.address, 1);
}
