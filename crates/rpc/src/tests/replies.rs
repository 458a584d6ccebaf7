//! Messages of our daemon, of upstream's, and of a broken one.

use crate::convert::{AddAnswer, BadReply, BadRequest, Placement};
use crate::wire::{
    AddNetworkReply, AddNetworkRequest, DelNetworkReply, DelNetworkRequest, IpAllocationMetadata,
};
use model::card::{DeviceIndex, RouteTable};
use model::pod::{PodKey, PodName};
use prost::Message;

fn placement() -> Placement {
    Placement {
        address: "10.0.1.121".parse().unwrap(),
        device: DeviceIndex(1),
        table: RouteTable(2),
    }
}

fn granted() -> AddNetworkReply {
    let vpc_cidrs = vec![
        "10.0.0.0/16".parse().unwrap(),
        "100.64.0.0/10".parse().unwrap(),
    ];
    AddAnswer {
        placement: placement(),
        external_snat: true,
        vpc_cidrs,
    }
    .into()
}

fn request() -> AddNetworkRequest {
    AddNetworkRequest {
        k8s_pod_name: "web-1".into(),
        k8s_pod_namespace: "default".into(),
        container_id: "0abc".into(),
        if_name: "eth0".into(),
        network_name: "aws-cni".into(),
        ..AddNetworkRequest::default()
    }
}

#[test]
fn a_grant_survives_the_wire() {
    let reply = granted();
    assert!(reply.success);
    assert_eq!(reply.vp_cv4_cid_rs, ["10.0.0.0/16", "100.64.0.0/10"]);
    let answer =
        AddAnswer::try_from(AddNetworkReply::decode(reply.encode_to_vec().as_slice()).unwrap())
            .unwrap();
    assert_eq!(answer.placement, placement());
    assert!(answer.external_snat);
    assert_eq!(answer.vpc_cidrs.len(), 2);
}

#[test]
fn field_numbers_are_upstreams() {
    let bytes = granted().encode_to_vec();
    let allocation = b"\x0a\x0a10.0.1.121\x18\x01\x20\x02";
    let expected = [
        b"\x08\x01\x12\x10",
        &allocation[..],
        b"\x28\x01\x32\x0b10.0.0.0/16\x32\x0d100.64.0.0/10",
    ]
    .concat();
    assert_eq!(bytes, expected);
    let bytes = DelNetworkRequest {
        k8s_pod_name: "a".into(),
        k8s_pod_namespace: "b".into(),
        k8s_pod_infra_container_id: "c".into(),
        reason: "d".into(),
        if_name: "e".into(),
        network_name: "f".into(),
        container_id: "g".into(),
        client_version: "h".into(),
        k8s_pod_uid: "i".into(),
    }
    .encode_to_vec();
    assert_eq!(
        bytes,
        b"\x0a\x01a\x12\x01b\x1a\x01c\x2a\x01d\x32\x01e\x3a\x01f\x42\x01g\x4a\x01h\x52\x01i"
    );
    let bytes = AddNetworkRequest {
        k8s_pod_infra_container_id: "c".into(),
        netns: "n".into(),
        client_version: "v".into(),
        requires_multi_nic_attachment: true,
        ..request()
    }
    .encode_to_vec();
    let expected =
        b"\x0a\x05web-1\x12\x07default\x1a\x01c\x22\x01n\x2a\x04eth0\x32\x07aws-cni\x3a\x040abc\x42\x01v\x48\x01";
    assert_eq!(bytes, expected);
}

#[test]
fn a_question_names_the_key_and_the_pod() {
    let key = PodKey {
        network: "aws-cni".into(),
        container: "0abc".into(),
        interface: "eth0".into(),
    };
    let pod = PodName {
        namespace: "default".into(),
        name: "web-1".into(),
    };
    assert_eq!(request().question(), Ok((key, pod)));
}

