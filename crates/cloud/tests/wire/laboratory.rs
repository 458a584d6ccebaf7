//! The metadata service of the laboratory, read as in production; and a call with the role it serves.

use crate::account::Ground;
use crate::stub::SOON;
use cloud::{Ec2, Imds, ImdsError};
use model::call::{Call, Reply, Scope};
use model::card::{DeviceIndex, NetworkCard};
use model::imds::ImdsInterface;
use model::time::Instant;
use std::sync::{Arc, Mutex};
use vpc::{Caller, Request};

/// An account's IMDS and EC2 doors for its node; the tasks live as long as this.
struct Laboratory {
    door: lab::ec2::Door,
    imds: String,
    ec2: String,
    _tasks: tokio::task::JoinSet<std::io::Result<()>>,
}

fn open(ground: &Ground) -> Laboratory {
    let door = lab::ec2::Door::new(
        Arc::new(Mutex::new(ground.vpc.clone())),
        Arc::new(|| Instant(0)),
    );
    let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (imds, ec2) = (listen(), listen());
    let url =
        |listener: &std::net::TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let (imds_url, ec2_url) = (url(&imds), url(&ec2));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(lab::imds::serve(imds, ground.node.clone(), door.clone()));
    tasks.spawn(lab::ec2::serve(
        ec2,
        Caller::Instance(ground.node.clone()),
        door.clone(),
    ));
    Laboratory {
        door,
        imds: imds_url,
        ec2: ec2_url,
        _tasks: tasks,
    }
}

#[tokio::test]
async fn the_node_learns_who_it_is_and_which_enis_it_has() {
    let mut ground = Ground::new(1);
    let Ok(vpc::Answer::Interface(view)) = ground.vpc.request(
        Instant(0),
        &Caller::Operator,
        Request::CreateNetworkInterface(vpc::CreateInterface {
            wanted: vpc::Wanted::Count(2),
            ..vpc::CreateInterface::in_subnet(ground.narrow.clone())
        }),
    ) else {
        panic!("an ENI")
    };
    let second = view.record();
    let (eni, instance) = (second.id.clone(), ground.node.clone());
    let attach = Request::AttachNetworkInterface {
        eni,
        instance,
        index: DeviceIndex(1),
        card: NetworkCard(0),
    };
    ground
        .vpc
        .request(Instant(0), &Caller::Operator, attach)
        .unwrap();

    let laboratory = open(&ground);
    let metadata = Imds::new(Some(&laboratory.imds))
        .unwrap()
        .fetch_metadata(SOON)
        .await
        .unwrap();
    assert_eq!(
        (&metadata.instance, metadata.instance_type.as_str()),
        (&ground.node, "m5.large")
    );
    assert_eq!(
        (metadata.region.as_str(), metadata.zone.as_str()),
        ("eu-west-1", "eu-west-1a")
    );
    assert_eq!(
        (&metadata.vpc, &metadata.subnet),
        (&ground.network, &ground.subnet)
    );
    assert_eq!(metadata.vpc_cidrs, ["10.0.0.0/16".parse().unwrap()]);
    assert_eq!(metadata.groups, std::slice::from_ref(&ground.group));
    assert_eq!(metadata.interfaces.len(), 2);
    let primary = metadata
        .interfaces
        .iter()
        .find(|one| one.mac == metadata.primary_mac)
        .expect("listed");
    assert_eq!(
        (primary.index, primary.addresses.first()),
        (Some(DeviceIndex(0)), Some(&metadata.local_ipv4))
    );
    let listed = metadata
        .interfaces
        .iter()
        .find(|one| one.mac == second.mac)
        .expect("listed");
    let mut addresses: Vec<_> = second
        .addresses
        .iter()
        .map(|one| (!one.primary, one.address))
        .collect();
    addresses.sort();
    let want = ImdsInterface {
        mac: second.mac,
        id: Some(second.id.clone()),
        index: Some(DeviceIndex(1)),
        card: NetworkCard(0),
        subnet_cidr: Some("10.0.2.0/28".parse().unwrap()),
        addresses: addresses.into_iter().map(|(_, address)| address).collect(),
    };
    let mut listed = listed.clone();
    listed.addresses[1..].sort();
    assert_eq!(listed, want);
}

#[tokio::test]
async fn a_path_that_the_service_does_not_have_yet_is_named() {
    let laboratory = open(&Ground::new(2));
    laboratory
        .door
        .vpc
        .lock()
        .unwrap()
        .faults_mut()
        .fail_imds("placement/availability-zone", 404);
    let error = Imds::new(Some(&laboratory.imds))
        .unwrap()
        .fetch_metadata(SOON)
        .await;
    assert_eq!(
        error,
        Err(ImdsError::Missing {
            path: "/latest/meta-data/placement/availability-zone".into()
        })
    );
}

#[tokio::test]
async fn a_call_is_made_with_the_role_that_the_service_has() {
    let ground = Ground::new(3);
    let laboratory = open(&ground);
    let imds = Imds::new(Some(&laboratory.imds)).unwrap();
    let client = Ec2::new("eu-west-1", Some(&laboratory.ec2), &imds)
        .await
        .unwrap();
    let call = Call::DescribeInterfaces(Scope::AttachedTo(ground.node.clone()));
    let Ok(Reply::Interfaces(found)) = client.perform(&call, SOON).await else {
        panic!("a list")
    };
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].groups, [ground.group]);
}
