//! Runs as such: a seed is a run, and the runs meet what they are there to meet.
//! Must not: judge the machine (`make sim` does, over many more seeds).

use sim::plan::Plan;
use sim::reached::Reached;
use sim::trace::{Keep, Trace};

fn hash(seed: u64) -> (u64, u64) {
    let mut trace = Trace::new(Keep::Hash);
    let report = sim::world::run(&Plan::of(seed, 200), None, &mut trace);
    (trace.hash(), report.events)
}

#[test]
fn the_same_seed_gives_the_same_events_and_effects() {
    for seed in 0..64 {
        assert_eq!(hash(seed), hash(seed), "seed {seed}");
    }
    assert_ne!(hash(1), hash(2));
}

#[test]
fn every_listed_situation_is_met() {
    let mut reached = Reached::default();
    for seed in 0..300 {
        reached.merge(
            &sim::world::run(&Plan::of(seed, 200), None, &mut Trace::new(Keep::Nothing)).reached,
        );
    }
    assert!(
        reached.missing().is_empty(),
        "never met: {:?}",
        reached.missing()
    );
}

#[test]
fn a_quiet_run_hears_of_no_fault() {
    // One seed in eight has all faults off; in such runs EC2 refuses nothing but what the plan itself makes impossible.
    let quiet = (0..100)
        .map(|seed| Plan::of(seed, 200))
        .find(|plan| plan.faults == sim::plan::Swarm::default());
    let plan = quiet.expect("one in eight");
    let report = sim::world::run(&plan, None, &mut Trace::new(Keep::Nothing));
    for situation in [
        "call throttled",
        "call applied, answer lost",
        "write failed",
        "killed",
        "rebooted",
    ] {
        assert_eq!(report.reached.count(situation), 0, "{situation}");
    }
    assert!(report.reached.count("ADD answered with an address") > 0);
}

#[test]
fn a_planted_bug_shrinks_to_a_few_steps_that_still_show_it() {
    let mutant = sim::mutant::Mutant::ReplyBeforeWrite;
    let small = sim::shrink::shrink(&Plan::of(0, 200), Some(mutant));
    assert!(small.steps.len() <= 2, "{:?}", small.steps);
    // What is printed is what is replayed.
    let read: Plan = small.to_string().parse().expect("a printed plan");
    let report = sim::world::run(&read, Some(mutant), &mut Trace::new(Keep::Nothing));
    assert_eq!(
        report.violation.map(|violation| violation.invariant),
        Some(mutant.found_by())
    );
}

#[test]
fn a_run_ends_soon_after_the_events_it_is_to_have() {
    let orders = sim::world::Orders {
        events: 300,
        ..sim::world::Orders::default()
    };
    for seed in 0..20 {
        let mut plan = Plan::of(seed, 300);
        let mut trace = Trace::new(Keep::Hash);
        let report = sim::world::run_with(&plan, &orders, &mut trace);
        assert!(report.events >= 300, "seed {seed}: {}", report.events);
        assert!(report.steps < 300, "seed {seed}: {}", report.steps);
        // The steps that were taken are a plan of their own, and the same run.
        plan.steps.truncate(report.steps as usize);
        let mut again = Trace::new(Keep::Hash);
        sim::world::run(&plan, None, &mut again);
        assert_eq!(trace.hash(), again.hash(), "seed {seed}");
    }
}

#[test]
fn drawn_faults_can_be_written_down_one_by_one() {
    let mutant = sim::mutant::Mutant::UnknownCreateAsRefused;
    let found = (0..200).find_map(|seed| {
        let plan = Plan::of(seed, 100);
        let broken = |plan: &Plan| {
            let report = sim::world::run(plan, Some(mutant), &mut Trace::new(Keep::Nothing));
            report.violation.map(|violation| violation.invariant)
        };
        (broken(&plan) == Some(mutant.found_by()))
            .then(|| sim::shrink::shrink(&plan, Some(mutant)))
            .filter(|small| !small.fates.is_empty())
    });
    let small = found.expect("a seed whose lost create is written down");
    let text = small.to_string();
    assert!(text.contains("CreateNetworkInterface #"), "{text}");
    assert!(
        !small.faults.apply_and_lose && !small.faults.lose_unapplied,
        "{text}"
    );
}
