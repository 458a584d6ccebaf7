//! I3: between a pod's end and the end of the cooldown its address is told to nobody and given up by nobody; while a
//! pod lives its address is not given up at all. Restarts of the daemon change nothing about it.

use super::{Check, Invariant, violated};
use crate::oracle::Oracle;
use model::call::Call;
use model::pod::PodKey;
use model::time::Instant;
use std::net::Ipv4Addr;
use vpc::Vpc;

/// At an ADD's reply, before it is recorded.
pub fn check_told(oracle: &Oracle, now: Instant, key: &PodKey, address: Ipv4Addr) -> Check {
    match oracle.rests_until(now, address, Some(key)) {
        Some(until) => violated(
            Invariant::Cooled,
            format!("{address} is told again but rests until {until}"),
        ),
        None => Ok(()),
    }
}

/// At every call that gives addresses up.
pub fn check_call(oracle: &Oracle, vpc: &Vpc, now: Instant, call: &Call) -> Check {
    for address in given_up(vpc, call) {
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
