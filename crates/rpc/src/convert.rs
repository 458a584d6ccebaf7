//! Upstream's messages as values of `model`, and back. Parsing happens here and nowhere else.
//! Must not: decide; a message that asks for or carries what is not built is an error that says so.

use crate::wire::{
    AddNetworkReply, AddNetworkRequest, DelNetworkReply, DelNetworkRequest, IpAllocationMetadata,
};
use ipnetwork::Ipv4Network;
use model::card::{DeviceIndex, RouteTable};
use model::pod::{PodKey, PodName};
use std::net::Ipv4Addr;

/// A request that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// A field of the attachment's key is empty.
    #[error("{0} is empty in the request")]
    Empty(&'static str),
    /// One address per network card was asked for.
    #[error("a multi-NIC attachment was requested, which this daemon does not offer")]
    MultiNic,
}

/// A reply that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// `Success=false` without a gRPC error, upstream's way to refuse.
    #[error("the node daemon answered Success=false")]
    Failure,
    /// The list of allocations has not exactly one element.
    #[error("the node daemon's answer has {0} allocations instead of 1")]
    Count(usize),
    /// Neither address is there, or the IPv4 one is not an address.
    #[error("the node daemon's answer has {0:?} as IPv4 address")]
    Address(String),
    /// A device number or routing table that does not exist.
    #[error("the node daemon's answer has device {device}, table {table}")]
    Place {
        /// DeviceNumber
        device: i32,
        /// RouteTableId
        table: i32,
    },
    /// A mode of the daemon that this plugin does not wire.
    #[error("the node daemon's answer asks for {0}, which this plugin does not support")]
    Unsupported(String),
}

/// An address and the ENI it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The pod's address.
    pub address: Ipv4Addr,
    /// The ENI's device index on its card.
    pub device: DeviceIndex,
    /// The ENI's routing table.
    pub table: RouteTable,
}

/// What a granted ADD says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddAnswer {
    /// Where the pod is.
    pub placement: Placement,
    /// Whether somebody else translates the node's addresses. Older plugins read it, ours does not.
    pub external_snat: bool,
    /// The VPC's ranges. Older plugins read them, ours does not.
    pub vpc_cidrs: Vec<Ipv4Network>,
}

impl AddNetworkRequest {
    /// Who asks.
    pub fn question(&self) -> Result<(PodKey, PodName), BadRequest> {
        if self.requires_multi_nic_attachment {
            return Err(BadRequest::MultiNic);
        }
        let key = key(&self.network_name, &self.container_id, &self.if_name)?;
        Ok((
            key,
            PodName {
                namespace: self.k8s_pod_namespace.clone(),
                name: self.k8s_pod_name.clone(),
            },
        ))
    }
}

impl DelNetworkRequest {
    /// Who is gone.
    pub fn question(&self) -> Result<(PodKey, PodName), BadRequest> {
        let key = key(&self.network_name, &self.container_id, &self.if_name)?;
        Ok((
            key,
            PodName {
                namespace: self.k8s_pod_namespace.clone(),
                name: self.k8s_pod_name.clone(),
            },
        ))
    }
}

impl From<AddAnswer> for AddNetworkReply {
    fn from(answer: AddAnswer) -> Self {
        Self {
            success: true,
            ip_allocation_metadata: vec![answer.placement.into()],
            use_external_snat: answer.external_snat,
            vp_cv4_cid_rs: answer
                .vpc_cidrs
                .iter()
                .map(Ipv4Network::to_string)
                .collect(),
            ..Self::default()
        }
    }
}

impl TryFrom<AddNetworkReply> for AddAnswer {
    type Error = BadReply;

    fn try_from(reply: AddNetworkReply) -> Result<Self, BadReply> {
        if !reply.success {
            return Err(BadReply::Failure);
        }
        if reply.pod_vlan_id != 0 {
            return Err(BadReply::Unsupported(format!(
                "a branch ENI (VLAN {})",
                reply.pod_vlan_id
            )));
        }
        if !reply.network_policy_mode.is_empty() {
            return Err(BadReply::Unsupported(format!(
                "network policy mode {:?}",
                reply.network_policy_mode
            )));
        }
        let [allocation] = reply.ip_allocation_metadata.as_slice() else {
            return Err(BadReply::Count(reply.ip_allocation_metadata.len()));
        };
        Ok(Self {
            placement: allocation.try_into()?,
            external_snat: reply.use_external_snat,
            // Nothing in the plugin depends on them, so a strange one must not cost a pod its address.
            vpc_cidrs: reply
                .vp_cv4_cid_rs
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
        })
    }
}

impl From<Placement> for DelNetworkReply {
    fn from(placement: Placement) -> Self {
        Self {
            success: true,
            ip_allocation_metadata: vec![placement.into()],
            ..Self::default()
        }
    }
}

impl DelNetworkReply {
    /// What was released and can be torn down: IPv4 addresses with a place. Anything else is passed over, because a DEL
    /// does what it can.
    pub fn released(&self) -> Vec<Placement> {
        if self.pod_vlan_id != 0 {
            return Vec::new();
        }
        self.ip_allocation_metadata
            .iter()
            .filter_map(|allocation| allocation.try_into().ok())
            .collect()
    }
}

impl From<Placement> for IpAllocationMetadata {
    fn from(placement: Placement) -> Self {
        Self {
            i_pv4_addr: placement.address.to_string(),
            i_pv6_addr: String::new(),
            device_number: i32::from(placement.device.0),
            route_table_id: placement.table.0.cast_signed(),
        }
    }
}

impl TryFrom<&IpAllocationMetadata> for Placement {
    type Error = BadReply;

    fn try_from(allocation: &IpAllocationMetadata) -> Result<Self, BadReply> {
        let (device, table) = (allocation.device_number, allocation.route_table_id);
        if allocation.i_pv4_addr.is_empty() && !allocation.i_pv6_addr.is_empty() {
            return Err(BadReply::Unsupported(format!(
                "IPv6 address {}",
                allocation.i_pv6_addr
            )));
        }
        Ok(Self {
            address: allocation
                .i_pv4_addr
                .parse()
                .map_err(|_| BadReply::Address(allocation.i_pv4_addr.clone()))?,
            device: u8::try_from(device)
                .map(DeviceIndex)
                .map_err(|_| BadReply::Place { device, table })?,
            table: u32::try_from(table)
                .map(RouteTable)
                .map_err(|_| BadReply::Place { device, table })?,
        })
    }
}

fn key(network: &str, container: &str, interface: &str) -> Result<PodKey, BadRequest> {
    for (field, value) in [
        ("ContainerID", container),
        ("IfName", interface),
        ("NetworkName", network),
    ] {
        if value.is_empty() {
            return Err(BadRequest::Empty(field));
        }
    }
    Ok(PodKey {
        network: network.to_owned(),
        container: container.to_owned(),
        interface: interface.to_owned(),
    })
}
