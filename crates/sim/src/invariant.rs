//! What must hold, one file per invariant, and how a violation is reported. Must not: ask the node anything.
//! Driven by: `world`, at every effect and after every change of the world.

pub mod ages;
pub mod announced;
pub mod budget;
pub mod cooled;
pub mod deadline;
pub mod distinct;
pub mod durable;
pub mod exclusive;
pub mod faultless;
pub mod ids;
pub mod managed;
pub mod owned;
pub mod reply;
pub mod settled;
pub mod stalled;
pub mod target;
pub mod truth;

use model::time::Instant;

/// The invariants by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// I1: no two live pods were told the same address.
    Distinct,
    /// I2: EC2 routes a live pod's address to this node, and the link is there when it is told.
    Owned,
    /// I3: no address is told or given up again before its DEL and cooldown.
    Cooled,
    /// I4: never a primary address, an unmanaged or trunk ENI, another card; the numbers told are the ENI's.
    Managed,
    /// I5: no mutation of what is not ours, none while provisioning is off.
    Ours,
    /// P1: one reply per request, by its deadline, none after abandonment.
    Reply,
    /// P2: an answer leaves when the durable checkpoint agrees with it.
    Durable,
    /// P3: a mutation leaves when the durable journal announces it.
    Announced,
    /// P4: one call per ENI, one write per file, at most 64 operations in flight.
    Exclusive,
    /// P5: operation numbers are never used again; unknown completions change nothing.
    Ids,
    /// P6: the next deadline lies in the future, and nothing storms.
    Deadline,
    /// P7: whoever waits is refused, or something is on its way for them.
    Stalled,
    /// P8: calls stay within EC2's documented token buckets.
    Budget,
    /// P9: without faults EC2 never refuses for a limit, an unknown object or a wrong parameter.
    Faultless,
    /// Any order of events is survived: no panic.
    Total,
    /// P10: a run is a function of its plan: the same again has the same events and effects.
    Again,
    /// L1: with faults off, every pod that fits gets an address, and the pool reaches its targets.
    Satisfied,
    /// L2: at rest nothing is open, nothing is changed, and an hour costs one read.
    Quiet,
    /// L3: the node knows what EC2 has for it, and no ENI of ours is left unattached.
    NoLeak,
    /// L4: no allocation without a live pod.
    NoGhost,
    /// L5: a restart at rest changes nothing.
    Restart,
    /// L6: no ENI is created and deleted again under constant demand.
    Flapping,
    /// L7: the state is as large as slots and pods.
    Bounded,
}

impl Invariant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Distinct,
        Self::Owned,
        Self::Cooled,
        Self::Managed,
        Self::Ours,
        Self::Reply,
        Self::Durable,
        Self::Announced,
        Self::Exclusive,
        Self::Ids,
        Self::Deadline,
        Self::Stalled,
        Self::Budget,
        Self::Faultless,
        Self::Total,
        Self::Satisfied,
        Self::Quiet,
        Self::NoLeak,
        Self::NoGhost,
        Self::Restart,
        Self::Flapping,
        Self::Bounded,
    ];

    /// Its short name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Distinct => "I1",
            Self::Owned => "I2",
            Self::Cooled => "I3",
            Self::Managed => "I4",
            Self::Ours => "I5",
            Self::Reply => "P1",
            Self::Durable => "P2",
            Self::Announced => "P3",
            Self::Exclusive => "P4",
            Self::Ids => "P5",
            Self::Deadline => "P6",
            Self::Stalled => "P7",
            Self::Budget => "P8",
            Self::Faultless => "P9",
            Self::Total => "P0",
            Self::Again => "P10",
            Self::Satisfied => "L1",
            Self::Quiet => "L2",
            Self::NoLeak => "L3",
            Self::NoGhost => "L4",
            Self::Restart => "L5",
            Self::Flapping => "L6",
            Self::Bounded => "L7",
        }
    }
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When, in virtual time.
    pub at: Instant,
    /// What was seen.
    pub text: String,
}

/// What a check found wrong; the world adds the time.
pub type Check = Result<(), (Invariant, String)>;

/// P10 does not hold: the second run of a plan went another way.
pub fn different_again(first: Option<Violation>) -> Violation {
    let (at, ended) = match first {
        Some(violation) => (violation.at, violation.text),
        None => (Instant(0), "well".to_owned()),
    };
    Violation {
        invariant: Invariant::Again,
        at,
        text: format!("the second run of the plan went another way; the first ended {ended}"),
    }
}

/// Fails a check.
pub(crate) fn violated(invariant: Invariant, text: String) -> Check {
    Err((invariant, text))
}
