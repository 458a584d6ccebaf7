//! I1: no two live pods were told the same address, and a live pod is never told a second one.

use super::{Check, Invariant, violated};
use crate::oracle::{Claim, Oracle};
use model::pod::PodKey;
use std::net::Ipv4Addr;

/// At an ADD's reply, before it is recorded.
pub fn check_told(oracle: &Oracle, key: &PodKey, address: Ipv4Addr) -> Check {
    if let Some(other) = oracle.claimant(address).filter(|other| *other != key) {
        return violated(
            Invariant::Distinct,
            format!("{address} is told to {key} while {other} has it"),
        );
    }
    // What people took away is replaced.
    let second =
        |claim: &&Claim| claim.address != address && oracle.taken_since(claim.address).is_none();
    match oracle.claim(key).filter(second) {
        Some(claim) => violated(
            Invariant::Distinct,
            format!("{key} has {} and is told {address}", claim.address),
        ),
        None => Ok(()),
    }
}
