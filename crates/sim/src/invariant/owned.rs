//! I2: EC2 routes a live pod's address to this node, and when it is told the guest has the link it leaves by.

use super::{Check, Invariant, violated};
use crate::oracle::Oracle;
use model::id::{EniId, InstanceId};
use std::net::Ipv4Addr;
use vpc::{GuestLink, Interface, Vpc};

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

/// After every change of the account.
pub fn check_claims(vpc: &Vpc, instance: &InstanceId, oracle: &Oracle) -> Check {
    for (key, claim) in oracle.claims() {
        if owner(vpc, instance, claim.address).is_none() {
            let text = format!(
                "{key} lives with {}, which no ENI of {instance} has in EC2 any more",
                claim.address
            );
            return violated(Invariant::Owned, text);
        }
    }
    Ok(())
}

/// The attached ENI of the instance that has the address as EC2 sees it, no view's lag applied.
fn owner(vpc: &Vpc, instance: &InstanceId, address: Ipv4Addr) -> Option<EniId> {
    vpc.interfaces()
        .find(|eni| is_bound(eni, instance) && eni.has(address))
        .map(|eni| eni.id.clone())
}

fn is_bound(eni: &Interface, instance: &InstanceId) -> bool {
    eni.attachment.as_ref().is_some_and(|attachment| {
        attachment.instance == *instance && attachment.detached_at.is_none()
    })
}
