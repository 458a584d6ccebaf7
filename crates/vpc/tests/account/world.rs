//! A small account to start from. Must not: assert anything about the account's rules.

use ipnetwork::{IpNetwork, Ipv4Network};
use model::block::Block;
use model::card::{DeviceIndex, NetworkCard};
use model::id::{AttachmentId, EniId, InstanceId, SecurityGroupId, SubnetId, VpcId};
use model::time::Instant;
use vpc::{
    Answer, Caller, Code, CreateInterface, Error, InterfaceView, Modification, Request,
    RunInstances, Tags, Vpc, Wanted,
};

pub(crate) const ZONE: &str = "eu-central-1a";

/// One VPC, 10.0.0.0/16, a /24 in each of two zones, one m5.large in the first.
pub(crate) struct World {
    pub(crate) vpc: Vpc,
    pub(crate) now: Instant,
    pub(crate) network: VpcId,
    pub(crate) subnet: SubnetId,
    pub(crate) elsewhere: SubnetId,
    pub(crate) node: InstanceId,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut vpc = Vpc::new(7);
        let mut ask = |request| vpc.request(Instant(0), &Caller::Operator, request).unwrap();
        let Answer::Vpc(network) = ask(Request::CreateVpc {
            cidr: cidr("10.0.0.0/16"),
        }) else {
            panic!("a VPC")
        };
        let mut subnet = |range: &str, zone: &str| {
            let create = Request::CreateSubnet {
                vpc: network.clone(),
                cidr: cidr(range),
                zone: zone.to_owned(),
                tags: Tags::new(),
            };
            let Answer::Subnet(view) = ask(create) else {
                panic!("a subnet")
            };
            view.record.id
        };
        let (here, elsewhere) = (
            subnet("10.0.1.0/24", ZONE),
            subnet("10.0.2.0/24", "eu-central-1b"),
        );
        let mut world = Self {
            vpc,
            now: Instant(0),
            network,
            subnet: here.clone(),
            elsewhere,
            node: id("i-0"),
        };
        world.node = world.run("m5.large", here);
        world
    }

    pub(crate) fn ask(&mut self, request: Request) -> Result<Answer, Error> {
        self.vpc.request(self.now, &Caller::Operator, request)
    }

    pub(crate) fn code(&mut self, request: Request) -> Code {
        self.ask(request.clone())
            .expect_err(&format!("{request:?}"))
            .code
    }

    pub(crate) fn run(&mut self, instance_type: &str, subnet: SubnetId) -> InstanceId {
        let Ok(Answer::Instances(views)) = self.ask(run(instance_type, subnet)) else {
            panic!("an instance")
        };
        views[0].instance.id.clone()
    }

    pub(crate) fn node_as_caller(&self) -> Caller {
        Caller::Instance(self.node.clone())
    }

    pub(crate) fn primary(&self) -> EniId {
        self.vpc
            .interfaces()
            .find(|eni| {
                eni.attachment
                    .as_ref()
                    .is_some_and(|bound| bound.is_primary())
            })
            .expect("the node's")
            .id
            .clone()
    }

    pub(crate) fn create(&mut self, wanted: Wanted) -> EniId {
        let create = CreateInterface {
            wanted,
            ..CreateInterface::in_subnet(self.subnet.clone())
        };
        self.created(create).interface.id
    }

    pub(crate) fn created(&mut self, create: CreateInterface) -> InterfaceView {
        match self.ask(Request::CreateNetworkInterface(create)) {
            Ok(Answer::Interface(view)) => *view,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn attach(&mut self, eni: &EniId, index: u8) -> AttachmentId {
        match self.ask(attach(eni, &self.node.clone(), index)) {
            Ok(Answer::Attached { attachment, .. }) => attachment,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn group(&mut self, name: &str) -> SecurityGroupId {
        let create = Request::CreateSecurityGroup {
            vpc: self.network.clone(),
            name: name.to_owned(),
            description: String::new(),
        };
        let Ok(Answer::Group(id)) = self.ask(create) else {
            panic!("a group")
        };
        id
    }
}

pub(crate) fn run(instance_type: &str, subnet: SubnetId) -> Request {
    Request::RunInstances(RunInstances {
        instance_type: instance_type.to_owned(),
        subnet,
        groups: vec![],
        private_address: None,
        role: Some("node".to_owned()),
        tags: Tags::new(),
    })
}

pub(crate) fn attach(eni: &EniId, instance: &InstanceId, index: u8) -> Request {
    attach_on_card(eni, instance, index, 0)
}

pub(crate) fn attach_on_card(eni: &EniId, instance: &InstanceId, index: u8, card: u8) -> Request {
    Request::AttachNetworkInterface {
        eni: eni.clone(),
        instance: instance.clone(),
        index: DeviceIndex(index),
        card: NetworkCard(card),
    }
}

pub(crate) fn assign(eni: &EniId, wanted: Wanted) -> Request {
    Request::AssignPrivateIpAddresses {
        eni: eni.clone(),
        wanted,
        allow_reassignment: false,
    }
}

pub(crate) fn modify(eni: &EniId, change: Modification) -> Request {
    Request::ModifyNetworkInterfaceAttribute {
        eni: eni.clone(),
        change,
    }
}

pub(crate) fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn cidr(text: &str) -> Ipv4Network {
    text.parse().unwrap()
}

pub(crate) fn block(text: &str) -> Block {
    Block::try_from(text.parse::<IpNetwork>().unwrap()).unwrap()
}
