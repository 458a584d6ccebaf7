//! What EC2's answers become, and which answers are not taken for an answer.

use crate::calls::{create, id};
use crate::stub::{SOON, Stub, ec2};
use model::call::{Call, Reply, Scope};
use model::card::{DeviceIndex, NetworkCard};
use model::eni::{Attachment, EniAddress, EniKind, EniRecord, EniStatus, SubnetRecord};
use model::error::CallError;
use model::limits::{Hypervisor, InstanceLimits};
use std::net::Ipv4Addr;

/// An attached ENI with a primary and a secondary address and a prefix.
const ENI: &str = "<networkInterfaceId>eni-1</networkInterfaceId><subnetId>subnet-1</subnetId>\
<macAddress>02:00:00:00:00:0a</macAddress><status>in-use</status><interfaceType>interface</interfaceType>\
<description>aws-K8S-i-1</description><sourceDestCheck>true</sourceDestCheck>\
<groupSet><item><groupId>sg-2</groupId></item><item><groupId>sg-1</groupId></item></groupSet>\
<attachment><attachmentId>eni-attach-1</attachmentId><instanceId>i-1</instanceId><deviceIndex>1</deviceIndex>\
<networkCardIndex>0</networkCardIndex><status>attached</status><deleteOnTermination>true</deleteOnTermination></attachment>\
<privateIpAddressesSet><item><privateIpAddress>10.0.0.9</privateIpAddress><primary>false</primary></item>\
<item><privateIpAddress>10.0.0.4</privateIpAddress><primary>true</primary></item></privateIpAddressesSet>\
<ipv4PrefixSet><item><ipv4Prefix>10.0.0.16/28</ipv4Prefix></item></ipv4PrefixSet>\
<tagSet><item><key>k</key><value>v</value></item><item><key>empty</key></item></tagSet>";

