//! Fewest calls: what EC2 sees of many ADDs, and of a node that is full.

use crate::grpc;
use e2e::stage::Stage;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

/// Mutating calls of the nodes so far, by action; all of them must have been done.
fn mutations(stage: &Stage) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in stage.journal().records() {
        if record.mutating {
            assert_eq!(record.outcome, "ok", "{record:?}");
            *counts.entry(record.action).or_default() += 1;
        }
    }
    counts
}

fn names(kind: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{kind}-{n}")).collect()
}

/// Asks for all of them at once; their addresses.
#[track_caller]
fn all(daemon: &e2e::daemon::Daemon, names: &[String]) -> BTreeSet<String> {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let answers = grpc::add_all_while(daemon, &names, LONG, || {});
    let address = |answer: Result<rpc::wire::AddNetworkReply, tonic::Status>| {
        let answer = answer.expect("an address");
        answer.ip_allocation_metadata[0].i_pv4_addr.clone()
    };
    answers.into_iter().map(address).collect()
}

#[test]
fn twenty_adds_on_an_m5_large_that_has_just_started_cost_seven_calls_and_the_tags_of_the_primary() {
    let stage = Stage::one("wire/limit-twenty", "m5.large");
    let daemon = stage.launch(0, &[]);
    let addresses = all(&daemon, &names("web", 20));
    assert_eq!(addresses.len(), 20);
    daemon.has_usable(3);
    let counts = mutations(&stage);
    let expected = [
        ("AssignPrivateIpAddresses", 1),
        ("AttachNetworkInterface", 2),
        ("CreateNetworkInterface", 2),
        ("CreateTags", 1),
        ("ModifyNetworkInterfaceAttribute", 2),
    ];
    let expected = expected.map(|(action, count)| (action.to_owned(), count));
    assert_eq!(counts, BTreeMap::from(expected));
}

#[test]
fn twenty_seven_pods_fit_and_the_next_is_refused_within_two_seconds_with_the_limit() {
    let stage = Stage::one("wire/limit-full", "m5.large");
    let daemon = stage.launch(0, &[]);
    assert_eq!(all(&daemon, &names("web", 27)).len(), 27);
    let began = Instant::now();
    let refused = grpc::add(&daemon, "more", LONG).unwrap_err();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    let expected = "failed to assign an IP address to container: node limit 27: 27 addresses";
    assert!(refused.message().starts_with(expected), "{refused:?}");
}

#[test]
fn a_hundred_and_ten_pods_that_replace_others_on_a_full_node_cost_no_ec2_mutation() {
    let stage = Stage::one("wire/limit-churn", "m5.4xlarge");
    // Four ENIs of 29 addresses: 116 pods.
    let daemon = stage.daemon(0, &[("MAX_ENI", "4"), ("IP_COOLDOWN_PERIOD", "5")]);
    let old = names("old", 116);
    let held = all(&daemon, &old);
    assert_eq!(held.len(), 116);
    let before = mutations(&stage);
    let began = Instant::now();
    let leaving: Vec<_> = old.iter().take(110).map(String::as_str).collect();
    grpc::del_all(&daemon, &leaving);
    let released = began.elapsed();
    let new = all(&daemon, &names("new", 110));
    assert_eq!(new.len(), 110);
    assert!(new.is_subset(&held), "the same addresses");
    assert!(
        began.elapsed() >= Duration::from_secs(5),
        "none before its cooldown ends"
    );
    assert!(
        began.elapsed() < released + Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(mutations(&stage), before);
}
