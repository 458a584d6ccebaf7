//! L1–L5 and L7: what must be so after the faults have ended and some time has passed. (L1's targets: `target`; L3's
//! inventory: `truth`; L6: `ages`.)

use super::{Check, Invariant, violated};
use model::allocation::Checkpoint;
use model::call::INSTANCE_TAG;
use model::eni::EniKind;
use model::id::InstanceId;
use model::pod::PodKey;
use std::collections::BTreeSet;
use vpc::Vpc;

/// L1: as many wanted pods have an address as fit.
pub fn check_satisfied(wanted: u32, wired: u32, room: u32) -> Check {
    if wired >= wanted.min(room) {
        return Ok(());
    }
    violated(
        Invariant::Satisfied,
        format!("{wanted} pods are wanted, {room} fit, {wired} have an address"),
    )
}

/// L2: nothing is changed at rest.
pub fn check_quiet(changes: u64) -> Check {
    if changes == 0 {
        return Ok(());
    }
    violated(
        Invariant::Quiet,
        format!(
            "EC2 carried out {changes} mutating calls in the last minutes though nothing happened"
        ),
    )
}

/// What is open at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// Operations in flight.
    pub operations: usize,
    /// Intents in the durable journal.
    pub intents: usize,
    /// Effects that wait for a write.
    pub held: usize,
}

/// L2: nothing is open at rest.
pub fn check_idle(open: &Open) -> Check {
    let nothing = Open {
        operations: 0,
        intents: 0,
        held: 0,
    };
    if *open == nothing {
        return Ok(());
    }
    violated(Invariant::Quiet, format!("at rest there is {open:?}"))
}

/// L2 (T-14): an hour of nothing costs at most one read.
pub fn check_hour(reads: u64) -> Check {
    if reads <= 1 {
        return Ok(());
    }
    violated(
        Invariant::Quiet,
        format!("EC2 was read {reads} times in an hour in which nothing happened"),
    )
}

/// A restart at rest.
#[derive(Debug, Clone, Copy)]
pub struct Restart {
    /// Describes until everything is known again.
    pub reads: u64,
    /// Mutating calls carried out.
    pub mutations: usize,
    /// Whether the node shows the same ENIs and counters.
    pub same: bool,
}

/// L5: a restart at rest changes nothing and costs at most five reads.
pub fn check_restart(restart: &Restart) -> Check {
    let Restart {
        reads,
        mutations,
        same,
    } = *restart;
    if reads <= 5 && mutations == 0 && same {
        return Ok(());
    }
    let view = if same { "the same" } else { "another" };
    violated(
        Invariant::Restart,
        format!(
            "a restart at rest costs {reads} reads and {mutations} mutating calls and shows {view} view"
        ),
    )
}

/// Bytes of a node at rest, written out, besides what it has of slots and pods.
const BASE: usize = 24 * 1024;
/// Bytes for each slot and each pod.
const EACH: usize = 1024;

/// L7: a node at rest remembers no more than its slots and pods.
pub fn check_size(bytes: usize, slots_and_pods: u32) -> Check {
    let limit = BASE + EACH * slots_and_pods as usize;
    if bytes <= limit {
        return Ok(());
    }
    violated(
        Invariant::Bounded,
        format!("a node with {slots_and_pods} slots and pods takes {bytes} bytes, limit {limit}"),
    )
}

/// L3: no ENI made for the instance is unattached.
pub fn check_no_leak(vpc: &Vpc, instance: &InstanceId) -> Check {
    let made_for = |tags: &std::collections::BTreeMap<String, String>| {
        tags.get(INSTANCE_TAG)
            .is_some_and(|id| id == instance.as_str())
    };
    // What is no ordinary ENI is never ours to delete, whatever its tags.
    let left = |eni: &&vpc::Interface| {
        eni.attachment.is_none() && eni.kind == EniKind::Standard && made_for(&eni.tags)
    };
    match vpc.interfaces().find(left) {
        Some(eni) => violated(
            Invariant::NoLeak,
            format!("{} was made for {instance} and is left unattached", eni.id),
        ),
        None => Ok(()),
    }
}

/// L4: the checkpoint has no allocation whose pod doesn't live.
pub fn check_no_ghost(checkpoint: &Checkpoint, living: &BTreeSet<PodKey>) -> Check {
    match checkpoint
        .allocations
        .iter()
        .find(|entry| !living.contains(&entry.key))
    {
        Some(entry) => violated(
            Invariant::NoGhost,
            format!(
                "{} is still held by {}, which is gone",
                entry.address, entry.key
            ),
        ),
        None => Ok(()),
    }
}
