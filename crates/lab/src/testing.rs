//! What this crate's socket tests share: a small account and a client that shows bytes. Must not: leave the tests.

use crate::ec2::Door;
use model::id::InstanceId;
use model::time::Instant;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vpc::{Answer, Caller, Request, RunInstances, Tags, Vpc};

/// One m5.large in one subnet, at time zero.
pub(crate) fn laboratory() -> (Door, InstanceId) {
    let mut vpc = Vpc::new(1);
    let mut ask = |request| vpc.request(Instant(0), &Caller::Operator, request).unwrap();
    let Answer::Vpc(id) = ask(Request::CreateVpc {
        cidr: "10.0.0.0/16".parse().unwrap(),
    }) else {
        panic!("a VPC")
    };
    let zone = "eu-central-1a".to_owned();
    let create = Request::CreateSubnet {
        vpc: id,
        cidr: "10.0.1.0/24".parse().unwrap(),
        zone,
        tags: Tags::new(),
    };
    let Answer::Subnet(subnet) = ask(create) else {
        panic!("a subnet")
    };
    let run = RunInstances {
        instance_type: "m5.large".to_owned(),
        subnet: subnet.record.id,
        groups: vec![],
        private_address: None,
        role: Some("node".to_owned()),
        tags: Tags::new(),
    };
    let Answer::Instances(instances) = ask(Request::RunInstances(run)) else {
        panic!("an instance")
    };
    let instance = instances[0].instance.id.clone();
    (
        Door::new(Arc::new(Mutex::new(vpc)), Arc::new(|| Instant(0))),
        instance,
    )
}

/// A loopback listener and its address.
pub(crate) fn listen() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Sends a request; its status and the whole text of the answer, `None` when the connection ended without one.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> Option<(u16, String)> {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is closed with the answer lost may end as a reset.
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8(answer).unwrap();
    let status = text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().unwrap();
    Some((status, text))
}
