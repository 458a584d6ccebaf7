//! T-09: the daemon is killed before each step of an ENI's removal that it has announced, and while EC2 has one of the
//! removal's calls. Afterwards the ENI is gone, its link and its rule too, and nothing else.
//!
//! An ENI is kept for a minute at least, so each life here begins where an earlier one ended that had announced it.

use crate::calls::FATES;
use crate::home::{FOLDER, Home, Reset, Variables, launch, log, looked_after};
use crate::truth::settled;
use e2e::daemon::{Daemon, PATIENCE};
use e2e::expect::{eventually, when};
use e2e::kernel::{Inside, naming};
use e2e::kill::{Cut, FILES, kinds, record};
use e2e::stage::Stage;
use lab::vpc::{Action, Interface};
use std::fs;

const VARIABLES: Variables<'_> = &[("WARM_IP_TARGET", "1"), ("IP_COOLDOWN_PERIOD", "1")];
const JOURNAL: &str = "/var/run/aws-node/intents.json.tmp";

/// A node whose second ENI is to go: its addresses are held by nobody.
struct Leaving {
    stage: Stage,
    eni: Interface,
    announced: Reset,
}

impl Leaving {
    fn new(test: &str) -> Self {
        let stage = Stage::one(test, "t3.nano");
        let daemon = stage.launch(0, VARIABLES);
        looked_after((&stage, 0), VARIABLES, daemon, |home| {
            let pods = home.pods(["a", "b"]);
            settled(&stage, 0, &pods.each_ref(), 2);
            pods.into_iter().for_each(|pod| home.stop(pod));
            settled(&stage, 0, &[], 2);
            cooled(&stage);
        });
        let eni = stage.enis(0)[1].clone();
        let attachment = eni.attachment.as_ref().expect("it is attached");
        let intent = format!(
            r#"{{"version":"vpc-cni-intents/1","intents":[{{"number":7,"call":{{"DetachInterface":{{"eni":"{}","attachment":"{}"}}}}}}]}}"#,
            eni.id, attachment.id
        );
        let announced = Reset::to_now(&stage).with(&stage, "intents.json", &intent);
        Self {
            stage,
            eni,
            announced,
        }
    }

    /// The node as it was when the removal was announced, the ENI's rule included.
    fn again(&self) {
        self.announced.again(&self.stage);
        let (node, primary) = (self.stage.node(0), self.eni.primary().unwrap().to_string());
        if naming(&node.rules(), &primary).is_empty() {
            let rule = [
                "rule", "add", "from", &primary, "lookup", "2", "priority", "32765",
            ];
            node.ip(&rule).unwrap();
        }
    }

    /// The removal from its announcement to its end; how often the daemon died.
    fn life(&self, first: Daemon, strike: impl FnOnce(&Home<'_>)) -> usize {
        let ((), deaths) = looked_after((&self.stage, 0), VARIABLES, first, |home| {
            strike(home);
            self.is_gone();
            home.serves();
            settled(&self.stage, 0, &[], 1);
        });
        deaths
    }

    #[track_caller]
    fn is_gone(&self) {
        let (stage, node) = (&self.stage, self.stage.node(0));
        eventually("the ENI is deleted", PATIENCE, || {
            when(stage.vpc().interface(&self.eni.id).is_none(), |gone| *gone)
        });
        eventually("its link is gone", PATIENCE, || {
            when(node.links(), |links| links == &["lo", "ens5"])
        });
        let primary = self.eni.primary().unwrap().to_string();
        eventually("its rule is gone", PATIENCE, || {
            when(node.rules(), |rules| naming(rules, &primary).is_empty())
        });
    }
}

/// Waits until nothing cools any more in the checkpoint's sense: an ENI with such an address is not given back.
fn cooled(stage: &Stage) {
    let until = crate::truth::file(stage, 0, "ipam.json")["extension"]["cooling"].clone();
    let last = until
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["until"].as_u64())
        .max();
    eventually("the cooldown is over", PATIENCE, || {
        when(crate::truth::boot_clock_ms(), |now| {
            last.is_none_or(|last| *now > last)
        })
    });
}

#[test]
fn t09_killed_at_every_step_of_the_journal_of_a_removal_it_ends_the_removal() {
    let leaving = Leaving::new("chaos/removal-files");
    let stage = &leaving.stage;
    let trace = log(stage, "record");
    leaving.again();
    let paths = [JOURNAL, FOLDER];
    let first = stage.launch_under(0, &record(FILES, &paths, &trace), VARIABLES);
    assert_eq!(leaving.life(first, |_| {}), 0);
    let mut steps = kinds(&fs::read_to_string(trace).unwrap(), &paths);
    steps.retain(|kind, _| !kind.call.contains("sync") || kind.path.as_deref() == Some(FOLDER));
    let mut kills = 0;
    for kind in steps.keys() {
        for nth in 1..40 {
            let cut = Cut {
                kind: kind.clone(),
                nth,
            };
            eprintln!("{cut}");
            leaving.again();
            if leaving.life(launch(stage, 0, VARIABLES, &cut), |_| {}) == 0 {
                break;
            }
            kills += 1;
        }
    }
    // Start, and the ends of detach and delete: made, filled and put in place.
    assert!(kills >= 9, "killed {kills} times: {steps:?}");
}

#[test]
fn t09_killed_during_every_call_of_a_removal_it_ends_the_removal() {
    let leaving = Leaving::new("chaos/removal-calls");
    let stage = &leaving.stage;
    leaving.again();
    let before = stage.journal().records().len();
    assert_eq!(leaving.life(stage.launch(0, VARIABLES), |_| {}), 0);
    let records = stage.journal().records().split_off(before);
    let is_made = |action: &&Action| {
        let mut mutating = records.iter().filter(|record| record.mutating);
        mutating.any(|record| record.action == action.name())
    };
    let calls: Vec<Action> = Action::ALL.iter().filter(is_made).copied().collect();
    assert!(calls.len() >= 2, "{calls:?}");
    for action in calls {
        for fate in FATES {
            eprintln!("{action:?} {fate:?}");
            leaving.again();
            let held = stage.hold(0, action, fate.moment());
            let strike = |home: &Home<'_>| fate.strike(home, held);
            assert_eq!(leaving.life(stage.launch(0, VARIABLES), strike), 1);
        }
    }
}
