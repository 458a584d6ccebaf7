//! EC2 cannot be reached from the first start on: the process lives, says so, and goes on by itself when EC2 is back.
//! What five minutes of it look like is the machine's business (`ipam`'s tests); here stand the doors.

use crate::console::{launch, names, serves};
use crate::grpc;
use e2e::cut::{cut, lift};
use e2e::stage::Stage;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};
use tonic_health::pb::health_check_response::ServingStatus;

fn comes_back(name: &str, verdict: &str, said: &str) {
    let stage = Stage::one(name, "m5.large");
    cut(&stage, 0, verdict);
    let mut daemon = launch(&stage, &[]);
    names(&daemon, "EC2 Describe");
    // What was seen is named as soon as the first try has ended.
    names(&daemon, said);
    assert_eq!(grpc::health(&daemon, "").unwrap(), ServingStatus::Serving);
    let ready = grpc::health(&daemon, "ready").unwrap();
    assert_eq!(ready, ServingStatus::NotServing);
    let refused = grpc::add(&daemon, "early", Duration::from_secs(3)).unwrap_err();
    assert!(
        refused
            .message()
            .contains("the node daemon is starting: waiting for EC2 Describe"),
        "{refused:?}"
    );
    assert!(daemon.runs());
    let reply = grpc::add_while(&daemon, "web-0", || lift(&stage, 0)).unwrap();
    assert!(reply.success, "who waits is answered when EC2 is back");
    serves(&daemon);
}

#[test]
fn t16_ec2_that_refuses_connections_is_named_and_pods_are_answered_when_it_is_back() {
    comes_back("wire/outage-refused", "reject with tcp reset", "refused");
}

#[test]
fn t16_ec2_behind_a_black_hole_is_named_and_pods_are_answered_when_it_is_back() {
    comes_back("wire/outage-hole", "drop", "outcome unknown");
}

/// A door that accepts connections and never answers.
fn silence(stage: &Stage, port: u16) -> std::net::TcpListener {
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    stage.node(0).listen(address).expect("a free port")
}

#[test]
fn t16_a_metadata_service_that_accepts_and_never_answers_is_given_up_and_named() {
    let stage = Stage::one("wire/silent-imds", "m5.large");
    let _silent = silence(&stage, 81);
    let endpoint = "http://127.0.0.1:81";
    let mut daemon = launch(&stage, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)]);
    names(&daemon, "the instance metadata service");
    let line = names(&daemon, "the instance metadata service: fetch ");
    assert!(line.contains("/latest/"), "{line}");
    assert!(daemon.runs());
}

#[test]
fn an_ec2_that_accepts_and_never_answers_is_given_up_after_the_time_limit() {
    let stage = Stage::one("wire/silent-ec2", "m5.large");
    let _silent = silence(&stage, 82);
    let extra = [
        ("AWS_EC2_ENDPOINT", "http://127.0.0.1:82"),
        ("HTTP_TIMEOUT", "10"),
    ];
    let began = Instant::now();
    let mut daemon = stage.launch(0, &extra);
    let told = daemon.says("start-up waits", |line| {
        line["waiting_for"]
            .as_str()
            .is_some_and(|what| what.starts_with("EC2 Describe"))
    });
    let what = told["waiting_for"].as_str().unwrap();
    assert!(what.contains("no answer within 10s"), "{told}");
    assert!(began.elapsed() >= Duration::from_secs(10));
    assert!(daemon.runs());
}
