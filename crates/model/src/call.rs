//! Every EC2 request that we make, as a value, and every answer. Must not: know how it is sent.
//!
//! `ipam` emits a [`Call`], `cloud` turns it into an SDK request, `sim` into a `vpc` request: all three mean the same.

use crate::card::{DeviceIndex, NetworkCard};
use crate::eni::{EniRecord, SubnetRecord};
use crate::id::{AttachmentId, ClientToken, EniId, InstanceId, SecurityGroupId, SubnetId, VpcId};
use crate::limits::InstanceLimits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The tag that says which instance an ENI of ours was made for (ipamd.md §5.3).
pub const INSTANCE_TAG: &str = "node.k8s.amazonaws.com/instance_id";
/// The tag with the time of creation (ipamd.md §5.3).
pub const CREATED_AT_TAG: &str = "node.k8s.amazonaws.com/createdAt";
/// The tag that carries the client token of the create call: what ties an ENI to its intent after a restart.
pub const TOKEN_TAG: &str = "node.k8s.amazonaws.com/client_token";
/// The tag that takes an ENI out of our hands when `true` (ipamd.md §2.5).
pub const NO_MANAGE_TAG: &str = "node.k8s.amazonaws.com/no_manage";

/// Which ENIs a describe asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Exactly these; EC2 refuses the whole call when one is unknown.
    Ids(Vec<EniId>),
    /// Filter `attachment.instance-id`: everything attached to the instance.
    AttachedTo(InstanceId),
    /// Filter `tag:node.k8s.amazonaws.com/instance_id`: everything made for the instance, attached or not.
    MadeFor(InstanceId),
}

/// The content of a CreateNetworkInterface call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateInterface {
    /// Makes a repetition of the call harmless.
    pub token: ClientToken,
    /// Where.
    pub subnet: SubnetId,
    /// Never empty: EC2 would take the VPC's default group.
    pub groups: Vec<SecurityGroupId>,
    /// Free text, `aws-K8S-<instance id>`.
    pub description: String,
    /// Tags given in the same call.
    pub tags: BTreeMap<String, String>,
    /// Number of secondary IPv4 addresses, besides the primary.
    pub secondary_addresses: u32,
}

/// One EC2 request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// DescribeNetworkInterfaces, all pages.
    DescribeInterfaces(Scope),
    /// DescribeSubnets of one VPC and availability zone, all pages.
    DescribeSubnets {
        /// The VPC.
        vpc: VpcId,
        /// The availability zone's name.
        zone: String,
    },
    /// DescribeInstanceTypes of one type.
    DescribeInstanceType {
        /// For example `m5.large`.
        name: String,
    },
    /// CreateNetworkInterface.
    CreateInterface(CreateInterface),
    /// AttachNetworkInterface.
    AttachInterface {
        /// What.
        eni: EniId,
        /// To which instance.
        instance: InstanceId,
        /// Position on the card; EC2 refuses one in use.
        index: DeviceIndex,
        /// Network card.
        card: NetworkCard,
    },
    /// ModifyNetworkInterfaceAttribute: `DeleteOnTermination = true`.
    DeleteOnTermination {
        /// Which ENI.
        eni: EniId,
        /// Its attachment.
        attachment: AttachmentId,
    },
    /// DetachNetworkInterface, never forced.
    DetachInterface {
        /// Which ENI.
        eni: EniId,
        /// Its attachment.
        attachment: AttachmentId,
    },
    /// DeleteNetworkInterface.
    DeleteInterface {
        /// Which ENI.
        eni: EniId,
    },
    /// AssignPrivateIpAddresses by count.
    AssignAddresses {
        /// To which ENI.
        eni: EniId,
        /// How many; all or none are assigned.
        count: u32,
    },
    /// UnassignPrivateIpAddresses.
    UnassignAddresses {
        /// From which ENI.
        eni: EniId,
        /// Which; never the primary.
        addresses: Vec<Ipv4Addr>,
    },
    /// CreateTags on one ENI.
    CreateTags {
        /// Which ENI.
        eni: EniId,
        /// Key and value; an existing key is overwritten.
        tags: BTreeMap<String, String>,
    },
}

/// The closed set of EC2 actions, for budgets, logs and metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is named like EC2's action")]
pub enum Action {
    DescribeNetworkInterfaces,
    DescribeSubnets,
    DescribeInstanceTypes,
    CreateNetworkInterface,
    AttachNetworkInterface,
    ModifyNetworkInterfaceAttribute,
    DetachNetworkInterface,
    DeleteNetworkInterface,
    AssignPrivateIpAddresses,
    UnassignPrivateIpAddresses,
    CreateTags,
}

