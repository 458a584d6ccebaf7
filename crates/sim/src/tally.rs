//! What many runs found together, and the last lines of the program. Must not: run or print anything.

use crate::checked::Checked;
use crate::invariant::{Invariant, Violation};
use crate::reached::{Reached, SITUATIONS};
use crate::world::Report;
use std::collections::BTreeMap;

/// So many runs must have met every situation and made every check.
const ENOUGH: u64 = 1000;

/// The sums.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Runs that have ended.
    pub runs: u64,
    /// Events that nodes handled: what is called a step.
    pub steps: u64,
    /// The fewest of them in one run that held to its end.
    pub fewest: Option<u64>,
    /// Steps of plans.
    pub plan_steps: u64,
    /// Runs that were made twice.
    pub repeated: u64,
    /// What did not hold, with the run's name.
    pub failed: Vec<(String, Violation)>,
    reached: Reached,
    checked: Checked,
}

impl Tally {
    /// A run has ended.
    pub fn add(&mut self, name: &str, report: Report) {
        self.runs += 1;
        self.steps += report.events;
        self.plan_steps += report.steps;
        if report.violation.is_none() {
            let fewest = self.fewest.unwrap_or(u64::MAX);
            self.fewest = Some(fewest.min(report.events));
        }
        self.reached.merge(&report.reached);
        self.checked.merge(&report.checked);
        if let Some(violation) = report.violation {
            self.failed.push((name.to_owned(), violation));
        }
    }

    /// Adds what another thread found.
    pub fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.plan_steps += other.plan_steps;
        self.repeated += other.repeated;
        self.fewest = [self.fewest, other.fewest].into_iter().flatten().min();
        self.failed.extend(other.failed);
        self.reached.merge(&other.reached);
        self.checked.merge(&other.checked);
    }

    /// Why the runs prove less than they should: a situation never met, a check never made. Only many runs are judged so.
    pub fn gaps(&self) -> Vec<String> {
        if self.runs < ENOUGH || !self.failed.is_empty() {
            return Vec::new();
        }
        let situations = self.reached.missing().into_iter();
        let mut checks = self.checked.missing();
        checks.extend((self.repeated == 0).then_some(Invariant::Again));
        situations
            .map(|situation| format!("situation never met: {situation}"))
            .chain(
                checks
                    .iter()
                    .map(|check| format!("never checked: {} {check:?}", check.code())),
            )
            .collect()
    }

    /// How often what was met.
    pub fn situations(&self) -> String {
        let counts: Vec<String> = SITUATIONS
            .iter()
            .map(|situation| format!("  {:>9}  {situation}", self.reached.count(situation)))
            .collect();
        format!("situations met:\n{}", counts.join("\n"))
    }

    /// How often what was checked.
    pub fn checks(&self) -> String {
        let counts: Vec<String> = Invariant::ALL
            .iter()
            .map(|check| format!("{}={}", check.code(), self.checked.of(*check)))
            .collect();
        format!(
            "invariants checked: {} P10={}",
            counts.join(" "),
            self.repeated
        )
    }

    /// Which invariants broke how often, and where first.
    pub fn broken(&self) -> Vec<String> {
        let mut kinds: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
        for (name, violation) in &self.failed {
            kinds
                .entry(violation.invariant.code())
                .or_insert((0, name))
                .0 += 1;
        }
        kinds
            .into_iter()
            .map(|(code, (count, first))| format!("{code} broke in {count} runs, first in {first}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::trace::{Keep, Trace};

    fn report(seed: u64) -> Report {
        crate::world::run(&Plan::of(seed, 20), None, &mut Trace::new(Keep::Nothing))
    }

    #[test]
    fn threads_find_together_what_one_finds_alone() {
        let (mut alone, mut left, mut right) =
            (Tally::default(), Tally::default(), Tally::default());
        for seed in 0..6 {
            alone.add("run", report(seed));
            let half = if seed % 2 == 0 { &mut left } else { &mut right };
            half.add("run", report(seed));
        }
        left.merge(right);
        assert_eq!((left.runs, left.steps), (alone.runs, alone.steps));
        assert_eq!(left.fewest, alone.fewest);
        assert_eq!(left.situations(), alone.situations());
        assert_eq!(left.checks(), alone.checks());
    }

    #[test]
    fn many_runs_that_never_met_something_prove_too_little() {
        let mut tally = Tally::default();
        assert!(tally.gaps().is_empty(), "few runs prove little anyway");
        tally.runs = ENOUGH;
        assert_eq!(
            tally.gaps().len(),
            SITUATIONS.len() + Invariant::ALL.len() + 1,
            "{:?}",
            tally.gaps()
        );
    }
}
