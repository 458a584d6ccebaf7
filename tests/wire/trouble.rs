//! A node whose surroundings do not answer: the daemon stays alive, says what it waits for, and answers in time.

use crate::grpc;
use e2e::stage::Stage;
use std::time::{Duration, Instant};
use tonic_health::pb::health_check_response::ServingStatus;

#[test]
fn a_path_that_imds_lacks_is_named_and_waited_for() {
    let stage = Stage::one("wire/imds", "m5.large");
    stage
        .vpc()
        .faults_mut()
        .fail_imds("placement/availability-zone", 404);
    let mut daemon = stage.launch(0, &[]);
    let told = daemon.says("start-up waits", |_| true);
    let path = "/latest/meta-data/placement/availability-zone";
    assert_eq!(told["waiting_for"], format!("IMDS has no {path}"));
    assert!(daemon.runs());
    assert_eq!(grpc::health(&daemon, "").unwrap(), ServingStatus::Serving);
    assert_eq!(
        grpc::health(&daemon, "ready").unwrap(),
        ServingStatus::NotServing
    );
    let refused = grpc::add(&daemon, "web-0", Duration::from_secs(3)).unwrap_err();
    assert!(refused.message().contains(path), "{refused:?}");
    stage.vpc().faults_mut().clear();
    daemon.serves();
    assert_eq!(
        grpc::health(&daemon, "ready").unwrap(),
        ServingStatus::Serving
    );
}

#[test]
fn without_ec2_it_is_alive_and_an_add_gets_its_reason_before_its_deadline() {
    let stage = Stage::one("wire/no-ec2", "m5.large");
    // Nobody listens there; that no call reaches the lab's EC2 shows that the variable is what the client uses.
    let mut daemon = stage.launch(0, &[("AWS_EC2_ENDPOINT", "http://169.254.169.250:9")]);
    daemon.says("EC2 call failed", |_| true);
    assert_eq!(stage.journal().records().len(), 0);
    for (service, status) in [
        ("", ServingStatus::Serving),
        ("ready", ServingStatus::NotServing),
    ] {
        assert_eq!(
            grpc::health(&daemon, service).unwrap(),
            status,
            "{service:?}"
        );
    }
    let (began, limit) = (Instant::now(), Duration::from_secs(6));
    let refused = grpc::add(&daemon, "web-0", limit).unwrap_err();
    let took = began.elapsed();
    assert!(took < limit, "answered after {took:?}");
    let expected = "failed to assign an IP address to container: the node daemon is starting: waiting for EC2 Describe";
    assert!(refused.message().starts_with(expected), "{refused:?}");
    let typed = rpc::reason::refusal(&refused).expect("the reason is typed");
    assert!(typed.retryable, "{typed:?}");
    assert!(daemon.runs());
}

#[test]
fn waiting_callers_are_told_when_the_daemon_stops() {
    let stage = Stage::one("wire/stopping", "m5.large");
    let daemon = stage.launch(0, &[("AWS_EC2_ENDPOINT", "http://169.254.169.250:9")]);
    daemon.says("EC2 call failed", |_| true);
    let terminate = || daemon.signal(nix::sys::signal::Signal::SIGTERM);
    let refused = grpc::add_while(&daemon, "web-0", terminate).unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
    assert!(
        refused.message().contains("the node daemon is stopping"),
        "{refused:?}"
    );
    assert_eq!(daemon.stopped(), Some(0));
}
