//! What goes over the wire for each call, in full: a parameter too many is as wrong as one too few.

use crate::stub::{Answer, Request, SOON, Stub, ec2};
use model::call::{Call, CreateInterface, Reply, Scope};
use model::card::{DeviceIndex, NetworkCard};
use model::error::{CallError, Class};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

pub(crate) fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn create(secondary_addresses: u32) -> CreateInterface {
    CreateInterface {
        token: id("cni-7"),
        subnet: id("subnet-1"),
        groups: vec![id("sg-1"), id("sg-2")],
        description: "aws-K8S-i-1".into(),
        tags: tags(&[
            ("node.k8s.amazonaws.com/instance_id", "i-1"),
            ("a b", "c&d=é"),
        ]),
        secondary_addresses,
    }
}

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// The one request that the call makes when EC2 answers it like this.
async fn sent(call: &Call, content: &str) -> BTreeMap<String, String> {
    let stub = Stub::ec2(vec![ec2(call.action().name(), content)]).await;
    let _ = stub.client().await.perform(call, SOON).await;
    let [request]: [Request; 1] = stub.calls().try_into().expect("one request");
    request.parameters()
}

#[tokio::test]
async fn a_create_carries_token_groups_description_tags_and_count() {
    let call = Call::CreateInterface(create(9));
    let want = [
        ("Action", "CreateNetworkInterface"),
        ("ClientToken", "cni-7"),
        ("SubnetId", "subnet-1"),
        ("SecurityGroupId.1", "sg-1"),
        ("SecurityGroupId.2", "sg-2"),
        ("Description", "aws-K8S-i-1"),
        ("SecondaryPrivateIpAddressCount", "9"),
        ("TagSpecification.1.ResourceType", "network-interface"),
        ("TagSpecification.1.Tag.1.Key", "a b"),
        ("TagSpecification.1.Tag.1.Value", "c&d=é"),
        (
            "TagSpecification.1.Tag.2.Key",
            "node.k8s.amazonaws.com/instance_id",
        ),
        ("TagSpecification.1.Tag.2.Value", "i-1"),
    ];
    assert_eq!(sent(&call, "").await, tags(&want));
    let without = sent(
        &Call::CreateInterface(CreateInterface {
            tags: BTreeMap::new(),
            ..create(0)
        }),
        "",
    )
    .await;
    assert_eq!(without, tags(&want[..6]));
}

#[tokio::test]
async fn every_other_mutation_carries_exactly_its_parameters() {
    let (eni, attachment) = (id("eni-1"), id("eni-attach-1"));
    let attach = Call::AttachInterface {
        eni,
        instance: id("i-1"),
        index: DeviceIndex(2),
        card: NetworkCard(1),
    };
    let eni = || id("eni-1");
    let modify = Call::DeleteOnTermination {
        eni: eni(),
        attachment,
    };
    let detach = Call::DetachInterface {
        eni: eni(),
        attachment: id("eni-attach-1"),
    };
    let addresses = vec![Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(10, 0, 0, 9)];
    let tag = Call::CreateTags {
        eni: eni(),
        tags: tags(&[("k", "v"), ("l", "")]),
    };
    let on_eni = ("NetworkInterfaceId", "eni-1");
    let table: [(Call, &[(&str, &str)]); 7] = [
        (
            attach,
            &[
                on_eni,
                ("InstanceId", "i-1"),
                ("DeviceIndex", "2"),
                ("NetworkCardIndex", "1"),
            ],
        ),
        (
            modify,
            &[
                on_eni,
                ("Attachment.AttachmentId", "eni-attach-1"),
                ("Attachment.DeleteOnTermination", "true"),
            ],
        ),
        (detach, &[("AttachmentId", "eni-attach-1")]),
        (Call::DeleteInterface { eni: eni() }, &[on_eni]),
        (
            Call::AssignAddresses {
                eni: eni(),
                count: 9,
            },
            &[on_eni, ("SecondaryPrivateIpAddressCount", "9")],
        ),
        (
            Call::UnassignAddresses {
                eni: eni(),
                addresses,
            },
            &[
                on_eni,
                ("PrivateIpAddress.1", "10.0.0.7"),
                ("PrivateIpAddress.2", "10.0.0.9"),
            ],
        ),
        (
            tag,
            &[
                ("ResourceId.1", "eni-1"),
                ("Tag.1.Key", "k"),
                ("Tag.1.Value", "v"),
                ("Tag.2.Key", "l"),
                ("Tag.2.Value", ""),
            ],
        ),
    ];
    for (call, parameters) in table {
        let mut want = tags(parameters);
        want.insert("Action".into(), call.action().name().into());
        assert_eq!(sent(&call, "").await, want, "{call}");
    }
}

