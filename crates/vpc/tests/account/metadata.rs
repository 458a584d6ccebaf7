//! The metadata service: tokens, every path a node reads, listings, faults.

use crate::world::World;
use model::time::Instant;
use vpc::Wanted;
use vpc::imds::{Request, Response};

fn token(w: &mut World, ttl: &str) -> Response {
    let request = Request::Put {
        path: "/latest/api/token".to_owned(),
        ttl: Some(ttl.to_owned()),
    };
    w.vpc.imds(w.now, &w.node.clone(), request)
}

fn get(w: &mut World, token: &str, path: &str) -> (u16, String) {
    let request = Request::Get {
        path: format!("/latest/{path}"),
        token: Some(token.to_owned()),
    };
    let response = w.vpc.imds(w.now, &w.node.clone(), request);
    (response.status, response.body)
}

#[test]
fn a_token_lives_as_long_as_asked_and_for_one_instance() {
    let mut w = World::new();
    for bad in ["0", "21601", "", "x", "-1"] {
        assert_eq!(token(&mut w, bad).status, 400, "{bad:?}");
    }
    let request = Request::Put {
        path: "/latest/api/token".to_owned(),
        ttl: None,
    };
    assert_eq!(w.vpc.imds(w.now, &w.node.clone(), request).status, 400);
    let issued = token(&mut w, "2");
    assert_eq!((issued.status, issued.ttl_secs), (200, Some(2)));
    let token = issued.body;
    assert_eq!(
        get(&mut w, &token, "meta-data/instance-id"),
        (200, w.node.to_string())
    );
    assert_eq!(get(&mut w, "forged", "meta-data/instance-id").0, 401);
    let other = w.run("m5.large", w.subnet.clone());
    let request = Request::Get {
        path: "/latest/meta-data/mac".to_owned(),
        token: Some(token.clone()),
    };
    assert_eq!(
        w.vpc.imds(w.now, &other, request).status,
        401,
        "another instance's token"
    );
    w.now = Instant(2_000);
    assert_eq!(
        get(&mut w, &token, "meta-data/instance-id").0,
        401,
        "expired"
    );
}

#[test]
fn every_path_that_a_node_reads_is_there() {
    let mut w = World::new();
    let token = token(&mut w, "300").body;
    let eni = w.create(Wanted::Count(2));
    w.attach(&eni, 1);
    let primary = w.vpc.interface(&w.primary()).unwrap().clone();
    let second = w.vpc.interface(&eni).unwrap().clone();
    let own: Vec<_> = second
        .addresses
        .iter()
        .map(|a| a.address.to_string())
        .collect();
    let mac = format!("meta-data/network/interfaces/macs/{}", second.mac);
    let address = primary.primary().unwrap().to_string();
    for (path, want) in [
        (
            "meta-data/placement/availability-zone".to_owned(),
            "eu-central-1a".to_owned(),
        ),
        (
            "meta-data/placement/region".to_owned(),
            "eu-central-1".to_owned(),
        ),
        ("meta-data/local-ipv4".to_owned(), address),
        ("meta-data/instance-type".to_owned(), "m5.large".to_owned()),
        ("meta-data/mac".to_owned(), primary.mac.to_string()),
        (
            "meta-data/iam/security-credentials/".to_owned(),
            "node".to_owned(),
        ),
        (format!("{mac}/interface-id"), eni.to_string()),
        (format!("{mac}/subnet-id"), w.subnet.to_string()),
        (format!("{mac}/vpc-id"), w.network.to_string()),
        (format!("{mac}/device-number"), "1".to_owned()),
        (format!("{mac}/local-ipv4s"), own.join("\n")),
        (
            format!("{mac}/subnet-ipv4-cidr-block"),
            "10.0.1.0/24".to_owned(),
        ),
        (
            format!("{mac}/vpc-ipv4-cidr-blocks"),
            "10.0.0.0/16".to_owned(),
        ),
        (
            format!("{mac}/security-group-ids"),
            second.groups[0].to_string(),
        ),
    ] {
        assert_eq!(get(&mut w, &token, &path), (200, want), "{path}");
    }
    let mut macs = [format!("{}/", primary.mac), format!("{}/", second.mac)];
    macs.sort();
    assert_eq!(
        get(&mut w, &token, "meta-data/network/interfaces/macs/"),
        (200, macs.join("\n"))
    );
    let (_, fields) = get(&mut w, &token, &mac);
    assert!(
        fields.lines().any(|field| field == "local-ipv4s") && !fields.contains("network-card"),
        "{fields}"
    );
    let (_, document) = get(&mut w, &token, "dynamic/instance-identity/document");
    assert!(
        document.contains("\"region\" : \"eu-central-1\""),
        "{document}"
    );
    let (_, credentials) = get(&mut w, &token, "meta-data/iam/security-credentials/node");
    assert!(
        credentials.contains("\"Code\" : \"Success\""),
        "{credentials}"
    );
    for absent in [
        "meta-data/ipv6",
        &format!("{mac}/ipv4-prefix"),
        "meta-data/instance",
        "meta-data/network/interfaces/macs/06:",
    ] {
        assert_eq!(get(&mut w, &token, absent).0, 404, "{absent}");
    }
}

#[test]
fn only_types_with_several_cards_name_the_card() {
    let mut w = World::new();
    w.node = w.run("p4d.24xlarge", w.subnet.clone());
    let token = token(&mut w, "300").body;
    let mac = get(&mut w, &token, "meta-data/mac").1;
    assert_eq!(
        get(
            &mut w,
            &token,
            &format!("meta-data/network/interfaces/macs/{mac}/network-card")
        ),
        (200, "0".to_owned())
    );
}

#[test]
fn imds_can_be_made_to_fail_by_path() {
    let mut w = World::new();
    let token = token(&mut w, "300").body;
    w.vpc.faults_mut().fail_imds("/security-group-ids", 404);
    w.vpc.faults_mut().fail_imds("/mac", 503);
    assert_eq!(get(&mut w, &token, "meta-data/mac").0, 503);
    assert_eq!(get(&mut w, &token, "meta-data/instance-id").0, 200);
    w.vpc.faults_mut().clear();
    assert_eq!(get(&mut w, &token, "meta-data/mac").0, 200);
}

#[test]
fn an_ended_instance_has_no_metadata() {
    let mut w = World::new();
    w.ask(vpc::Request::TerminateInstances {
        instances: vec![w.node.clone()],
    })
    .unwrap();
    let token = token(&mut w, "300").body;
    assert_eq!(get(&mut w, &token, "meta-data/instance-id").0, 404);
    assert_eq!(w.vpc.metadata(w.now, &w.node), None);
}