impl Action {
    /// EC2's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::DescribeNetworkInterfaces => "DescribeNetworkInterfaces",
            Self::DescribeSubnets => "DescribeSubnets",
            Self::DescribeInstanceTypes => "DescribeInstanceTypes",
            Self::CreateNetworkInterface => "CreateNetworkInterface",
            Self::AttachNetworkInterface => "AttachNetworkInterface",
            Self::ModifyNetworkInterfaceAttribute => "ModifyNetworkInterfaceAttribute",
            Self::DetachNetworkInterface => "DetachNetworkInterface",
            Self::DeleteNetworkInterface => "DeleteNetworkInterface",
            Self::AssignPrivateIpAddresses => "AssignPrivateIpAddresses",
            Self::UnassignPrivateIpAddresses => "UnassignPrivateIpAddresses",
            Self::CreateTags => "CreateTags",
        }
    }
}

impl Call {
    /// EC2's action.
    pub fn action(&self) -> Action {
        match self {
            Self::DescribeInterfaces(_) => Action::DescribeNetworkInterfaces,
            Self::DescribeSubnets { .. } => Action::DescribeSubnets,
            Self::DescribeInstanceType { .. } => Action::DescribeInstanceTypes,
            Self::CreateInterface(_) => Action::CreateNetworkInterface,
            Self::AttachInterface { .. } => Action::AttachNetworkInterface,
            Self::DeleteOnTermination { .. } => Action::ModifyNetworkInterfaceAttribute,
            Self::DetachInterface { .. } => Action::DetachNetworkInterface,
            Self::DeleteInterface { .. } => Action::DeleteNetworkInterface,
            Self::AssignAddresses { .. } => Action::AssignPrivateIpAddresses,
            Self::UnassignAddresses { .. } => Action::UnassignPrivateIpAddresses,
            Self::CreateTags { .. } => Action::CreateTags,
        }
    }

    /// Whether the call changes anything: such a call is announced in the journal before it is sent.
    pub fn mutating(&self) -> bool {
        !matches!(
            self,
            Self::DescribeInterfaces(_)
                | Self::DescribeSubnets { .. }
                | Self::DescribeInstanceType { .. }
        )
    }

    /// The ENI the call changes; none for a create and for reads.
    pub fn eni(&self) -> Option<&EniId> {
        match self {
            Self::DescribeInterfaces(_)
            | Self::DescribeSubnets { .. }
            | Self::DescribeInstanceType { .. }
            | Self::CreateInterface(_) => None,
            Self::AttachInterface { eni, .. }
            | Self::DeleteOnTermination { eni, .. }
            | Self::DetachInterface { eni, .. }
            | Self::DeleteInterface { eni }
            | Self::AssignAddresses { eni, .. }
            | Self::UnassignAddresses { eni, .. }
            | Self::CreateTags { eni, .. } => Some(eni),
        }
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DescribeInterfaces(Scope::Ids(ids)) => {
                write!(f, "describe {} ENIs by id", ids.len())
            }
            Self::DescribeInterfaces(Scope::AttachedTo(instance)) => {
                write!(f, "describe ENIs attached to {instance}")
            }
            Self::DescribeInterfaces(Scope::MadeFor(instance)) => {
                write!(f, "describe ENIs made for {instance}")
            }
            Self::DescribeSubnets { vpc, zone } => write!(f, "describe subnets of {vpc} in {zone}"),
            Self::DescribeInstanceType { name } => write!(f, "describe instance type {name}"),
            Self::CreateInterface(create) => {
                write!(
                    f,
                    "create an ENI with {} secondary addresses in {}",
                    create.secondary_addresses, create.subnet
                )
            }
            Self::AttachInterface {
                eni, index, card, ..
            } => write!(f, "attach {eni} at card {} index {}", card.0, index.0),
            Self::DeleteOnTermination { eni, .. } => {
                write!(f, "set delete-on-termination of {eni}")
            }
            Self::DetachInterface { eni, .. } => write!(f, "detach {eni}"),
            Self::DeleteInterface { eni } => write!(f, "delete {eni}"),
            Self::AssignAddresses { eni, count } => write!(f, "assign {count} addresses to {eni}"),
            Self::UnassignAddresses { eni, addresses } => {
                write!(f, "unassign {} addresses from {eni}", addresses.len())
            }
            Self::CreateTags { eni, tags } => write!(f, "write {} tags on {eni}", tags.len()),
        }
    }
}

/// EC2's answer to a [`Call`] that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To a describe of ENIs.
    Interfaces(Vec<EniRecord>),
    /// To a describe of subnets.
    Subnets(Vec<SubnetRecord>),
    /// To a describe of an instance type.
    InstanceType(InstanceLimits),
    /// To a create: the new ENI, or the one that an earlier call with the same token made.
    Created(EniRecord),
    /// To an attach.
    Attached(AttachmentId),
    /// To an assign: exactly the new addresses.
    Assigned(Vec<Ipv4Addr>),
    /// To every other mutation: it has happened.
    Done,
}