#[tokio::test]
async fn reads_ask_by_filter_in_pages_or_by_id_without_page_size() {
    let by_tag = Call::DescribeInterfaces(Scope::MadeFor(id("i-1")));
    let subnets = Call::DescribeSubnets {
        vpc: id("vpc-1"),
        zone: "eu-west-1a".into(),
    };
    let page = ("MaxResults", "1000");
    let by_instance: &[(&str, &str)] = &[
        ("Filter.1.Name", "attachment.instance-id"),
        ("Filter.1.Value.1", "i-1"),
        page,
    ];
    let table: [(Call, &[(&str, &str)]); 5] = [
        (
            Call::DescribeInterfaces(Scope::Ids(vec![id("eni-1"), id("eni-2")])),
            &[
                ("NetworkInterfaceId.1", "eni-1"),
                ("NetworkInterfaceId.2", "eni-2"),
            ],
        ),
        (
            Call::DescribeInterfaces(Scope::AttachedTo(id("i-1"))),
            by_instance,
        ),
        (
            by_tag,
            &[
                ("Filter.1.Name", "tag:node.k8s.amazonaws.com/instance_id"),
                ("Filter.1.Value.1", "i-1"),
                page,
            ],
        ),
        (
            subnets,
            &[
                ("Filter.1.Name", "vpc-id"),
                ("Filter.1.Value.1", "vpc-1"),
                ("Filter.2.Name", "availability-zone"),
                ("Filter.2.Value.1", "eu-west-1a"),
            ],
        ),
        (
            Call::DescribeInstanceType {
                name: "m5.large".into(),
            },
            &[("InstanceType.1", "m5.large")],
        ),
    ];
    for (call, parameters) in table {
        let mut want = tags(parameters);
        want.insert("Action".into(), call.action().name().into());
        assert_eq!(sent(&call, "").await, want, "{call}");
    }
}

#[tokio::test]
async fn asking_for_no_enis_asks_nothing() {
    let stub = Stub::ec2(vec![]).await;
    let reply = stub
        .client()
        .await
        .perform(&Call::DescribeInterfaces(Scope::Ids(vec![])), SOON)
        .await;
    assert_eq!(
        (reply, stub.calls().len()),
        (Ok(Reply::Interfaces(vec![])), 0)
    );
}

#[tokio::test]
async fn a_create_without_groups_is_never_sent() {
    let stub = Stub::ec2(vec![]).await;
    let call = Call::CreateInterface(CreateInterface {
        groups: vec![],
        ..create(1)
    });
    let error = stub
        .client()
        .await
        .perform(&call, SOON)
        .await
        .expect_err("no groups");
    assert!(
        matches!(&error, CallError::Refused(refusal) if refusal.class == Class::Invalid),
        "{error}"
    );
    assert_eq!(stub.calls().len(), 0);
}

#[tokio::test]
async fn all_pages_are_read() {
    let page = |subnet: &str, next: &str| {
        let item = format!("<subnetId>{subnet}</subnetId><cidrBlock>10.0.0.0/24</cidrBlock>");
        let item = format!("{item}<availableIpAddressCount>7</availableIpAddressCount>");
        ec2(
            "DescribeSubnets",
            &format!("<subnetSet><item>{item}</item></subnetSet>{next}"),
        )
    };
    let next = "<nextToken>more</nextToken>";
    let stub = Stub::ec2(vec![
        page("subnet-1", next),
        page("subnet-2", "<nextToken/>"),
    ])
    .await;
    let call = Call::DescribeSubnets {
        vpc: id("vpc-1"),
        zone: "z".into(),
    };
    let Reply::Subnets(subnets) = stub.client().await.perform(&call, SOON).await.unwrap() else {
        panic!("another reply")
    };
    assert_eq!(
        subnets
            .iter()
            .map(|subnet| subnet.id.as_str())
            .collect::<Vec<_>>(),
        ["subnet-1", "subnet-2"]
    );
    assert_eq!(stub.calls()[1].parameters()["NextToken"], "more");
}

#[tokio::test]
async fn a_refused_second_page_refuses_the_read() {
    let first = ec2(
        "DescribeNetworkInterfaces",
        "<networkInterfaceSet/><nextToken>more</nextToken>",
    );
    let stub = Stub::ec2(vec![
        first,
        crate::stub::error(503, "RequestLimitExceeded", "slow down"),
    ])
    .await;
    let call = Call::DescribeInterfaces(Scope::AttachedTo(id("i-1")));
    let error = stub
        .client()
        .await
        .perform(&call, SOON)
        .await
        .expect_err("half a list");
    assert!(
        matches!(&error, CallError::Refused(refusal) if refusal.class == Class::Throttled),
        "{error}"
    );
}

#[tokio::test]
async fn calls_are_signed_for_the_region_with_the_roles_credentials_under_upstreams_name() {
    let stub = Stub::ec2(vec![Answer::Text(
        200,
        "<DeleteNetworkInterfaceResponse/>".into(),
    )])
    .await;
    let reply = stub
        .client()
        .await
        .perform(&Call::DeleteInterface { eni: id("eni-1") }, SOON)
        .await;
    assert_eq!(reply, Ok(Reply::Done));
    let headers = &stub.calls()[0].headers;
    let authorization = &headers["authorization"];
    assert!(
        authorization.contains("Credential=OFROLE/") && authorization.contains("/eu-west-1/ec2/"),
        "{authorization}"
    );
    assert_eq!(headers["x-amz-security-token"], "session");
    assert!(
        headers["user-agent"].contains("app/amazon-vpc-cni-k8s"),
        "{}",
        headers["user-agent"]
    );
}
