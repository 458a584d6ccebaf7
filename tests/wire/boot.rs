//! A healthy start: what is logged, asked and served, and the end.

use crate::grpc;
use e2e::daemon::{Daemon, PATIENCE};
use e2e::expect::{eventually, when};
use e2e::stage::Stage;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tonic_health::pb::health_check_response::ServingStatus;

/// What a first start costs; who is answered first is not the daemon's choice.
const CALLS: [&str; 4] = [
    "AssignPrivateIpAddresses",
    "CreateTags",
    "DescribeNetworkInterfaces",
    "DescribeSubnets",
];

/// Waits until the daemon has nothing more to ask.
fn settle(daemon: &Daemon) {
    let done = eventually("the first calls are done", PATIENCE, || {
        let lines = daemon.lines("EC2 call done");
        let actions = lines.iter().filter_map(|line| line["action"].as_str());
        let mut actions: Vec<_> = actions.map(str::to_owned).collect();
        actions.sort();
        when(actions, |actions| actions.len() >= CALLS.len())
    });
    assert_eq!(done, CALLS);
}

#[test]
fn a_start_is_logged_and_costs_two_reads_the_tags_and_one_assignment() {
    let stage = Stage::one("wire/boot", "m5.large");
    let daemon = stage.daemon(0, &[]);
    let serving = daemon.serves();
    assert_eq!(
        (&serving["enis"], &serving["restored"]),
        (&1.into(), &0.into())
    );
    let starting = daemon.says("starting", |_| true);
    for part in ["node", "host", "process"] {
        assert!(
            starting[part].is_string(),
            "the configuration is logged: {starting}"
        );
    }
    settle(&daemon);
    let outcomes: Vec<_> = stage
        .journal()
        .records()
        .into_iter()
        .map(|record| record.outcome)
        .collect();
    assert_eq!(outcomes, ["ok"; CALLS.len()]);
    assert_eq!(
        stage.enis(0)[0].addresses.len(),
        10,
        "one primary and nine for pods"
    );
}

#[test]
fn the_socket_is_for_root_and_its_group_and_offers_health_and_reflection() {
    let stage = Stage::one("wire/socket", "m5.large");
    let daemon = stage.daemon(0, &[]);
    let mode = std::fs::metadata(daemon.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o660);
    for service in ["", "grpc.health.v1.aws-node", "ready"] {
        assert_eq!(
            grpc::health(&daemon, service).unwrap(),
            ServingStatus::Serving,
            "{service:?}"
        );
    }
    let unknown = grpc::health(&daemon, "nobody").unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    let services = grpc::services(&daemon);
    for service in [
        "rpc.CNIBackend",
        "rpc.ConfigServerBackend",
        "grpc.health.v1.Health",
    ] {
        assert!(
            services.iter().any(|name| name == service),
            "{service} in {services:?}"
        );
    }
}

#[test]
fn sigterm_ends_it_with_success_and_the_addresses_stay_in_ec2() {
    let stage = Stage::one("wire/sigterm", "m5.large");
    let daemon = stage.daemon(0, &[]);
    let reply = grpc::add(&daemon, "web-0", Duration::from_secs(10)).unwrap();
    assert!(
        reply.success && reply.ip_allocation_metadata.len() == 1,
        "{reply:?}"
    );
    let before = stage.enis(0)[0].addresses.len();
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(stage.enis(0)[0].addresses.len(), before);
}

#[test]
fn a_second_daemon_waits_beside_the_first_and_touches_nothing() {
    let stage = Stage::one("wire/second", "m5.large");
    let first = stage.daemon(0, &[]);
    settle(&first);
    let mut second = stage.launch(0, &[]);
    let told = second.says("not starting beside another node daemon", |_| true);
    let seen = told["seen"].as_str().unwrap();
    assert!(
        seen.contains("another node daemon holds /var/run/aws-node/ipamd.lock: process "),
        "{told}"
    );
    assert!(second.runs());
    assert_eq!(
        grpc::health(&first, "ready").unwrap(),
        ServingStatus::Serving
    );
    assert_eq!(stage.journal().records().len(), CALLS.len());
}
