//! kill -9 at every effect (user pain T-09): no address doubled or lost, no ENI orphaned, whatever the process was doing.
//! Must not: choose effects by hand; each effect of each scenario is hit in every way that differs.

use sim::mutant::Mutant;
use sim::sweep::{self, How, Kind, SCENARIOS};
use std::collections::BTreeSet;

#[test]
fn t09_a_kill_at_every_effect_of_every_scenario_is_survived() {
    let mut wrong = Vec::new();
    let mut deaths = 0;
    for scenario in SCENARIOS {
        let plan = scenario.plan().expect("a scenario is a plan");
        for blow in sweep::blows(&plan, None).0 {
            deaths += 1;
            if let Some(violation) = sweep::strike(&plan, None, Some(blow)).violation {
                wrong.push(format!("{}: {blow}: {violation:?}", scenario.name));
            }
        }
    }
    assert!(deaths >= 3_000, "only {deaths} deaths");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn t09_the_scenarios_have_every_kind_of_effect_and_every_change_of_an_eni() {
    let mut kinds = BTreeSet::new();
    let mut situations = BTreeSet::new();
    for scenario in SCENARIOS {
        let (_, report) = sweep::blows(&scenario.plan().expect("a scenario is a plan"), None);
        kinds.extend(report.effects.iter().map(|kind| format!("{kind:?}")));
        for situation in [
            "ENI created",
            "ENI attached",
            "ENI deleted",
            "addresses assigned",
            "addresses unassigned",
            "subnet full",
            "restart with open intents",
            "restart inside a cooldown",
        ] {
            if report.reached.count(situation) > 0 {
                situations.insert(situation);
            }
        }
    }
    for kind in [
        Kind::Write,
        Kind::Change,
        Kind::Read,
        Kind::Reply,
        Kind::Host,
    ] {
        assert!(kinds.contains(&format!("{kind:?}")), "{kind:?}");
    }
    assert_eq!(situations.len(), 8, "{situations:?}");
}

/// Bugs that only a restart shows: found in a scenario that holds without a death.
#[test]
fn t09_a_planted_bug_of_restart_handling_is_found_by_the_sweep() {
    for (mutant, name) in [
        (Mutant::CooldownLost, "add-in-cooldown"),
        (Mutant::AllocationLost, "release-eni"),
    ] {
        let scenario = SCENARIOS
            .iter()
            .find(|scenario| scenario.name == name)
            .expect("a scenario of that name");
        let plan = scenario.plan().expect("a scenario is a plan");
        let alive = sweep::strike(&plan, Some(mutant), None);
        assert_eq!(alive.violation, None, "{name} shows it without a death");
        let (blow, violation) =
            sweep::first_find(scenario, Some(mutant)).expect("a death that shows it");
        assert_ne!(blow.how, How::Reboot, "a reboot may forget: {violation:?}");
        assert_eq!(sweep::strike(&plan, None, Some(blow)).violation, None);
    }
}
