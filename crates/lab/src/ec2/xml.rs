//! Answers in EC2's XML. Must not: decide anything.
//!
//! The SDK's parser is the judge: root named after the action, lists of `<item>`, `true` and `false` in lower case,
//! errors as `<Response><Errors><Error><Code>` (dependencies: "XML strictness of the parser").

mod interface;
mod writer;

use model::limits::{Hypervisor, InstanceLimits};
use vpc::{
    ACCOUNT, Action, Answer, Error, InstanceState, InstanceView, SubnetView, Tags, Vpc, region_of,
};
use writer::Xml;

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const LONG_AGO: &str = "2024-01-01T00:00:00.000Z";

/// A successful answer.
pub(super) fn answer(vpc: &Vpc, action: Action, answer: &Answer, request_id: &str) -> String {
    let mut xml = Xml::new();
    xml.root(&format!("{}Response", action.name()), NAMESPACE, |xml| {
        xml.leaf("requestId", request_id);
        match answer {
            Answer::Interfaces {
                interfaces,
                next_token,
            } => {
                xml.list("networkInterfaceSet", interfaces, |xml, view| {
                    interface::described(xml, vpc, view)
                });
                next_token
                    .iter()
                    .for_each(|token| xml.leaf("nextToken", token));
            }
            Answer::Interface(view) => xml.node("networkInterface", |xml| {
                interface::described(xml, vpc, view)
            }),
            Answer::Instances(views) => xml.list("reservationSet", views, |xml, view| {
                reservation(xml, vpc, view)
            }),
            Answer::Subnets(views) => xml.list("subnetSet", views, subnet),
            Answer::InstanceTypes(types) => xml.list("instanceTypeSet", types, instance_type),
            Answer::Attached { attachment, card } => {
                xml.leaf("attachmentId", attachment);
                xml.leaf("networkCardIndex", card.0);
            }
            Answer::Assigned {
                eni,
                addresses,
                prefixes,
            } => {
                xml.leaf("networkInterfaceId", eni);
                xml.list("assignedPrivateIpAddressesSet", addresses, |xml, a| {
                    xml.leaf("privateIpAddress", a)
                });
                xml.list("assignedIpv4PrefixSet", prefixes, |xml, p| {
                    xml.leaf("ipv4Prefix", p)
                });
            }
            Answer::Vpc(id) => xml.node("vpc", |xml| xml.leaf("vpcId", id)),
            Answer::Subnet(view) => xml.node("subnet", |xml| subnet(xml, view)),
            Answer::Group(id) => xml.leaf("groupId", id),
            Answer::Done => xml.leaf("return", true),
        }
    });
    xml.finish()
}

/// A refusal or failure.
pub(super) fn error(error: &Error, request_id: &str) -> String {
    let mut xml = Xml::new();
    xml.node("Response", |xml| {
        xml.node("Errors", |xml| {
            xml.node("Error", |xml| {
                xml.leaf("Code", error.code.name());
                xml.leaf("Message", &error.message);
            });
        });
        xml.leaf("RequestID", request_id);
    });
    xml.finish()
}

fn reservation(xml: &mut Xml, vpc: &Vpc, view: &InstanceView) {
    let instance = &view.instance;
    xml.leaf(
        "reservationId",
        format!("r-{}", instance.id.as_str().trim_start_matches("i-")),
    );
    xml.leaf("ownerId", ACCOUNT);
    xml.node("groupSet", |_| {});
    xml.list("instancesSet", std::slice::from_ref(view), |xml, view| {
        self::instance(xml, vpc, view)
    });
}

fn instance(xml: &mut Xml, vpc: &Vpc, view: &InstanceView) {
    let instance = &view.instance;
    let running = instance.state == InstanceState::Running;
    xml.leaf("instanceId", &instance.id);
    xml.leaf("imageId", "ami-0123456789abcdef0");
    xml.node("instanceState", |xml| {
        xml.leaf("code", if running { 16 } else { 48 });
        xml.leaf("name", if running { "running" } else { "terminated" });
    });
    xml.leaf("instanceType", &instance.instance_type);
    xml.leaf("launchTime", LONG_AGO);
    xml.node("placement", |xml| {
        xml.leaf("availabilityZone", &instance.zone);
        xml.leaf("tenancy", "default");
    });
    if running {
        xml.leaf("subnetId", &instance.subnet);
        xml.leaf("vpcId", &instance.vpc);
        xml.leaf("privateIpAddress", instance.private_address);
        xml.leaf(
            "privateDnsName",
            interface::host_name(&instance.zone, instance.private_address),
        );
    }
    xml.list("networkInterfaceSet", &view.interfaces, |xml, view| {
        interface::of_instance(xml, vpc, view)
    });
    tags(xml, &instance.tags);
}

fn subnet(xml: &mut Xml, view: &SubnetView) {
    let record = &view.record;
    xml.leaf("subnetId", &record.id);
    xml.leaf(
        "subnetArn",
        format!(
            "arn:aws:ec2:{}:{ACCOUNT}:subnet/{}",
            region_of(&view.zone),
            record.id
        ),
    );
    xml.leaf("state", "available");
    xml.leaf("ownerId", ACCOUNT);
    xml.leaf("vpcId", &view.vpc);
    xml.leaf("cidrBlock", record.cidr);
    xml.leaf("availableIpAddressCount", record.available);
    xml.leaf("availabilityZone", &view.zone);
    xml.leaf("defaultForAz", false);
    xml.leaf("mapPublicIpOnLaunch", false);
    xml.leaf("assignIpv6AddressOnCreation", false);
    xml.node("ipv6CidrBlockAssociationSet", |_| {});
    tags(xml, &record.tags);
}

fn instance_type(xml: &mut Xml, (name, limits): &(String, InstanceLimits)) {
    xml.leaf("instanceType", name);
    xml.leaf("bareMetal", limits.bare_metal);
    match limits.hypervisor {
        Hypervisor::Nitro => xml.leaf("hypervisor", "nitro"),
        Hypervisor::Xen => xml.leaf("hypervisor", "xen"),
        Hypervisor::Unknown => {}
    }
    xml.node("networkInfo", |xml| {
        xml.leaf(
            "maximumNetworkInterfaces",
            limits
                .enis_per_card
                .iter()
                .map(|enis| enis.get())
                .sum::<u32>(),
        );
        xml.leaf("maximumNetworkCards", limits.enis_per_card.len());
        xml.leaf("defaultNetworkCardIndex", 0);
        let cards: Vec<_> = limits.enis_per_card.iter().enumerate().collect();
        xml.list("networkCards", &cards, |xml, (card, enis)| {
            xml.leaf("networkCardIndex", card);
            xml.leaf("maximumNetworkInterfaces", enis);
        });
        xml.leaf("ipv4AddressesPerInterface", limits.addresses_per_eni);
        xml.leaf("ipv6AddressesPerInterface", limits.addresses_per_eni);
        xml.leaf("ipv6Supported", true);
    });
}

fn tags(xml: &mut Xml, tags: &Tags) {
    let pairs: Vec<_> = tags.iter().collect();
    xml.list("tagSet", &pairs, |xml, (key, value)| {
        xml.leaf("key", key);
        xml.leaf("value", value);
    });
}
