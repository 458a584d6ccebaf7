//! What is learned from IMDS, and which path is named when it cannot be learned.

use crate::stub::{Answer, Request, SOON, Stub};
use cloud::{Imds, ImdsError};
use model::card::{DeviceIndex, NetworkCard};
use model::imds::{ImdsInterface, InstanceMetadata};
use std::net::Ipv4Addr;
use std::time::Duration;

const MACS: &str = "/latest/meta-data/network/interfaces/macs/";

/// An instance with its primary ENI, a second one, and one that IMDS has only begun to list.
const TREE: &[(&str, &str)] = &[
    (
        "/latest/dynamic/instance-identity/document",
        "{\"instanceId\" : \"i-1\", \"region\" : \"eu-west-1\"}",
    ),
    ("/latest/meta-data/instance-id", "i-1"),
    ("/latest/meta-data/instance-type", "m5.large"),
    (
        "/latest/meta-data/placement/availability-zone",
        "eu-west-1a",
    ),
    ("/latest/meta-data/local-ipv4", "10.0.0.4"),
    ("/latest/meta-data/mac", "02:00:00:00:00:01"),
    (
        MACS,
        "02:00:00:00:00:01/\n02:00:00:00:00:02/\n02:00:00:00:00:03/\n",
    ),
    ("01/vpc-id", "vpc-1"),
    ("01/subnet-id", "subnet-1"),
    ("01/vpc-ipv4-cidr-blocks", "10.0.0.0/16\n100.64.0.0/16"),
    ("01/security-group-ids", "sg-1\nsg-2"),
    ("01/interface-id", "eni-1"),
    ("01/device-number", "0"),
    ("01/subnet-ipv4-cidr-block", "10.0.0.0/24"),
    ("01/local-ipv4s", "10.0.0.4\n10.0.0.9"),
    ("02/interface-id", "eni-2"),
    ("02/device-number", "1"),
    ("02/network-card", "1"),
    ("02/subnet-ipv4-cidr-block", "10.0.1.0/24"),
    ("02/local-ipv4s", "10.0.1.4"),
];

fn path(short: &str) -> String {
    if short.starts_with('/') {
        short.to_owned()
    } else {
        format!("{MACS}02:00:00:00:00:{short}")
    }
}

/// The tree, except that `changed` gets another answer.
fn answer(request: &Request, changed: &str, instead: impl Fn() -> Answer) -> Answer {
    if request.path == path(changed) {
        return instead();
    }
    if request.path == "/latest/api/token" {
        return Answer::Text(200, "token-1".into());
    }
    match TREE.iter().find(|(short, _)| path(short) == request.path) {
        Some((_, value)) => Answer::Text(200, (*value).into()),
        None => Answer::Text(404, "<html>Not Found</html>".into()),
    }
}

async fn fetched(
    changed: &'static str,
    status: u16,
    text: &'static str,
) -> Result<InstanceMetadata, ImdsError> {
    let stub =
        Stub::start(move |request| answer(request, changed, || Answer::Text(status, text.into())))
            .await;
    Imds::new(Some(&stub.url))
        .unwrap()
        .fetch_metadata(SOON)
        .await
}

fn whole() -> InstanceMetadata {
    let interface = |last: u8| ImdsInterface {
        mac: format!("02:00:00:00:00:0{last}").parse().unwrap(),
        id: None,
        index: None,
        card: NetworkCard(0),
        subnet_cidr: None,
        addresses: vec![],
    };
    InstanceMetadata {
        instance: "i-1".parse().unwrap(),
        instance_type: "m5.large".into(),
        region: "eu-west-1".into(),
        zone: "eu-west-1a".into(),
        local_ipv4: Ipv4Addr::new(10, 0, 0, 4),
        primary_mac: "02:00:00:00:00:01".parse().unwrap(),
        vpc: "vpc-1".parse().unwrap(),
        subnet: "subnet-1".parse().unwrap(),
        vpc_cidrs: vec![
            "10.0.0.0/16".parse().unwrap(),
            "100.64.0.0/16".parse().unwrap(),
        ],
        groups: vec!["sg-1".parse().unwrap(), "sg-2".parse().unwrap()],
        interfaces: vec![
            ImdsInterface {
                id: Some("eni-1".parse().unwrap()),
                index: Some(DeviceIndex(0)),
                subnet_cidr: Some("10.0.0.0/24".parse().unwrap()),
                addresses: vec![Ipv4Addr::new(10, 0, 0, 4), Ipv4Addr::new(10, 0, 0, 9)],
                ..interface(1)
            },
            ImdsInterface {
                id: Some("eni-2".parse().unwrap()),
                index: Some(DeviceIndex(1)),
                card: NetworkCard(1),
                subnet_cidr: Some("10.0.1.0/24".parse().unwrap()),
                addresses: vec![Ipv4Addr::new(10, 0, 1, 4)],
                ..interface(2)
            },
            interface(3),
        ],
    }
}

