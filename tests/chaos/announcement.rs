//! T-09: the daemon is killed when it gives addresses back and when it announces that an ENI goes.
//!
//! It does neither before an ENI is a while old: every case has a node of its own and all wait at once.

use crate::calls::FATES;
use crate::home::{Home, Variables, log, looked_after};
use crate::truth::settled;
use e2e::daemon::PATIENCE;
use e2e::expect::{eventually, when};
use e2e::kill::{Cut, Kind};
use e2e::stage::Stage;
use lab::ec2::Record;
use lab::vpc::Action;
use std::time::Duration;

const VARIABLES: Variables<'_> = &[("WARM_IP_TARGET", "1"), ("IP_COOLDOWN_PERIOD", "1")];
const JOURNAL: &str = "/var/run/aws-node/intents.json.tmp";
/// The age below which no ENI is given back, and half as much again.
const OLD_ENOUGH: Duration = Duration::from_secs(90);

/// The steps by which the announcement becomes durable, as `removal` reads them from a record; what comes after the last
/// is what it begins with.
const STEPS: [&str; 3] = ["openat", "write", "rename"];

/// A node with two ENIs of which one address is wanted; `work` is what happens from then on.
fn alone(stage: &Stage, index: usize, work: impl FnOnce(&Home<'_>)) {
    let first = stage.launch(index, VARIABLES);
    let ((), deaths) = looked_after((stage, index), VARIABLES, first, |home| {
        let pods = home.pods(["a", "b"]);
        settled(stage, index, &pods.each_ref(), 2);
        pods.into_iter().for_each(|pod| home.stop(pod));
        work(home);
    });
    assert_eq!(deaths, 1);
}

/// Secondary addresses that EC2 assigns to the node.
fn assigned(stage: &Stage, index: usize) -> usize {
    let enis = stage.enis(index);
    enis.iter().map(|eni| eni.addresses.len() - 1).sum()
}

/// Calls of an action that the node made.
fn record_of(stage: &Stage, index: usize, action: &str) -> usize {
    let instance = stage.nodes()[index].instance.to_string();
    let made = |record: &Record| record.node == instance && record.action == action;
    stage.journal().count(made)
}

/// The announcement is cut short before the step.
fn announce(home: &Home<'_>, call: &str) {
    let (stage, index) = (home.stage, home.index);
    eventually("the spare address is given back", PATIENCE, || {
        when(assigned(stage, index), |count| *count == 1)
    });
    settled(stage, index, &[], 2);
    let cut = Cut {
        kind: Kind {
            call: call.to_owned(),
            path: Some(JOURNAL.to_owned()),
        },
        nth: 1,
    };
    // Nothing is written any more before the ENI is to go.
    let trace = log(stage, &format!("cut-{index}"));
    let _tracer = home.trace(|pid| cut.attach(pid, &trace));
    eventually("the daemon dies", OLD_ENOUGH, || {
        when(home.deaths(), |deaths| *deaths == 1)
    });
    home.serves();
    settled(stage, index, &[], 2);
    let announced = record_of(stage, index, "DetachNetworkInterface");
    assert_eq!(announced, 0, "it was not announced");
}

#[test]
fn t09_killed_when_it_gives_up_addresses_or_announces_a_removal_it_loses_nothing() {
    let stage = Stage::new("chaos/announcement", |scene| {
        (0..FATES.len() + STEPS.len()).fold(scene, |scene, _| scene.node("t3.nano", "a"))
    });
    std::thread::scope(|scope| {
        let stage = &stage;
        for (index, fate) in FATES.into_iter().enumerate() {
            let action = Action::UnassignPrivateIpAddresses;
            let held = stage.hold(index, action, fate.moment());
            scope.spawn(move || {
                alone(stage, index, |home| {
                    fate.strike(home, held);
                    settled(stage, index, &[], 2);
                    let [pod] = home.pods(["c"]);
                    settled(stage, index, &[&pod], 2);
                })
            });
        }
        for (index, step) in (FATES.len()..).zip(STEPS) {
            scope.spawn(move || alone(stage, index, |home| announce(home, step)));
        }
    });
}
