//! L1–L4: what must be so after the faults have ended and some time has passed.

use super::{Check, Invariant, violated};
use model::allocation::Checkpoint;
use model::call::INSTANCE_TAG;
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

/// L3: no ENI made for the instance is unattached.
pub fn check_no_leak(vpc: &Vpc, instance: &InstanceId) -> Check {
    let made_for = |tags: &std::collections::BTreeMap<String, String>| {
        tags.get(INSTANCE_TAG)
            .is_some_and(|id| id == instance.as_str())
    };
    match vpc
        .interfaces()
        .find(|eni| eni.attachment.is_none() && made_for(&eni.tags))
    {
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
