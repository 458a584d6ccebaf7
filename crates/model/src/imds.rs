//! What the instance metadata service says about this instance: a hint about ENIs, the truth about identity.
//! Must not: fetch it.

use crate::card::{DeviceIndex, NetworkCard};
use crate::id::{EniId, InstanceId, SecurityGroupId, SubnetId, VpcId};
use crate::mac::Mac;
use ipnetwork::Ipv4Network;
use std::net::Ipv4Addr;

/// Identity of the instance and its ENIs as IMDS lists them (paths: ipamd.md §2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceMetadata {
    /// `instance-id`
    pub instance: InstanceId,
    /// `instance-type`
    pub instance_type: String,
    /// `region` of the instance identity document.
    pub region: String,
    /// `placement/availability-zone`
    pub zone: String,
    /// `local-ipv4`, the primary ENI's primary address.
    pub local_ipv4: Ipv4Addr,
    /// `mac` of the primary ENI.
    pub primary_mac: Mac,
    /// `vpc-id` of the primary ENI.
    pub vpc: VpcId,
    /// `subnet-id` of the primary ENI.
    pub subnet: SubnetId,
    /// `vpc-ipv4-cidr-blocks` of the primary ENI.
    pub vpc_cidrs: Vec<Ipv4Network>,
    /// `security-group-ids` of the primary ENI; empty when IMDS doesn't (yet) say.
    pub groups: Vec<SecurityGroupId>,
    /// Every ENI that IMDS lists, the primary included.
    pub interfaces: Vec<ImdsInterface>,
}

/// One ENI as IMDS lists it. Fields that IMDS doesn't have yet (404) are absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImdsInterface {
    /// Key of the listing.
    pub mac: Mac,
    /// `interface-id`
    pub id: Option<EniId>,
    /// `device-number`
    pub index: Option<DeviceIndex>,
    /// `network-card`; 0 when missing.
    pub card: NetworkCard,
    /// `subnet-ipv4-cidr-block`
    pub subnet_cidr: Option<Ipv4Network>,
    /// `local-ipv4s`; the first is the primary.
    pub addresses: Vec<Ipv4Addr>,
}
