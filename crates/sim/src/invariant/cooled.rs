//! I3: between a pod's end and the end of the cooldown its address is told to nobody and given up by nobody; while a
//! pod lives its address is not given up at all. Restarts of the daemon change nothing about it. What the durable
//! checkpoint still holds or cools is not given up either: the next process would restore it.
//!
//! The exception: what people took away in EC2 is gone, so an ENI they detached may be deleted, and an address that EC2
//! assigns anew may be told.

use super::{Check, Invariant, violated};
use crate::oracle::Oracle;
use model::allocation::Checkpoint;
use model::call::Call;
use model::pod::PodKey;
use model::time::Instant;
use std::net::Ipv4Addr;
use vpc::Vpc;

/// At an ADD's reply, before it is recorded.
pub fn check_told(oracle: &Oracle, now: Instant, key: &PodKey, address: Ipv4Addr) -> Check {
    match oracle.rests_until(now, address, Some(key)) {
        // Its pod lost it then, not at its DEL.
        Some(_) if oracle.taken_since(address).is_some() => Ok(()),
        Some(until) => violated(
            Invariant::Cooled,
            format!("{address} is told again but rests until {until}"),
        ),
        None => Ok(()),
    }
}

/// At every call that gives addresses up; not for ENIs that people took away.
pub fn check_call(oracle: &Oracle, vpc: &Vpc, now: Instant, call: &Call) -> Check {
    for address in given_up(vpc, call) {
        if oracle.taken_since(address).is_some() {
            continue;
        }
        if let Some(key) = oracle.claimant(address) {
            return violated(
                Invariant::Cooled,
                format!("{call} gives {address} up, which {key} has"),
            );
        }
        if let Some(until) = oracle.rests_until(now, address, None) {
            return violated(
                Invariant::Cooled,
                format!("{call} gives {address} up, which rests until {until}"),
            );
        }
    }
    Ok(())
}

/// At every call that gives addresses up: what a restart would restore. `now` is the daemon's clock.
pub fn check_durable(
    (checkpoint, oracle): (&Checkpoint, &Oracle),
    vpc: &Vpc,
    now: Instant,
    call: &Call,
) -> Check {
    for address in given_up(vpc, call) {
        if oracle.taken_since(address).is_some() {
            continue;
        }
        let held = checkpoint
            .allocations
            .iter()
            .find(|entry| entry.address == address);
        if let Some(entry) = held {
            let key = &entry.key;
            return violated(
                Invariant::Cooled,
                format!("{call} gives {address} up, which the durable checkpoint gives to {key}"),
            );
        }
        // What nobody used rests only as a precaution: after a reboot the node cannot know.
        let used = oracle.was_used(address);
        let cooling = checkpoint
            .extension
            .iter()
            .filter(|_| used)
            .flat_map(|e| &e.cooling);
        let until = cooling
            .filter(|cooling| cooling.address == address)
            .map(|cooling| cooling.until)
            .find(|until| *until > now);
        if let Some(until) = until {
            return violated(
                Invariant::Cooled,
                format!(
                    "{call} gives {address} up, which cools until {until} in the durable checkpoint"
                ),
            );
        }
    }
    Ok(())
}

fn given_up(vpc: &Vpc, call: &Call) -> Vec<Ipv4Addr> {
    match call {
        Call::UnassignAddresses { addresses, .. } => addresses.clone(),
        Call::DetachInterface { eni, .. } | Call::DeleteInterface { eni } => {
            let found = vpc.interfaces().find(|interface| interface.id == *eni);
            found
                .map(|interface| interface.addresses.iter().map(|a| a.address).collect())
                .unwrap_or_default()
        }
        Call::DescribeInterfaces(_)
        | Call::DescribeSubnets { .. }
        | Call::DescribeInstanceType { .. }
        | Call::CreateInterface(_)
        | Call::AttachInterface { .. }
        | Call::DeleteOnTermination { .. }
        | Call::AssignAddresses { .. }
        | Call::CreateTags { .. } => Vec::new(),
    }
}
