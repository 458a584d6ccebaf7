//! The vocabulary of the account: every request and every answer, in EC2's words. Must not: carry anything out.

use crate::eni::{ConnectionTracking, InterfaceView};
use crate::group::Rule;
use crate::instance::InstanceView;
use crate::subnet::SubnetView;
use ipnetwork::Ipv4Network;
use model::block::Block;
use model::card::{DeviceIndex, NetworkCard};
use model::eni::EniKind;
use model::id::{AttachmentId, EniId, InstanceId, SecurityGroupId, SubnetId, VpcId};
use model::limits::InstanceLimits;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// A person or another controller of the account; may do everything.
    Operator,
    /// The role of an instance; may do what is not denied to it.
    Instance(InstanceId),
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Makes a VPC with its default security group.
    CreateVpc {
        /// First IPv4 range, /16 to /28.
        cidr: Ipv4Network,
    },
    /// Adds an IPv4 range to a VPC.
    AssociateVpcCidrBlock {
        /// Which.
        vpc: VpcId,
        /// The range.
        cidr: Ipv4Network,
    },
    /// Makes a subnet.
    CreateSubnet {
        /// In which VPC.
        vpc: VpcId,
        /// Inside one of the VPC's ranges, /16 to /28.
        cidr: Ipv4Network,
        /// Availability zone.
        zone: String,
        /// Tags.
        tags: Tags,
    },
    /// Makes a security group without ingress rules.
    CreateSecurityGroup {
        /// In which VPC.
        vpc: VpcId,
        /// Unique in the VPC.
        name: String,
        /// Free text.
        description: String,
    },
    /// Allows more.
    AuthorizeSecurityGroupIngress {
        /// Which group.
        group: SecurityGroupId,
        /// What it allows from now on.
        rules: Vec<Rule>,
    },
    /// Allows less.
    RevokeSecurityGroupIngress {
        /// Which group.
        group: SecurityGroupId,
        /// Rules to remove, as they were given.
        rules: Vec<Rule>,
    },
    /// Starts one instance with its primary ENI.
    RunInstances(RunInstances),
    /// Ends instances, deletes or frees their ENIs.
    TerminateInstances {
        /// Which.
        instances: Vec<InstanceId>,
    },
    /// DescribeNetworkInterfaces.
    DescribeInterfaces(DescribeInterfaces),
    /// DescribeInstances.
    DescribeInstances {
        /// Which; all when empty.
        ids: Vec<InstanceId>,
    },
    /// DescribeSubnets.
    DescribeSubnets {
        /// Which; all when empty.
        ids: Vec<SubnetId>,
        /// All must match.
        filters: Vec<Filter>,
    },
    /// DescribeInstanceTypes.
    DescribeInstanceTypes {
        /// Which; all when empty.
        names: Vec<String>,
    },
    /// CreateNetworkInterface.
    CreateNetworkInterface(CreateInterface),
    /// AttachNetworkInterface.
    AttachNetworkInterface {
        /// What.
        eni: EniId,
        /// To which instance.
        instance: InstanceId,
        /// Position on the card.
        index: DeviceIndex,
        /// Network card.
        card: NetworkCard,
    },
    /// ModifyNetworkInterfaceAttribute, one attribute at a time as EC2 demands.
    ModifyNetworkInterfaceAttribute {
        /// Which.
        eni: EniId,
        /// What.
        change: Modification,
    },
    /// DetachNetworkInterface.
    DetachNetworkInterface {
        /// Which attachment.
        attachment: AttachmentId,
        /// Don't wait for the guest.
        force: bool,
    },
    /// DeleteNetworkInterface.
    DeleteNetworkInterface {
        /// Which.
        eni: EniId,
    },
    /// AssignPrivateIpAddresses.
    AssignPrivateIpAddresses {
        /// To which ENI.
        eni: EniId,
        /// What.
        wanted: Wanted,
        /// Take secondary addresses from other ENIs.
        allow_reassignment: bool,
    },
    /// UnassignPrivateIpAddresses.
    UnassignPrivateIpAddresses {
        /// From which ENI.
        eni: EniId,
        /// Addresses, never the primary.
        addresses: Vec<Ipv4Addr>,
        /// Prefixes.
        prefixes: Vec<Block>,
    },
    /// CreateTags.
    CreateTags {
        /// Ids of ENIs, subnets or instances.
        resources: Vec<String>,
        /// Added, or written over.
        tags: Tags,
    },
}

/// RunInstances for one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInstances {
    /// For example `m5.large`.
    pub instance_type: String,
    /// Of the primary ENI.
    pub subnet: SubnetId,
    /// Of the primary ENI; the VPC's default group when empty.
    pub groups: Vec<SecurityGroupId>,
    /// Of the primary ENI; EC2 picks one when `None`.
    pub private_address: Option<Ipv4Addr>,
    /// Name of the role whose credentials IMDS serves; none means 404 there.
    pub role: Option<String>,
    /// Tags of the instance.
    pub tags: Tags,
}

/// DescribeNetworkInterfaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DescribeInterfaces {
    /// Exactly these; unknown ones refuse the whole call. All when empty.
    pub ids: Vec<EniId>,
    /// All must match.
    pub filters: Vec<Filter>,
    /// Page size, 5 to 1000.
    pub max_results: Option<u32>,
    /// From the page before.
    pub next_token: Option<String>,
}

/// A filter: one of the values must match; `*` and `?` are wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// For example `attachment.instance-id` or `tag:Name`.
    pub name: String,
    /// At most 200.
    pub values: Vec<String>,
}