#[test]
fn a_question_without_its_key_is_refused_by_field() {
    for (field, broken) in [
        (
            "ContainerID",
            AddNetworkRequest {
                container_id: String::new(),
                ..request()
            },
        ),
        (
            "IfName",
            AddNetworkRequest {
                if_name: String::new(),
                ..request()
            },
        ),
        (
            "NetworkName",
            AddNetworkRequest {
                network_name: String::new(),
                ..request()
            },
        ),
    ] {
        assert_eq!(broken.question(), Err(BadRequest::Empty(field)));
    }
    let multi = AddNetworkRequest {
        requires_multi_nic_attachment: true,
        ..request()
    };
    assert_eq!(multi.question(), Err(BadRequest::MultiNic));
    assert_eq!(
        DelNetworkRequest::default().question(),
        Err(BadRequest::Empty("ContainerID"))
    );
}

fn with(change: impl FnOnce(&mut AddNetworkReply)) -> Result<AddAnswer, BadReply> {
    let mut reply = granted();
    change(&mut reply);
    AddAnswer::try_from(reply)
}

fn allocation(address: &str, device: i32, table: i32) -> Vec<IpAllocationMetadata> {
    let i_pv4_addr = address.to_owned();
    vec![IpAllocationMetadata {
        i_pv4_addr,
        i_pv6_addr: String::new(),
        device_number: device,
        route_table_id: table,
    }]
}

#[test]
fn an_unusable_reply_is_an_error_that_says_what_is_wrong() {
    assert_eq!(with(|reply| reply.success = false), Err(BadReply::Failure));
    assert_eq!(
        with(|reply| reply.ip_allocation_metadata.clear()),
        Err(BadReply::Count(0))
    );
    let twice = |reply: &mut AddNetworkReply| {
        reply
            .ip_allocation_metadata
            .extend(allocation("10.0.1.9", 1, 2))
    };
    assert_eq!(with(twice), Err(BadReply::Count(2)));
    for address in ["", "10.0.1", "10.0.1.121/32", "fe80::1"] {
        let wrong = with(|reply| reply.ip_allocation_metadata = allocation(address, 1, 2));
        assert_eq!(wrong, Err(BadReply::Address(address.to_owned())));
    }
    for (device, table) in [(-1, 0), (256, 2), (1, -2)] {
        let wrong =
            with(|reply| reply.ip_allocation_metadata = allocation("10.0.1.9", device, table));
        assert_eq!(wrong, Err(BadReply::Place { device, table }));
    }
}

#[test]
fn a_reply_of_a_mode_that_is_not_built_is_refused_by_name() {
    for (reply, name) in [
        (with(|reply| reply.pod_vlan_id = 7), "VLAN 7"),
        (
            with(|reply| reply.network_policy_mode = "strict".into()),
            "network policy mode \"strict\"",
        ),
        (
            with(|reply| {
                reply.ip_allocation_metadata[0].i_pv4_addr.clear();
                reply.ip_allocation_metadata[0].i_pv6_addr = "2600::2".into();
            }),
            "IPv6 address 2600::2",
        ),
    ] {
        let error = reply.expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_strange_vpc_range_costs_no_pod_its_address() {
    let answer = with(|reply| reply.vp_cv4_cid_rs.push("nonsense".into())).unwrap();
    assert_eq!(answer.vpc_cidrs.len(), 2);
}

#[test]
fn a_release_names_what_can_be_torn_down_and_passes_over_the_rest() {
    assert_eq!(DelNetworkReply::from(placement()).released(), [placement()]);
    let mut reply = DelNetworkReply::from(placement());
    reply.ip_allocation_metadata.extend(allocation("", 0, 254));
    reply
        .ip_allocation_metadata
        .extend(allocation("10.0.1.9", -1, 0));
    assert_eq!(reply.released(), [placement()]);
    reply.pod_vlan_id = 7;
    assert_eq!(reply.released(), []);
}
