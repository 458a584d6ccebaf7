//! T-09: the daemon is killed before each step of every replacement of its files, from its first start over growth to the
//! last DEL. The step after which it is killed is the one before. That a process ends loses nothing of a file that was
//! not synced, so the syncs of the new files' content are no steps of their own.

use crate::home::{FOLDER, Reset, launch, log, looked_after};
use crate::truth::settled;
use e2e::daemon::{Daemon, PATIENCE};
use e2e::expect::{eventually, when};
use e2e::kill::{Cut, FILES, Kind, kinds, record};
use e2e::stage::Stage;
use std::collections::BTreeMap;
use std::fs;

pub(crate) const VARIABLES: &[(&str, &str)] = &[("IP_COOLDOWN_PERIOD", "1")];

/// Start, growth of the primary ENI, a second ENI, an ADD on each, their DELs; how often the daemon died meanwhile.
pub(crate) fn life(stage: &Stage, daemon: Daemon) -> usize {
    let ((), deaths) = looked_after((stage, 0), VARIABLES, daemon, |home| {
        let pods = home.pods(["a", "b"]);
        settled(stage, 0, &pods.each_ref(), 2);
        pods.into_iter().for_each(|pod| home.stop(pod));
        home.serves();
        settled(stage, 0, &[], 2);
    });
    deaths
}

/// The steps of a whole life, as the real daemon takes them.
fn recorded(stage: &Stage, paths: &[&str]) -> BTreeMap<Kind, usize> {
    let trace = log(stage, "record");
    let daemon = stage.launch_under(0, &record(FILES, paths, &trace), VARIABLES);
    assert_eq!(life(stage, daemon), 0);
    let mut steps = kinds(&fs::read_to_string(trace).unwrap(), paths);
    steps.retain(|kind, _| !kind.call.contains("sync") || kind.path.as_deref() == Some(FOLDER));
    steps
}

/// A node as it is before its second ENI. An assignment that was cut short is not repeated before EC2 has told what came
/// of it, which takes the call's whole deadline; `calls` waits for that, these tests don't.
pub(crate) fn give_the_primary_its_address(stage: &Stage) {
    let variables = [("WARM_IP_TARGET", "1")];
    let ((), deaths) = looked_after((stage, 0), &variables, stage.launch(0, &variables), |_| {
        eventually("EC2 assigns an address", PATIENCE, || {
            when(stage.enis(0)[0].addresses.len(), |count| *count == 2)
        });
        settled(stage, 0, &[], 1);
    });
    assert_eq!(deaths, 0);
}

/// Kills the daemon at every step that touches one of `paths`.
fn killed(test: &str, paths: &[&str], least: usize) {
    let stage = Stage::one(test, "t3.nano");
    give_the_primary_its_address(&stage);
    let fresh = Reset::to_now(&stage);
    let steps = recorded(&stage, paths);
    let mut kills = 0;
    for (kind, count) in &steps {
        let limit = 2 * count + 4;
        for nth in 1.. {
            assert!(nth < limit, "{kind:?}: {count} were recorded");
            let cut = Cut {
                kind: kind.clone(),
                nth,
            };
            eprintln!("{cut}");
            fresh.again(&stage);
            if life(&stage, launch(&stage, 0, VARIABLES, &cut)) == 0 {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills >= least, "killed {kills} times: {steps:?}");
}

#[test]
fn t09_killed_at_every_step_of_its_journal_it_loses_and_doubles_nothing() {
    // Made, filled and put in place for: assign, create, attach, protect.
    killed("chaos/journal", &["/var/run/aws-node/intents.json.tmp"], 12);
}

#[test]
fn t09_killed_at_every_step_of_its_checkpoint_it_loses_and_doubles_nothing() {
    // Made, filled and put in place for: two ADDs and two DELs, which may share a write.
    killed("chaos/checkpoint", &["/var/run/aws-node/ipam.json.tmp"], 9);
}

#[test]
fn t09_killed_after_every_replacement_of_a_file_it_loses_and_doubles_nothing() {
    killed("chaos/replaced", &[FOLDER], 6);
}
