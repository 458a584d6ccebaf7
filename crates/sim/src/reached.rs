//! Situations that must occur, counted: a simulator that never meets them proves nothing. Must not: influence the run.
//! Driven by: `world`; read by the tests and by the program's last lines.

use std::collections::BTreeMap;

/// What a good number of seeds must have met (without planted bugs).
pub const SITUATIONS: &[&str] = &[
    "ADD answered with an address",
    "ADD answered after waiting longer than a second",
    "ADD refused",
    "ADD waited for the start-up to finish",
    "same key asked again",
    "client died while waiting",
    "client died with the answer on its way",
    "client died before it wired the pod",
    "DEL of a pod with an address",
    "DEL of an unknown pod",
    "DEL overtook the abandonment of its ADD",
    "DEL while its ADD waited",
    "pod gone without DEL",
    "pod's sandbox replaced",
    "address given again after its cooldown",
    "ENI created",
    "ENI attached",
    "ENI deleted",
    "addresses assigned",
    "addresses unassigned",
    "call refused",
    "call throttled",
    "call applied, answer lost",
    "call applied after its deadline",
    "call lost before it was applied",
    "call of a dead process applied after the next one started",
    "create repeated with its token",
    "describe missed a recent change",
    "link appeared after its ENI was attached",
    "write failed",
    "write slow",
    "write in flight at the kill became durable",
    "write in flight at the kill was lost",
    "killed",
    "killed before it served",
    "killed with requests waiting",
    "killed with a mutating call in flight",
    "stopped by SIGTERM",
    "rebooted",
    "restart inside a cooldown",
    "restart with open intents",
    "completion delivered twice",
    "subnet full",
    "subnet crowded by others",
    "quota of ENIs used up",
    "address taken away by an operator",
    "ENI taken away by an operator",
    "lost address reported",
    "IMDS refused",
    "IMDS lied at a start",
    "killed at an effect",
    "killed when EC2 had just carried a call out",
    "settings changed at a restart",
    "checkpoint not writable while the journal was",
];

/// How often each situation was met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached(BTreeMap<&'static str, u64>);

impl Reached {
    /// One of [`SITUATIONS`] occurred.
    pub fn mark(&mut self, situation: &'static str) {
        *self.0.entry(situation).or_default() += 1;
    }

    /// Adds the counts of another run.
    pub fn merge(&mut self, other: &Self) {
        for (situation, count) in &other.0 {
            debug_assert!(SITUATIONS.contains(situation), "{situation} is not listed");
            *self.0.entry(situation).or_default() += count;
        }
    }

    /// How often a situation was met.
    pub fn count(&self, situation: &str) -> u64 {
        self.0.get(situation).copied().unwrap_or(0)
    }

    /// What was never met.
    pub fn missing(&self) -> Vec<&'static str> {
        SITUATIONS
            .iter()
            .copied()
            .filter(|situation| self.count(situation) == 0)
            .collect()
    }
}
