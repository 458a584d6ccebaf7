//! Every planted bug is found, within its budget of seeds, by the invariant that is there for it and by no other first.
//! A simulator whose checks cannot fail proves nothing. Must not: accept a find in a seed that fails without the bug.

use sim::invariant::{Invariant, Violation};
use sim::mutant::Mutant;
use sim::plan::{Plan, Swarm};
use sim::trace::{Keep, Trace};

const STEPS: u32 = 200;

fn violation_of(plan: &Plan, mutant: Option<Mutant>) -> Option<Violation> {
    sim::world::run(plan, mutant, &mut Trace::new(Keep::Nothing)).violation
}

/// What can be found only where nothing goes wrong, only where nobody asks, or only where IMDS lies, gets such a run.
fn plan(seed: u64, mutant: Mutant) -> Plan {
    match (mutant, mutant.found_by()) {
        (_, Invariant::Faultless) => Plan::with(seed, STEPS, Swarm::default()),
        (_, Invariant::Flapping) => Plan::with(seed, 0, Swarm::default()),
        (Mutant::ImdsAsEc2, _) => {
            let lies = Swarm::only(&["imds_lies", "imds_lag", "kills"]);
            Plan::with(seed, STEPS, lies)
        }
        _ => Plan::of(seed, STEPS),
    }
}

/// The first seed that the bug breaks, and how.
fn first_find(mutant: Mutant) -> Option<(u64, Violation)> {
    (0..mutant.budget()).find_map(|seed| {
        let plan = plan(seed, mutant);
        let found = violation_of(&plan, Some(mutant))?;
        violation_of(&plan, None).is_none().then_some((seed, found))
    })
}

#[test]
fn mutants_are_found_within_their_budget_by_the_invariant_named_for_them() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut wrong = Vec::new();
    for mutant in Mutant::ALL {
        match first_find(*mutant) {
            None => wrong.push(format!(
                "{} was not found in {} seeds",
                mutant.name(),
                mutant.budget()
            )),
            Some((seed, found)) if found.invariant != mutant.found_by() => {
                let (code, text) = (found.invariant.code(), found.text);
                wrong.push(format!(
                    "{} was found in seed {seed} by {code}, not {}: {text}",
                    mutant.name(),
                    mutant.found_by().code()
                ));
            }
            Some(_) => {}
        }
    }
    let _ = std::panic::take_hook();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
