//! The layout of the checkpoint's text: field names, order and what is left out when empty. Must not: read.
//! Driven by: [`super::encode`].

use super::VERSION;
use model::allocation::{Allocation, Checkpoint, Cooling, Extension};
use serde::Serialize;
use std::net::Ipv4Addr;

pub(super) fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    let document = Document {
        version: VERSION,
        allocations: checkpoint.allocations.iter().map(Entry::of).collect(),
        extension: checkpoint.extension.as_ref().map(Ours::of),
    };
    let mut bytes = serde_json::to_vec(&document)
        .expect("strings, integers and addresses always have a JSON form");
    bytes.push(b'\n');
    bytes
}

#[derive(Serialize)]
struct Document<'a> {
    version: &'a str,
    allocations: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension: Option<Ours<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    network_name: &'a str,
    #[serde(rename = "containerID")]
    container_id: &'a str,
    if_name: &'a str,
    ipv4: Ipv4Addr,
    allocation_timestamp: i64,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(rename = "k8sPodNamespace", skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(rename = "k8sPodName", skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    interfaces_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ours<'a> {
    boot_id: &'a str,
    cooling: Vec<Cools>,
}

#[derive(Serialize)]
struct Cools {
    ipv4: Ipv4Addr,
    /// Milliseconds on the boot clock of `bootId`.
    until: u64,
}

impl<'a> Entry<'a> {
    fn of(allocation: &'a Allocation) -> Self {
        Self {
            network_name: &allocation.key.network,
            container_id: &allocation.key.container,
            if_name: &allocation.key.interface,
            ipv4: allocation.address,
            allocation_timestamp: allocation.since.0,
            metadata: Metadata {
                namespace: &allocation.pod.namespace,
                name: &allocation.pod.name,
                interfaces_count: allocation.interfaces,
            },
        }
    }
}

impl<'a> Ours<'a> {
    fn of(extension: &'a Extension) -> Self {
        let cools = |cooling: &Cooling| Cools {
            ipv4: cooling.address,
            until: cooling.until.0,
        };
        Self {
            boot_id: &extension.boot_id.0,
            cooling: extension.cooling.iter().map(cools).collect(),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
