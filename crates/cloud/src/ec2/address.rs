//! Secondary IPv4 addresses of an ENI: assign by count, unassign by address. Must not: choose addresses.
//! Driven by: [`super`].

use super::record;
use crate::error::{NOT_BUILT, outcome, refused, unreadable};
use aws_sdk_ec2::Client;
use model::error::{CallError, Class};
use model::id::EniId;
use std::net::Ipv4Addr;

/// The new addresses, exactly as many as were asked for: an answer with another number is not trusted, and a describe
/// says later what the ENI owns.
pub(super) async fn assign(
    client: &Client,
    eni: &EniId,
    wanted: u32,
) -> Result<Vec<Ipv4Addr>, CallError> {
    let request = client
        .assign_private_ip_addresses()
        .network_interface_id(eni.as_str())
        .secondary_private_ip_address_count(count(wanted)?);
    let answer = request.send().await.map_err(outcome)?;
    let assigned = answer.assigned_private_ip_addresses();
    if u32::try_from(assigned.len()) != Ok(wanted) {
        let problem = format!("{} addresses instead of {wanted}", assigned.len());
        return Err(unreadable(
            eni.as_str(),
            "assignedPrivateIpAddressesSet",
            problem,
        ));
    }
    let address = |one: &aws_sdk_ec2::types::AssignedPrivateIpAddress| {
        record::required(eni.as_str(), "privateIpAddress", one.private_ip_address())
    };
    assigned.iter().map(address).collect()
}

pub(super) async fn unassign(
    client: &Client,
    eni: &EniId,
    addresses: &[Ipv4Addr],
) -> Result<(), CallError> {
    let request = client
        .unassign_private_ip_addresses()
        .network_interface_id(eni.as_str())
        .set_private_ip_addresses(Some(addresses.iter().map(ToString::to_string).collect()));
    request.send().await.map_err(outcome).map(drop)
}

/// A number of addresses as EC2's type has it.
pub(super) fn count(addresses: u32) -> Result<i32, CallError> {
    i32::try_from(addresses).map_err(|_| {
        refused(
            Class::Invalid,
            NOT_BUILT,
            format!("ask for {addresses} addresses in one call"),
        )
    })
}
