//! T-09: the daemon is killed while EC2 has one of its calls: before it is carried out (and then never, or only after the
//! restart) and after, before the answer. Each call that changes something, as a record of the journal of EC2 has them.

use crate::home::{Home, log, looked_after};
use crate::truth::settled;
use e2e::daemon::PATIENCE;
use e2e::kill::{Cut, FILES, Kind, kinds, record};
use e2e::stage::Stage;
use lab::ec2::Moment;
use lab::vpc::Action;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const VARIABLES: &[(&str, &str)] = &[("IP_COOLDOWN_PERIOD", "1")];
const JOURNAL: &str = "/var/run/aws-node/intents.json.tmp";

/// What becomes of the call during which the daemon was killed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    NeverDone,
    DoneUnanswered,
    DoneAfterTheRestart,
}

/// All of them.
pub(crate) const FATES: [Fate; 3] = [
    Fate::NeverDone,
    Fate::DoneUnanswered,
    Fate::DoneAfterTheRestart,
];

impl Fate {
    /// Where the call must be stopped for it.
    pub(crate) fn moment(self) -> Moment {
        match self {
            Self::NeverDone | Self::DoneAfterTheRestart => Moment::BeforeItIsDone,
            Self::DoneUnanswered => Moment::BeforeTheAnswer,
        }
    }

    /// Kills the daemon when the call has arrived.
    #[track_caller]
    pub(crate) fn strike(self, home: &Home<'_>, held: lab::ec2::Held) {
        assert!(held.arrives(PATIENCE), "the call was not made");
        home.kill();
        match self {
            Self::NeverDone => held.lose(),
            Self::DoneUnanswered => held.release(),
            Self::DoneAfterTheRestart => {
                home.serves();
                held.release();
            }
        }
    }
}

/// Start, growth of the primary ENI, a second ENI, an ADD on each, their DELs, and `strike` meanwhile.
fn life(home: &Home<'_>, strike: impl FnOnce()) {
    let pods = std::thread::scope(|scope| {
        let pods = scope.spawn(|| home.pods(["a", "b"]));
        strike();
        pods.join()
    });
    let pods = pods.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    settled(home.stage, home.index, &pods.each_ref(), 2);
    pods.into_iter().for_each(|pod| home.stop(pod));
    settled(home.stage, home.index, &[], 2);
}

/// The mutating calls of a whole life.
fn recorded(stage: &Stage, index: usize) -> Vec<Action> {
    let daemon = stage.launch(index, VARIABLES);
    let ((), deaths) = looked_after((stage, index), VARIABLES, daemon, |home| life(home, || {}));
    assert_eq!(deaths, 0);
    let records = stage.journal().records();
    let made: BTreeSet<String> = records
        .into_iter()
        .filter(|record| record.mutating)
        .map(|record| record.action)
        .collect();
    let is_made = |action: &&Action| made.contains(action.name());
    Action::ALL.iter().filter(is_made).copied().collect()
}

#[test]
fn t09_killed_during_every_call_that_makes_an_eni_it_orphans_none_and_doubles_nothing() {
    // A node of its own for each call and fate, and one for the record.
    let stage = Stage::new("chaos/calls", |scene| {
        (0..16).fold(scene, |scene, _| scene.node("t3.nano", "a"))
    });
    let calls = recorded(&stage, 0);
    assert!((5..=5).contains(&calls.len()), "{calls:?}");
    std::thread::scope(|scope| {
        for (row, fate) in FATES.into_iter().enumerate() {
            let (stage, calls) = (&stage, &calls);
            scope.spawn(move || {
                for (column, action) in calls.iter().enumerate() {
                    let index = 1 + row * calls.len() + column;
                    eprintln!("{action:?} {fate:?} on {}", stage.node(index).name());
                    let held = stage.hold(index, *action, fate.moment());
                    let daemon = stage.launch(index, VARIABLES);
                    looked_after((stage, index), VARIABLES, daemon, |home| {
                        life(home, || fate.strike(home, held))
                    });
                }
            });
        }
    });
}

/// An assignment that was announced is not repeated before EC2 has told what came of it: each of these takes the call's
/// whole deadline, and all wait at once.
#[test]
fn t09_killed_at_every_step_of_the_journal_around_an_assignment_it_grows_all_the_same() {
    const WRITES: usize = 3;
    let stage = Stage::new("chaos/assignment", |scene| {
        (0..10).fold(scene, |scene, _| scene.node("t3.nano", "a"))
    });
    let steps = first_steps(&stage);
    let cuts: Vec<Cut> = steps
        .into_keys()
        .flat_map(|kind| (1..=WRITES).map(move |nth| (kind.clone(), nth)))
        .map(|(kind, nth)| Cut { kind, nth })
        .collect();
    assert!((9..=9).contains(&cuts.len()), "{cuts:?}");
    std::thread::scope(|scope| {
        for (index, cut) in (1..).zip(cuts) {
            let stage = &stage;
            scope.spawn(move || {
                let name = format!("cut-{index}");
                let command = cut.command(&log(stage, &name));
                let daemon = stage.launch_under(index, &command, VARIABLES);
                let ((), deaths) =
                    looked_after((stage, index), VARIABLES, daemon, |home| life(home, || {}));
                assert_eq!(deaths, 1, "{cut}");
            });
        }
    });
}

/// What the daemon does to its journal in a life, but for the sync of the content.
fn first_steps(stage: &Stage) -> BTreeMap<Kind, usize> {
    let trace = log(stage, "record");
    let daemon = stage.launch_under(0, &record(FILES, &[JOURNAL], &trace), VARIABLES);
    looked_after((stage, 0), VARIABLES, daemon, |home| life(home, || {}));
    let mut steps = kinds(&fs::read_to_string(trace).unwrap(), &[JOURNAL]);
    steps.retain(|kind, _| !kind.call.contains("sync"));
    steps
}