#[tokio::test]
async fn everything_is_learned_with_one_token_and_absent_fields_are_absent() {
    let stub = Stub::start(|request| answer(request, "", || Answer::Hangup)).await;
    let imds = Imds::new(Some(&stub.url)).unwrap();
    assert_eq!(imds.fetch_metadata(SOON).await, Ok(whole()));
    let seen = stub.seen();
    let (tokens, reads): (Vec<_>, Vec<_>) = seen
        .iter()
        .partition(|request| request.path == "/latest/api/token");
    assert_eq!((tokens.len(), reads.len()), (1, 11 + 5 * 3));
    assert!(
        reads
            .iter()
            .all(|read| read.headers["x-aws-ec2-metadata-token"] == "token-1")
    );
}

#[tokio::test]
async fn each_fetch_takes_a_token_of_its_own() {
    let stub = Stub::start(|request| answer(request, "", || Answer::Hangup)).await;
    let imds = Imds::new(Some(&stub.url)).unwrap();
    imds.fetch_metadata(SOON).await.unwrap();
    imds.fetch_metadata(SOON).await.unwrap();
    assert_eq!(
        stub.seen()
            .iter()
            .filter(|request| request.method == "PUT")
            .count(),
        2
    );
}

#[tokio::test]
async fn a_required_path_that_is_missing_or_empty_is_named() {
    for required in TREE.iter().take(10).map(|(short, _)| *short) {
        let missing = Err(ImdsError::Missing {
            path: path(required),
        });
        assert_eq!(fetched(required, 404, "").await, missing);
        if !required.contains("document") {
            assert_eq!(fetched(required, 200, " \n").await, missing);
        }
    }
}

#[tokio::test]
async fn groups_that_imds_does_not_know_yet_are_none() {
    assert_eq!(
        fetched("01/security-group-ids", 404, "").await,
        Ok(InstanceMetadata {
            groups: vec![],
            ..whole()
        })
    );
}

#[tokio::test]
async fn a_value_that_is_not_what_the_path_promises_is_shown() {
    for (changed, value) in [
        ("/latest/meta-data/instance-id", "eni-1"),
        ("/latest/meta-data/local-ipv4", "fd00::1"),
        (
            "/latest/dynamic/instance-identity/document",
            "{\"region\":7}",
        ),
        ("/latest/dynamic/instance-identity/document", "region"),
        ("02/device-number", "-1"),
        ("02/local-ipv4s", "10.0.1.x"),
        (MACS, "eth0/"),
    ] {
        match fetched(changed, 200, value).await {
            Err(ImdsError::Unreadable {
                path: named,
                value: shown,
                ..
            }) => {
                assert_eq!((named, shown.as_str()), (path(changed), value));
            }
            other => panic!("{changed}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn any_other_status_is_an_error_that_is_not_taken_for_absence() {
    for status in [401, 403, 429, 500, 503] {
        let named = path("02/interface-id");
        let problem = format!("status {status}");
        assert_eq!(
            fetched("02/interface-id", status, "").await,
            Err(ImdsError::Unreachable {
                path: named,
                problem
            })
        );
    }
    let error = fetched("/latest/api/token", 403, "")
        .await
        .expect_err("no token")
        .to_string();
    assert!(
        error.starts_with("fetch /latest/meta-data/mac from IMDS: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_silent_or_absent_service_ends_with_the_deadline_or_says_why() {
    let stub =
        Stub::start(|request| answer(request, "/latest/meta-data/instance-id", || Answer::Silence))
            .await;
    let imds = Imds::new(Some(&stub.url)).unwrap();
    let deadline = Duration::from_millis(300);
    assert_eq!(
        imds.fetch_metadata(deadline).await,
        Err(ImdsError::Deadline(deadline))
    );
    let nobody = {
        tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let imds = Imds::new(Some(&format!("http://{nobody}"))).unwrap();
    match imds.fetch_metadata(SOON).await {
        Err(ImdsError::Unreachable { problem, .. }) => {
            assert!(problem.contains("Connection refused"), "{problem}")
        }
        other => panic!("{other:?}"),
    }
}
