//! Reads: ENIs, subnets, an instance type; always all pages. Must not: filter what EC2 answers, but for subnets without
//! IPv4, which cannot hold what we place. Driven by: [`super`].

use super::record;
use crate::error::{outcome, unreadable};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, InstanceType};
use model::call::{INSTANCE_TAG, Scope};
use model::eni::{EniRecord, SubnetRecord};
use model::error::CallError;
use model::id::VpcId;
use model::limits::InstanceLimits;

/// The most that EC2 accepts. Never sent together with ids, which EC2 refuses (InvalidParameterCombination).
const PAGE: i32 = 1000;

pub(super) async fn interfaces(
    client: &Client,
    scope: &Scope,
) -> Result<Vec<EniRecord>, CallError> {
    let request = client.describe_network_interfaces();
    let request = match scope {
        // Without ids the same request means every ENI of the account.
        Scope::Ids(ids) if ids.is_empty() => return Ok(vec![]),
        Scope::Ids(ids) => request
            .set_network_interface_ids(Some(ids.iter().map(|id| id.as_str().into()).collect())),
        Scope::AttachedTo(instance) => request
            .filters(filter("attachment.instance-id", instance.as_str()))
            .max_results(PAGE),
        Scope::MadeFor(instance) => request
            .filters(filter(&format!("tag:{INSTANCE_TAG}"), instance.as_str()))
            .max_results(PAGE),
    };
    let mut pages = request.into_paginator().send();
    let mut records = Vec::new();
    while let Some(page) = pages.next().await {
        for described in page.map_err(outcome)?.network_interfaces() {
            records.push(record::interface(described)?);
        }
    }
    Ok(records)
}

pub(super) async fn subnets(
    client: &Client,
    vpc: &VpcId,
    zone: &str,
) -> Result<Vec<SubnetRecord>, CallError> {
    // No page size: a zone of a VPC has fewer subnets than a page.
    let request = client
        .describe_subnets()
        .filters(filter("vpc-id", vpc.as_str()))
        .filters(filter("availability-zone", zone));
    let mut pages = request.into_paginator().send();
    let mut records = Vec::new();
    while let Some(page) = pages.next().await {
        for described in page.map_err(outcome)?.subnets() {
            records.extend(record::subnet(described)?);
        }
    }
    Ok(records)
}

pub(super) async fn instance_type(
    client: &Client,
    name: &str,
) -> Result<InstanceLimits, CallError> {
    let request = client
        .describe_instance_types()
        .instance_types(InstanceType::from(name));
    let answer = request.send().await.map_err(outcome)?;
    match answer.instance_types() {
        [described] => record::limits(name, described),
        others => Err(unreadable(
            name,
            "instanceTypeSet",
            format!("{} entries instead of one", others.len()),
        )),
    }
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}
