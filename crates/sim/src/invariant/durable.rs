//! P2: when an ADD's address leaves, the durable checkpoint has it; when a DEL's success leaves, the durable checkpoint
//! no longer has it and lets the address cool (this part counts as I3: a restart needs it). A DEL may leave at its deadline all the same when writing fails.

use super::reply::{Open, Replies};
use super::{Check, Invariant, violated};
use model::allocation::Checkpoint;
use model::time::{Duration, Instant};
use std::net::Ipv4Addr;

/// At Reply(Added).
pub fn check_added(checkpoint: &Checkpoint, open: &Open, address: Ipv4Addr) -> Check {
    if checkpoint
        .allocations
        .iter()
        .any(|entry| entry.key == open.key && entry.address == address)
    {
        return Ok(());
    }
    violated(
        Invariant::Durable,
        format!(
            "{address} is told to {}, but the durable checkpoint doesn't say so",
            open.key
        ),
    )
}

/// A DEL's success that leaves.
#[derive(Debug, Clone, Copy)]
pub struct Deleted {
    /// What the key held.
    pub address: Option<Ipv4Addr>,
    /// The daemon's present clock.
    pub now: Instant,
    /// How long addresses cool.
    pub cooldown: Duration,
}

/// At Reply(Deleted) and Reply(UnknownPod).
pub fn check_deleted(
    checkpoint: &Checkpoint,
    open: &Open,
    deleted: &Deleted,
    replies: &Replies,
) -> Check {
    if deleted.now >= open.deadline {
        return Ok(());
    }
    let held = checkpoint
        .allocations
        .iter()
        .find(|entry| entry.key == open.key);
    let stale = held.is_some_and(|entry| {
        deleted
            .address
            .is_none_or(|address| address == entry.address)
    });
    // A later ADD of the same key may have been written already: then what the file holds is that one's.
    if stale && replies.adds_of(&open.key) == 0 {
        return violated(
            Invariant::Durable,
            format!(
                "DEL of {} succeeds, but the durable checkpoint still has it",
                open.key
            ),
        );
    }
    let Some(address) = deleted.address else {
        return Ok(());
    };
    let cools = checkpoint
        .extension
        .as_ref()
        .is_some_and(|e| e.cooling.iter().any(|cooling| cooling.address == address));
    let over = deleted.now >= open.arrived.after(deleted.cooldown);
    if cools || over || held.is_some() {
        return Ok(());
    }
    violated(
        Invariant::Cooled,
        format!(
            "DEL of {} succeeds, but the durable checkpoint doesn't let {address} cool",
            open.key
        ),
    )
}
