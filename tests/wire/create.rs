//! What a created ENI carries, in the create call itself, and what becomes of one that cannot be finished.

use crate::grpc;
use e2e::expect::eventually;
use e2e::stage::Stage;
use lab::ec2::Record;
use lab::vpc::{Action, Code, Error, Verdict};
use std::collections::BTreeMap;
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(30);

/// Takes one address, so that a second ENI is wanted.
fn ask_for_one(stage: &Stage, extra: &[(&str, &str)]) -> e2e::daemon::Daemon {
    let daemon = stage.daemon(0, extra);
    daemon.says("EC2 call done", |line| {
        line["action"] == "AssignPrivateIpAddresses"
    });
    assert!(grpc::add(&daemon, "web-0", WAIT).unwrap().success);
    daemon
}

fn mutations(stage: &Stage) -> Vec<Record> {
    stage
        .journal()
        .records()
        .into_iter()
        .filter(|record| record.mutating)
        .collect()
}

#[test]
fn a_created_eni_has_groups_description_tags_and_token_from_its_first_moment() {
    let stage = Stage::one("wire/create", "m5.large");
    let extra = [
        ("CLUSTER_NAME", "blue"),
        ("ADDITIONAL_ENI_TAGS", r#"{"team":"net"}"#),
    ];
    let daemon = ask_for_one(&stage, &extra);
    daemon.has_usable(2);
    let calls = mutations(&stage);
    let create = calls
        .iter()
        .find(|call| call.action == "CreateNetworkInterface")
        .unwrap();
    let parameter = |name: &str| {
        create
            .parameters
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    };
    let instance = stage.nodes()[0].instance.to_string();
    assert_eq!(
        parameter("SecurityGroupId.1"),
        stage.group().to_string(),
        "{create:?}"
    );
    assert!(!create.parameters.contains_key("SecurityGroupId.2"));
    assert_eq!(
        parameter("SubnetId"),
        stage.subnet("a").unwrap().to_string()
    );
    assert_eq!(parameter("Description"), format!("aws-K8S-{instance}"));
    assert_eq!(parameter("SecondaryPrivateIpAddressCount"), "9");
    assert!((1..=64).contains(&parameter("ClientToken").len()));
    let tags = tags_of(create);
    let tag = |name: &str| tags.get(name).map(String::as_str).unwrap_or_default();
    assert_eq!(tag("node.k8s.amazonaws.com/instance_id"), instance);
    assert_eq!(tag("cluster.k8s.amazonaws.com/name"), "blue");
    assert_eq!(tag("eks:eni:owner"), "amazon-vpc-cni");
    assert_eq!(tag("team"), "net");
    assert!(
        tag("node.k8s.amazonaws.com/createdAt").starts_with("20"),
        "{tags:?}"
    );
}

fn tags_of(create: &Record) -> BTreeMap<String, String> {
    let value = |key: &str| create.parameters.get(key).cloned();
    let prefix = |n: u32| format!("TagSpecification.1.Tag.{n}");
    (1..)
        .map_while(|n| {
            Some((
                value(&format!("{}.Key", prefix(n)))?,
                value(&format!("{}.Value", prefix(n)))?,
            ))
        })
        .collect()
}

#[test]
fn after_the_attach_ec2_is_told_to_delete_the_eni_with_its_instance() {
    let stage = Stage::one("wire/protect", "m5.large");
    let daemon = ask_for_one(&stage, &[]);
    daemon.has_usable(2);
    let calls = mutations(&stage);
    let order: Vec<_> = calls
        .iter()
        .map(|call| call.action.as_str())
        .filter(|name| *name != "CreateTags")
        .collect();
    let expected = [
        "AssignPrivateIpAddresses",
        "CreateNetworkInterface",
        "AttachNetworkInterface",
        "ModifyNetworkInterfaceAttribute",
    ];
    assert_eq!(order, expected);
    let modify = calls
        .iter()
        .find(|call| call.action == expected[3])
        .unwrap();
    assert_eq!(
        modify
            .parameters
            .get("Attachment.DeleteOnTermination")
            .map(String::as_str),
        Some("true")
    );
    let bound = stage.enis(0)[1].attachment.clone().unwrap();
    assert!(bound.delete_on_termination);
}

#[test]
fn an_eni_that_cannot_be_bound_to_its_instances_life_is_undone() {
    let stage = Stage::one("wire/undo", "m5.large");
    let refusal = Error::new(
        Code::InvalidParameterValue,
        "laboratory: not this attribute",
    );
    stage.vpc().faults_mut().plan_next(
        Action::ModifyNetworkInterfaceAttribute,
        Verdict::refused(refusal),
    );
    let _daemon = ask_for_one(&stage, &[]);
    let deleted = eventually("the first ENI is detached and deleted", WAIT, || {
        let calls = mutations(&stage);
        let found = calls
            .iter()
            .find(|call| call.action == "DeleteNetworkInterface" && call.outcome == "ok")
            .cloned();
        found.ok_or(calls)
    });
    let calls = mutations(&stage);
    let created = calls
        .iter()
        .find(|call| call.action == "ModifyNetworkInterfaceAttribute")
        .unwrap();
    assert_eq!(
        created.parameters.get("NetworkInterfaceId"),
        deleted.parameters.get("NetworkInterfaceId")
    );
    let id = deleted
        .parameters
        .get("NetworkInterfaceId")
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        stage.vpc().interface(&id).is_none(),
        "nothing of it is left in EC2"
    );
}