fn record() -> EniRecord {
    let address = |last, primary| EniAddress {
        address: Ipv4Addr::new(10, 0, 0, last),
        primary,
    };
    EniRecord {
        id: id("eni-1"),
        mac: id("02:00:00:00:00:0a"),
        subnet: id("subnet-1"),
        kind: EniKind::Standard,
        status: EniStatus::InUse,
        description: "aws-K8S-i-1".into(),
        addresses: vec![address(9, false), address(4, true)],
        prefixes: vec![
            "10.0.0.16/28"
                .parse::<ipnetwork::IpNetwork>()
                .unwrap()
                .try_into()
                .unwrap(),
        ],
        groups: vec![id("sg-2"), id("sg-1")],
        attachment: Some(Attachment {
            id: id("eni-attach-1"),
            instance: id("i-1"),
            index: DeviceIndex(1),
            card: NetworkCard(0),
            delete_on_termination: true,
        }),
        tags: [("empty", ""), ("k", "v")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }
}

async fn reply(call: &Call, content: &str) -> Result<Reply, CallError> {
    let stub = Stub::ec2(vec![ec2(call.action().name(), content)]).await;
    stub.client().await.perform(call, SOON).await
}

async fn described(eni: &str) -> Result<Reply, CallError> {
    let call = Call::DescribeInterfaces(Scope::Ids(vec![id("eni-1")]));
    reply(
        &call,
        &format!("<networkInterfaceSet><item>{eni}</item></networkInterfaceSet>"),
    )
    .await
}

/// The reason why the outcome of a call that EC2 answered is unknown.
fn unknown(outcome: Result<Reply, CallError>) -> String {
    match outcome {
        Err(CallError::Unknown(reason)) => reason,
        other => panic!("expected an unreadable answer, found {other:?}"),
    }
}

#[tokio::test]
async fn an_eni_is_read_whole_and_in_ec2s_order() {
    assert_eq!(described(ENI).await, Ok(Reply::Interfaces(vec![record()])));
}

#[tokio::test]
async fn a_created_eni_is_read_whole_and_pending_means_not_attached() {
    let attachment = ENI.find("<attachment>").unwrap()
        ..ENI.find("</attachment>").unwrap() + "</attachment>".len();
    let mut eni = ENI.to_owned();
    eni.replace_range(attachment, "");
    let eni = eni.replace("in-use", "pending");
    let answer = reply(
        &Call::CreateInterface(create(1)),
        &format!("<networkInterface>{eni}</networkInterface>"),
    )
    .await;
    assert_eq!(
        answer,
        Ok(Reply::Created(EniRecord {
            attachment: None,
            status: EniStatus::Available,
            ..record()
        }))
    );
}

#[tokio::test]
async fn kinds_and_states_are_told_apart() {
    for (text, kind) in [
        ("trunk", EniKind::Trunk),
        ("efa", EniKind::Efa),
        ("efa-only", EniKind::EfaOnly),
        ("branch", EniKind::Standard),
    ] {
        let eni = ENI.replace(
            "<interfaceType>interface<",
            &format!("<interfaceType>{text}<"),
        );
        assert_eq!(
            described(&eni).await,
            Ok(Reply::Interfaces(vec![EniRecord { kind, ..record() }])),
            "{text}"
        );
    }
    for (text, status) in [
        ("available", EniStatus::Available),
        ("attaching", EniStatus::Attaching),
        ("detaching", EniStatus::Detaching),
        ("associated", EniStatus::InUse),
        ("something-new", EniStatus::InUse),
    ] {
        let eni = ENI.replace("<status>in-use<", &format!("<status>{text}<"));
        assert_eq!(
            described(&eni).await,
            Ok(Reply::Interfaces(vec![EniRecord { status, ..record() }])),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_attachment_that_has_ended_or_belongs_to_no_instance_is_none() {
    let ended = ENI.replace("<status>attached<", "<status>detached<");
    let services = ENI.replace("<instanceId>i-1</instanceId>", "");
    for eni in [ended, services] {
        assert_eq!(
            described(&eni).await,
            Ok(Reply::Interfaces(vec![EniRecord {
                attachment: None,
                ..record()
            }]))
        );
    }
}

#[tokio::test]
async fn an_eni_that_cannot_be_read_is_named_and_spoils_the_answer() {
    for (part, instead, want) in [
        (
            "<macAddress>02:00:00:00:00:0a</macAddress>",
            "",
            "macAddress of eni-1: missing",
        ),
        ("<primary>false</primary>", "", "primary of eni-1: missing"),
        (
            "10.0.0.9",
            "10.0.0.900",
            "privateIpAddress of eni-1: invalid IPv4 address syntax",
        ),
        (
            "<groupId>sg-2<",
            "<groupId>2<",
            "groupId of eni-1: \"2\" is not a security group id",
        ),
        (
            "<deviceIndex>1<",
            "<deviceIndex>300<",
            "deviceIndex of eni-1: 300 is out of range",
        ),
        (
            "10.0.0.16/28",
            "10.0.0.17/28",
            "ipv4Prefix of eni-1: 10.0.0.17/28 is not a block",
        ),
    ] {
        let reason = unknown(described(&ENI.replace(part, instead)).await);
        assert!(
            reason.starts_with("EC2's answer is not readable: ") && reason.contains(want),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn an_assign_is_done_only_when_exactly_the_wanted_number_came() {
    let call = Call::AssignAddresses {
        eni: id("eni-1"),
        count: 2,
    };
    let content = |addresses: &[&str]| {
        let items = addresses
            .iter()
            .map(|one| format!("<item><privateIpAddress>{one}</privateIpAddress></item>"));
        format!(
            "<assignedPrivateIpAddressesSet>{}</assignedPrivateIpAddressesSet>",
            items.collect::<String>()
        )
    };
    let new = vec![Ipv4Addr::new(10, 0, 0, 8), Ipv4Addr::new(10, 0, 0, 5)];
    assert_eq!(
        reply(&call, &content(&["10.0.0.8", "10.0.0.5"])).await,
        Ok(Reply::Assigned(new))
    );
    for addresses in [
        &[][..],
        &["10.0.0.8"],
        &["10.0.0.4", "10.0.0.8", "10.0.0.5"],
    ] {
        let reason = unknown(reply(&call, &content(addresses)).await);
        assert!(
            reason.contains(&format!("{} addresses instead of 2", addresses.len())),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn an_answer_without_its_object_is_unknown() {
    assert!(
        unknown(reply(&Call::CreateInterface(create(1)), "").await)
            .contains("networkInterface of the created ENI")
    );
    let (eni, instance) = (id("eni-1"), id("i-1"));
    let attach = Call::AttachInterface {
        eni,
        instance,
        index: DeviceIndex(1),
        card: NetworkCard(0),
    };
    assert!(unknown(reply(&attach, "").await).contains("attachmentId of eni-1: missing"));
    let answer = reply(&attach, "<attachmentId>eni-attach-9</attachmentId>").await;
    assert_eq!(answer, Ok(Reply::Attached(id("eni-attach-9"))));
}

#[tokio::test]
async fn subnets_without_ipv4_are_left_out() {
    let v4 = "<subnetId>subnet-1</subnetId><cidrBlock>10.0.0.0/24</cidrBlock>\
        <availableIpAddressCount>250</availableIpAddressCount><tagSet><item><key>k</key><value>v</value></item></tagSet>";
    let v6 = "<subnetId>subnet-2</subnetId><ipv6Native>true</ipv6Native>";
    let call = Call::DescribeSubnets {
        vpc: id("vpc-1"),
        zone: "z".into(),
    };
    let answer = reply(
        &call,
        &format!("<subnetSet><item>{v6}</item><item>{v4}</item></subnetSet>"),
    )
    .await;
    let subnet = SubnetRecord {
        id: id("subnet-1"),
        cidr: "10.0.0.0/24".parse().unwrap(),
        available: 250,
        tags: [("k".to_owned(), "v".to_owned())].into(),
    };
    assert_eq!(answer, Ok(Reply::Subnets(vec![subnet])));
}

#[tokio::test]
async fn limits_of_a_type_are_those_of_its_cards() {
    let call = Call::DescribeInstanceType {
        name: "x9.large".into(),
    };
    let card = |index: u8, enis: u8| {
        let enis = format!("<maximumNetworkInterfaces>{enis}</maximumNetworkInterfaces>");
        format!("<item><networkCardIndex>{index}</networkCardIndex>{enis}</item>")
    };
    let content = |cards: &str, more: &str| {
        let network = format!(
            "<maximumNetworkInterfaces>9</maximumNetworkInterfaces><networkCards>{cards}</networkCards>\
             <ipv4AddressesPerInterface>50</ipv4AddressesPerInterface>"
        );
        format!(
            "<instanceTypeSet><item>{more}<networkInfo>{network}</networkInfo></item></instanceTypeSet>"
        )
    };
    let limits = |cards: &[u32], hypervisor, bare_metal| {
        let positive = |number: u32| std::num::NonZeroU32::new(number).unwrap();
        let enis_per_card = cards.iter().copied().map(positive).collect();
        Ok(Reply::InstanceType(InstanceLimits {
            enis_per_card,
            addresses_per_eni: positive(50),
            hypervisor,
            bare_metal,
        }))
    };
    let two = content(
        &format!("{}{}", card(1, 4), card(0, 5)),
        "<hypervisor>nitro</hypervisor><bareMetal>false</bareMetal>",
    );
    assert_eq!(
        reply(&call, &two).await,
        limits(&[5, 4], Hypervisor::Nitro, false)
    );
    let no_cards = content("", "<bareMetal>true</bareMetal>");
    assert_eq!(
        reply(&call, &no_cards).await,
        limits(&[9], Hypervisor::Unknown, true)
    );
    for (content, want) in [
        (
            content(&card(1, 4), ""),
            "networkCards of x9.large: card 0 is missing",
        ),
        (
            content(&card(0, 0), ""),
            "maximumNetworkInterfaces of x9.large: 0 is out of range",
        ),
        (
            "<instanceTypeSet/>".to_owned(),
            "instanceTypeSet of x9.large: 0 entries instead of one",
        ),
        (
            "<instanceTypeSet><item/></instanceTypeSet>".to_owned(),
            "networkInfo of x9.large: missing",
        ),
    ] {
        let reason = unknown(reply(&call, &content).await);
        assert!(reason.contains(want), "{reason}");
    }
}
