//! I2: EC2 routes a live pod's address to this node, and when it is told the guest has the link it leaves by.
//!
//! The exception is what people take away in EC2: nobody can know of it before the next read, which comes within two
//! minutes when IMDS is honest, and at the latest after [`KNOWN_WITHIN`]. From then on it is told to nobody, and a pod
//! that lost its address so was named.

use super::{Check, Invariant, violated};
use crate::oracle::Oracle;
use model::id::{EniId, InstanceId};
use model::time::{Duration, Instant};
use std::net::Ipv4Addr;
use vpc::{GuestLink, Interface, Vpc};

/// The longest time between two reads of what EC2 attached (`ipam::refresh`), the confirmation, and what may fail.
pub const KNOWN_WITHIN: Duration = Duration::from_secs(130 * 60);

/// At an ADD's reply.
pub fn check_told(
    vpc: &Vpc,
    instance: &InstanceId,
    links: &[GuestLink],
    address: Ipv4Addr,
) -> Check {
    let Some(owner) = owner(vpc, instance, address) else {
        return violated(
            Invariant::Owned,
            format!("{address} is told, but no ENI of {instance} has it in EC2"),
        );
    };
    if links.iter().any(|link| link.eni == owner) {
        return Ok(());
    }
    violated(
        Invariant::Owned,
        format!("{address} is told, but the guest has no link for its {owner} yet"),
    )
}

/// Whether people took the address away so lately that the node need not know; what it has said it knows.
pub fn is_unknown(oracle: &Oracle, now: Instant, address: Ipv4Addr) -> bool {
    let since = oracle.taken_since(address);
    since.is_some_and(|since| now.since(since) < KNOWN_WITHIN) && !oracle.is_known(address)
}

/// After every change of the account.
pub fn check_claims(vpc: &Vpc, instance: &InstanceId, oracle: &Oracle) -> Check {
    for (key, claim) in oracle.claims() {
        let taken = oracle.taken_since(claim.address).is_some();
        if !taken && owner(vpc, instance, claim.address).is_none() {
            let text = format!(
                "{key} lives with {}, which no ENI of {instance} has in EC2 any more",
                claim.address
            );
            return violated(Invariant::Owned, text);
        }
    }
    Ok(())
}

/// At rest: whoever lost an address to an operator was named.
pub fn check_reported(vpc: &Vpc, instance: &InstanceId, oracle: &Oracle) -> Check {
    let lost = oracle.claims().find(|(_, claim)| {
        oracle.taken_since(claim.address).is_some()
            && !oracle.is_reported(claim.address)
            && owner(vpc, instance, claim.address).is_none()
    });
    match lost {
        Some((key, claim)) => violated(
            Invariant::Owned,
            format!(
                "{} was taken away from {key}, and the node has not said so",
                claim.address
            ),
        ),
        None => Ok(()),
    }
}

/// The attached ENI of the instance that has the address as EC2 sees it, no view's lag applied.
pub(crate) fn owner(vpc: &Vpc, instance: &InstanceId, address: Ipv4Addr) -> Option<EniId> {
    vpc.interfaces()
        .find(|eni| is_bound(eni, instance) && eni.has(address) && eni.primary() != Some(address))
        .map(|eni| eni.id.clone())
}

fn is_bound(eni: &Interface, instance: &InstanceId) -> bool {
    eni.attachment.as_ref().is_some_and(|attachment| {
        attachment.instance == *instance && attachment.detached_at.is_none()
    })
}
