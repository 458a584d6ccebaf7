//! The kill sweep: every scenario is run once for each effect of it and each way to die there.
//!
//! Random kills hit a window of a few milliseconds rarely; this hits each one. Must not: judge a run (the invariants
//! do) or touch a file. Driven by: `main --sweep`, the tests.

use crate::invariant::Violation;
use crate::mutant::Mutant;
use crate::plan::Plan;
use crate::trace::{Keep, Trace};
use crate::world::{self, Report};
use ipam::effect::Effect;

/// What an effect is, as far as dying at it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file is written.
    Write,
    /// EC2 is asked to change something.
    Change,
    /// EC2 or IMDS is read.
    Read,
    /// A caller is answered.
    Reply,
    /// The kernel is changed.
    Host,
}

impl How {
    /// Each with its words.
    pub const WORDS: &[(Self, &str)] = &[
        (Self::Before, "before it"),
        (Self::Applied, "after it"),
        (Self::Late, "and it happens after the next start"),
        (Self::Reboot, "with the node"),
    ];
}

impl std::fmt::Display for Blow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = How::WORDS.iter().find(|(how, _)| *how == self.how);
        let words = words.map_or("", |(_, words)| words);
        write!(f, "dies at effect {}, {words}", self.at)
    }
}

impl Kind {
    /// `None`: a notice, which changes nothing.
    pub fn of(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Write(..) => Some(Self::Write),
            Effect::Call(_, call, _) if call.mutating() => Some(Self::Change),
            Effect::Call(..) | Effect::ReadImds(_) => Some(Self::Read),
            Effect::Reply(..) => Some(Self::Reply),
            Effect::Host(..) => Some(Self::Host),
            Effect::Note(_) => None,
        }
    }

    /// The ways to die at it that differ.
    fn ways(self) -> &'static [How] {
        match self {
            Self::Change => &[How::Before, How::Applied, How::Late, How::Reboot],
            Self::Write | Self::Reply => &[How::Before, How::Applied, How::Reboot],
            Self::Read | Self::Host => &[How::Before, How::Reboot],
        }
    }
}

/// How the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The effect has not begun.
    Before,
    /// It has happened, and nobody hears of it.
    Applied,
    /// It happens after the next start.
    Late,
    /// It has happened, and the node goes down: files and pods are gone.
    Reboot,
}

/// A death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blow {
    /// At which effect of the run, from 1.
    pub at: usize,
    /// And how.
    pub how: How,
}

/// A short story that is told again and again.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// Its plan.
    pub text: &'static str,
}

macro_rules! scenarios {
    ($($name:literal,)*) => {
        /// All of them.
        pub const SCENARIOS: &[Scenario] = &[
            $(Scenario { name: $name, text: include_str!(concat!("../scenarios/", $name, ".plan")) },)*
        ];
    };
}

scenarios! {
    "first-add",
    "same-key-again",
    "growth-by-assign",
    "growth-by-eni",
    "growth-under-lag",
    "release-addresses",
    "release-eni",
    "del",
    "pod-replaced",
    "add-in-cooldown",
    "no-del",
    "waiting-add",
    "superseded-add",
    "abandoned-add",
    "del-of-a-waiting-add",
    "full-subnet",
    "create-lost",
    "attach-lost",
    "assign-lost",
    "unassign-lost",
    "detach-and-delete-lost",
    "stop",
    "restart",
    "disk-full",
}

impl Scenario {
    /// Its plan. An error when the text is none.
    pub fn plan(&self) -> Result<Plan, String> {
        self.text
            .parse()
            .map_err(|error| format!("scenario {}: {error}", self.name))
    }
}

/// Every way to die in a plan, found by running it once; and that run.
pub fn blows(plan: &Plan, mutant: Option<Mutant>) -> (Vec<Blow>, Report) {
    let report = strike(plan, mutant, None);
    let each = (1..).zip(&report.effects);
    let blows = each
        .flat_map(|(at, kind)| kind.ways().iter().map(move |how| Blow { at, how: *how }))
        .collect();
    (blows, report)
}

/// Runs a plan in which the process dies as told.
pub fn strike(plan: &Plan, mutant: Option<Mutant>, blow: Option<Blow>) -> Report {
    let plan = Plan {
        blow,
        ..plan.clone()
    };
    world::run(&plan, mutant, &mut Trace::new(Keep::Nothing))
}

/// The first death in a scenario that breaks an invariant.
pub fn first_find(scenario: &Scenario, mutant: Option<Mutant>) -> Option<(Blow, Violation)> {
    let plan = scenario.plan().ok()?;
    let (blows, _) = blows(&plan, mutant);
    blows.into_iter().find_map(|blow| {
        let violation = strike(&plan, mutant, Some(blow)).violation?;
        Some((blow, violation))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_a_plan_that_holds_when_nobody_dies() {
        for scenario in SCENARIOS {
            let plan = scenario.plan().unwrap();
            let (blows, report) = blows(&plan, None);
            assert_eq!(report.violation, None, "{}", scenario.name);
            assert!(blows.len() >= 20, "{}: {}", scenario.name, blows.len());
        }
    }

    #[test]
    fn a_blow_hits_what_it_is_aimed_at() {
        let plan = SCENARIOS[0].plan().unwrap();
        let (blows, whole) = blows(&plan, None);
        for blow in blows {
            let report = strike(&plan, None, Some(blow));
            let same = &report.effects[..blow.at];
            assert_eq!(same, &whole.effects[..blow.at], "{blow:?}");
            let met = if blow.how == How::Reboot {
                "rebooted"
            } else {
                "killed"
            };
            assert_eq!(report.reached.count(met), 1, "{blow:?}");
        }
    }
}