impl Filter {
    /// A filter with one value.
    pub fn new(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            values: vec![value.to_owned()],
        }
    }
}

/// CreateNetworkInterface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateInterface {
    /// Makes a repetition harmless; at most 64 ASCII characters.
    pub client_token: Option<String>,
    /// Where.
    pub subnet: SubnetId,
    /// The VPC's default group when empty.
    pub groups: Vec<SecurityGroupId>,
    /// Free text.
    pub description: String,
    /// Tags from the first moment.
    pub tags: Tags,
    /// Primary address; EC2 picks one when `None`.
    pub primary: Option<Ipv4Addr>,
    /// What besides the primary address.
    pub wanted: Wanted,
    /// `InterfaceType`.
    pub kind: EniKind,
    /// `ConnectionTrackingSpecification`.
    pub connection_tracking: Option<ConnectionTracking>,
}

impl CreateInterface {
    /// The smallest create: everything else is EC2's default.
    pub fn in_subnet(subnet: SubnetId) -> Self {
        Self {
            client_token: None,
            subnet,
            groups: vec![],
            description: String::new(),
            tags: Tags::new(),
            primary: None,
            wanted: Wanted::Count(0),
            kind: EniKind::Standard,
            connection_tracking: None,
        }
    }
}

/// Which secondary addresses or prefixes a call asks for; EC2 refuses to mix the four forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// `SecondaryPrivateIpAddressCount`
    Count(u32),
    /// `PrivateIpAddress.n`
    Addresses(Vec<Ipv4Addr>),
    /// `Ipv4PrefixCount`
    PrefixCount(u32),
    /// `Ipv4Prefix.n`
    Prefixes(Vec<Block>),
}

/// One attribute of ModifyNetworkInterfaceAttribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modification {
    /// `Attachment.DeleteOnTermination`
    DeleteOnTermination {
        /// Must be the ENI's present attachment.
        attachment: AttachmentId,
        /// The new value.
        delete: bool,
    },
    /// `SecurityGroupId.n`: exactly these from now on.
    Groups(Vec<SecurityGroupId>),
    /// `SourceDestCheck.Value`
    SourceDestCheck(bool),
    /// `Description.Value`
    Description(String),
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To CreateVpc.
    Vpc(VpcId),
    /// To CreateSubnet.
    Subnet(SubnetView),
    /// To CreateSecurityGroup.
    Group(SecurityGroupId),
    /// To RunInstances and DescribeInstances.
    Instances(Vec<InstanceView>),
    /// To DescribeNetworkInterfaces.
    Interfaces {
        /// One page, in order of id.
        interfaces: Vec<InterfaceView>,
        /// Where the next page begins.
        next_token: Option<String>,
    },
    /// To DescribeSubnets.
    Subnets(Vec<SubnetView>),
    /// To DescribeInstanceTypes.
    InstanceTypes(Vec<(String, InstanceLimits)>),
    /// To CreateNetworkInterface.
    Interface(Box<InterfaceView>),
    /// To AttachNetworkInterface.
    Attached {
        /// The new attachment.
        attachment: AttachmentId,
        /// Its card.
        card: NetworkCard,
    },
    /// To AssignPrivateIpAddresses: exactly the new ones.
    Assigned {
        /// The ENI.
        eni: EniId,
        /// New addresses.
        addresses: Vec<Ipv4Addr>,
        /// New prefixes.
        prefixes: Vec<Block>,
    },
    /// To everything else: `return` is true.
    Done,
}

macro_rules! actions {
    ($($action:ident: $pattern:pat,)*) => {
        /// EC2's name of a request, without its parameters.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Action {
            $(#[doc = concat!("`", stringify!($action), "`")] $action,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$action,)*];

            /// EC2's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$action => stringify!($action),)* }
            }
        }

        impl Request {
            /// EC2's name of the request.
            pub fn action(&self) -> Action {
                match self { $($pattern => Action::$action,)* }
            }
        }
    };
}

actions! {
    CreateVpc: Self::CreateVpc { .. },
    AssociateVpcCidrBlock: Self::AssociateVpcCidrBlock { .. },
    CreateSubnet: Self::CreateSubnet { .. },
    CreateSecurityGroup: Self::CreateSecurityGroup { .. },
    AuthorizeSecurityGroupIngress: Self::AuthorizeSecurityGroupIngress { .. },
    RevokeSecurityGroupIngress: Self::RevokeSecurityGroupIngress { .. },
    RunInstances: Self::RunInstances(_),
    TerminateInstances: Self::TerminateInstances { .. },
    DescribeNetworkInterfaces: Self::DescribeInterfaces(_),
    DescribeInstances: Self::DescribeInstances { .. },
    DescribeSubnets: Self::DescribeSubnets { .. },
    DescribeInstanceTypes: Self::DescribeInstanceTypes { .. },
    CreateNetworkInterface: Self::CreateNetworkInterface(_),
    AttachNetworkInterface: Self::AttachNetworkInterface { .. },
    ModifyNetworkInterfaceAttribute: Self::ModifyNetworkInterfaceAttribute { .. },
    DetachNetworkInterface: Self::DetachNetworkInterface { .. },
    DeleteNetworkInterface: Self::DeleteNetworkInterface { .. },
    AssignPrivateIpAddresses: Self::AssignPrivateIpAddresses { .. },
    UnassignPrivateIpAddresses: Self::UnassignPrivateIpAddresses { .. },
    CreateTags: Self::CreateTags { .. },
}

impl Action {
    /// Whether it changes anything.
    pub fn mutating(self) -> bool {
        !self.name().starts_with("Describe")
    }
}
