//! T-09: the daemon is killed while EC2 has one of its calls: before it is carried out (and then never, or only after the
//! restart) and after, before the answer; and around the announcement of the first ones. Which calls and steps there are
//! is read from a record of a whole life.

use crate::home::{Home, log, looked_after};
use crate::truth::settled;
use e2e::daemon::PATIENCE;
use e2e::kill::{Cut, FILES, Kind, kinds, record};
use e2e::stage::Stage;
use lab::ec2::Moment;
use lab::vpc::Action;
use std::collections::BTreeSet;
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

/// What the daemon of the first node does in a life: its mutating calls, and the steps by which it writes its journal but
/// for the sync of the content.
fn recorded(stage: &Stage) -> (Vec<Action>, Vec<Kind>) {
    let trace = log(stage, "record");
    let daemon = stage.launch_under(0, &record(FILES, &[JOURNAL], &trace), VARIABLES);
    let ((), deaths) = looked_after((stage, 0), VARIABLES, daemon, |home| life(home, || {}));
    assert_eq!(deaths, 0);
    let records = stage.journal().records();
    let mutating = records.iter().filter(|record| record.mutating);
    let made: BTreeSet<&str> = mutating.map(|record| record.action.as_str()).collect();
    let is_made = |action: &&Action| made.contains(action.name());
    let calls = Action::ALL.iter().filter(is_made).copied().collect();
    let steps = kinds(&fs::read_to_string(trace).unwrap(), &[JOURNAL]);
    let is_step = |kind: &Kind| !kind.call.contains("sync");
    (calls, steps.into_keys().filter(is_step).collect())
}

/// Calls of a life that change something: tags, assign, create, attach, protect.
const CALLS: usize = 5;
/// Replacements of the journal up to the one after the assignment.
const WRITES: usize = 3;
/// The journal's file is made, filled and put in place.
const STEPS: usize = 3;

/// An assignment that was announced is not repeated before EC2 has told what came of it, which takes the call's whole
/// deadline: every case has a node of its own, and all wait at once.
#[test]
fn t09_killed_during_every_call_that_grows_and_around_its_announcement_it_loses_and_doubles_nothing()
 {
    let nodes = 1 + FATES.len() * CALLS + STEPS * WRITES;
    let stage = Stage::new("chaos/calls", |scene| {
        (0..nodes).fold(scene, |scene, _| scene.node("t3.nano", "a"))
    });
    let (calls, steps) = recorded(&stage);
    assert_eq!(calls.len(), CALLS, "{calls:?}");
    assert_eq!(steps.len(), STEPS, "{steps:?}");
    let mut free = 1..;
    std::thread::scope(|scope| {
        let stage = &stage;
        for fate in FATES {
            let cases: Vec<_> = calls.iter().copied().zip(free.by_ref()).collect();
            scope.spawn(move || {
                for (action, index) in cases {
                    struck(stage, index, action, fate);
                }
            });
        }
        for kind in steps {
            for nth in 1..=WRITES {
                let (kind, index) = (kind.clone(), free.next().unwrap());
                scope.spawn(move || cut(stage, index, &Cut { kind, nth }));
            }
        }
    });
}

/// A life in which the daemon is killed during the call.
fn struck(stage: &Stage, index: usize, action: Action, fate: Fate) {
    eprintln!("{action:?} {fate:?} on {}", stage.node(index).name());
    let held = stage.hold(index, action, fate.moment());
    let daemon = stage.launch(index, VARIABLES);
    looked_after((stage, index), VARIABLES, daemon, |home| {
        life(home, || fate.strike(home, held));
    });
}

/// A life in which the daemon is killed at the cut.
fn cut(stage: &Stage, index: usize, cut: &Cut) {
    eprintln!("{cut} on {}", stage.node(index).name());
    let command = cut.command(&log(stage, &format!("cut-{index}")));
    let daemon = stage.launch_under(index, &command, VARIABLES);
    let ((), deaths) = looked_after((stage, index), VARIABLES, daemon, |home| life(home, || {}));
    assert_eq!(deaths, 1, "{cut}");
}
