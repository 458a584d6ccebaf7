//! What users suffered from, as properties of many runs: T-01, T-12, T-18 (user-pains.md §5).
//! Must not: turn on more faults than a pain names, so that nothing else hides it.

use sim::plan::{Action, Plan, START, Step, Swarm};
use sim::reached::Reached;
use sim::trace::{Keep, Trace};

const STEPS: u32 = 120;

/// Runs these seeds with these faults; fails with the first violation; returns what was met.
fn all_hold(seeds: std::ops::Range<u64>, faults: Swarm) -> Reached {
    let mut reached = Reached::default();
    for seed in seeds {
        let plan = Plan::with(seed, STEPS, faults);
        let report = sim::world::run(&plan, None, &mut Trace::new(Keep::Nothing));
        assert_eq!(report.violation, None, "seed {seed} with {faults:?}");
        reached.merge(&report.reached);
    }
    reached
}

#[test]
fn t18_an_imds_that_lies_arbitrarily_releases_and_doubles_no_address_and_adds_none() {
    let lies = ["imds_lies", "imds_errors", "imds_lag", "kills", "operators"];
    let reached = all_hold(0..60, Swarm::only(&lies));
    for situation in [
        "IMDS lied at a start",
        "IMDS refused",
        "killed",
        "ADD answered with an address",
        "lost address reported",
    ] {
        assert!(reached.count(situation) > 0, "{situation}");
    }
}

#[test]
fn t12_restarts_inside_cooldowns_reuse_no_address_before_its_original_deadline() {
    let faults = ["kills", "kill_at_effects", "wall_steps", "slow_writes"];
    let reached = all_hold(0..60, Swarm::only(&faults));
    assert!(reached.count("restart inside a cooldown") > 0);
    assert!(reached.count("address given again after its cooldown") > 0);
}

#[test]
fn t01_after_any_single_fault_ends_the_pool_reaches_its_target_without_a_restart() {
    for flag in Swarm::FLAGS {
        all_hold(0..6, Swarm::only(&[flag.name]));
    }
}

#[test]
fn a_lie_about_every_address_costs_no_pod_its_address() {
    let faults = Swarm::only(&["imds_lies"]);
    let mut plan = Plan::with(1, 0, faults);
    let step = |secs: u64, action, pick| Step {
        at: START.after(std::time::Duration::from_secs(secs)),
        action,
        pick,
    };
    plan.steps = (0..12)
        .map(|pick| step(60 + u64::from(pick), Action::ImdsLies(600_000), pick * 61))
        .collect();
    plan.steps.insert(0, step(30, Action::AddPods(3), 0));
    plan.steps.push(step(900, Action::AddPods(2), 0));
    let report = sim::world::run(&plan, None, &mut Trace::new(Keep::Nothing));
    assert_eq!(report.violation, None);
    assert_eq!(report.reached.count("lost address reported"), 0);
}
