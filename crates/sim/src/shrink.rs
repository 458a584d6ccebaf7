//! Makes a failing plan small: drops steps, then turns faults off, as long as the same invariant still breaks.
//! Must not: look at the run's events; a run is a function of its plan. Driven by: `main --shrink`.

use crate::invariant::Invariant;
use crate::mutant::Mutant;
use crate::plan::{Plan, Swarm};
use crate::trace::{Keep, Trace};
use crate::world;

/// The smallest plan found that breaks the same invariant; the plan itself when it breaks nothing.
pub fn shrink(plan: &Plan, mutant: Option<Mutant>) -> Plan {
    let Some(invariant) = broken(plan, mutant) else {
        return plan.clone();
    };
    let fails = |candidate: &Plan| broken(candidate, mutant) == Some(invariant);
    let mut plan = plan.clone();
    loop {
        let before = plan.clone();
        plan = without_steps(plan, &fails);
        plan = without_faults(plan, &fails);
        if plan == before {
            return plan;
        }
    }
}

fn broken(plan: &Plan, mutant: Option<Mutant>) -> Option<Invariant> {
    world::run(plan, mutant, &mut Trace::new(Keep::Nothing))
        .violation
        .map(|violation| violation.invariant)
}

/// Drops halves, quarters, … down to single steps.
fn without_steps(mut plan: Plan, fails: &impl Fn(&Plan) -> bool) -> Plan {
    let mut size = plan.steps.len().div_ceil(2).max(1);
    loop {
        let mut from = 0;
        while from < plan.steps.len() {
            let mut candidate = plan.clone();
            candidate
                .steps
                .drain(from..(from + size).min(plan.steps.len()));
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
        if candidate != plan && fails(&candidate) {
            plan = candidate;
        }
    }
    plan
}
