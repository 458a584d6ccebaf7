//! Makes a failing plan small: drops steps, turns faults off, makes drawn faults certain and drops those, rounds times,
//! as long as the same invariant still breaks. Must not: look at the run's events; a run is a function of its plan.
//! Driven by: `main --shrink`, the tests.

use crate::fate::Fate;
use crate::invariant::Invariant;
use crate::mutant::Mutant;
use crate::plan::{Plan, Swarm};
use crate::trace::{Keep, Trace};
use crate::world::{self, Report};
use model::time::Instant;

/// Faults that strike calls: their strokes can be written down one by one instead.
const STROKES: &[&str] = &[
    "throttle",
    "refuse",
    "server_error",
    "apply_and_lose",
    "lose_unapplied",
    "apply_late",
    "slow_calls",
];

/// The smallest plan found that breaks the same invariant; the plan itself when it breaks nothing.
pub fn shrink(plan: &Plan, mutant: Option<Mutant>) -> Plan {
    let Some(invariant) = broken(&run(plan, mutant)) else {
        return plan.clone();
    };
    let fails = |candidate: &Plan| broken(&run(candidate, mutant)) == Some(invariant);
    let mut plan = plan.clone();
    loop {
        let before = plan.clone();
        plan = without(plan, |plan| &mut plan.steps, &fails);
        plan = without_faults(plan, &fails);
        plan = with_certain_faults(plan, mutant, &fails);
        plan = without(plan, |plan| &mut plan.fates, &fails);
        plan = rounded(plan, &fails);
        if plan == before {
            return plan;
        }
    }
}

fn run(plan: &Plan, mutant: Option<Mutant>) -> Report {
    world::run(plan, mutant, &mut Trace::new(Keep::Nothing))
}

fn broken(report: &Report) -> Option<Invariant> {
    let violation = report.violation.as_ref();
    violation.map(|violation| violation.invariant)
}

/// Drops halves, quarters, … down to single ones of a list.
fn without<T>(
    mut plan: Plan,
    list: impl Fn(&mut Plan) -> &mut Vec<T>,
    fails: &impl Fn(&Plan) -> bool,
) -> Plan {
    let mut size = list(&mut plan).len().div_ceil(2).max(1);
    loop {
        let mut from = 0;
        while from < list(&mut plan).len() {
            let mut candidate = plan.clone();
            let entries = list(&mut candidate);
            entries.drain(from..(from + size).min(entries.len()));
            if fails(&candidate) {
                plan = candidate
            } else {
                from += size
            }
        }
        if size == 1 {
            return plan;
        }
        size = size.div_ceil(2);
    }
}

fn without_faults(mut plan: Plan, fails: &impl Fn(&Plan) -> bool) -> Plan {
    for flag in Swarm::FLAGS {
        let mut candidate = plan.clone();
        (flag.set)(&mut candidate.faults, false);
        plan = better(plan, candidate, fails);
    }
    let mut candidate = plan.clone();
    candidate.blow = None;
    better(plan, candidate, fails)
}

/// Writes down what became of each call instead of drawing it.
fn with_certain_faults(plan: Plan, mutant: Option<Mutant>, fails: &impl Fn(&Plan) -> bool) -> Plan {
    let strokes = Swarm::FLAGS
        .iter()
        .filter(|flag| STROKES.contains(&flag.name));
    let mut candidate = plan.clone();
    for flag in strokes {
        (flag.set)(&mut candidate.faults, false);
    }
    if candidate == plan {
        return plan;
    }
    let mut fates: Vec<Fate> = run(&plan, mutant).fates;
    fates.sort_by_key(|fate| (fate.action, fate.ordinal));
    candidate.fates = fates;
    better(plan, candidate, fails)
}

/// Times become whole seconds, the first of what could be chosen is chosen.
fn rounded(mut plan: Plan, fails: &impl Fn(&Plan) -> bool) -> Plan {
    for number in 0..plan.steps.len() {
        let mut candidate = plan.clone();
        candidate.steps[number].pick = 0;
        plan = better(plan, candidate, fails);
        let mut candidate = plan.clone();
        let at = &mut candidate.steps[number].at;
        *at = Instant(at.0.next_multiple_of(1000));
        let in_order = candidate.steps.windows(2).all(|two| two[0].at <= two[1].at);
        if in_order {
            plan = better(plan, candidate, fails);
        }
    }
    plan
}

fn better(plan: Plan, candidate: Plan, fails: &impl Fn(&Plan) -> bool) -> Plan {
    if candidate != plan && fails(&candidate) {
        candidate
    } else {
        plan
    }
}
