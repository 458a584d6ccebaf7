//! Waiting, joining, superseding, deleting, refusing.

use crate::harness::{Bench, record};
use ipam::effect::Answer;
use ipam::event::Event;
use model::call::{Call, Reply};
use model::settings::NodeSettings;

#[test]
fn the_same_key_gets_the_same_address_as_often_as_it_asks() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    let (first, second) = (bench.add("a", "web-0"), bench.add("a", "web-0"));
    assert!(bench.granted(first).is_some());
    assert_eq!(bench.granted(first), bench.granted(second));
}

#[test]
fn an_add_waits_for_the_assign_that_it_caused_and_both_waiters_of_a_key_are_answered() {
    let mut bench = Bench::serving(NodeSettings::default(), 0);
    let (first, joined) = (bench.add("a", "web-0"), bench.add("a", "web-0"));
    assert!(bench.replies.is_empty());
    let addresses = (1..=9).map(|k| crate::harness::address(0, k)).collect();
    bench.answer(
        |call| matches!(call, Call::AssignAddresses { count: 9, .. }),
        Ok(Reply::Assigned(addresses)),
    );
    assert!(bench.granted(first).is_some());
    assert_eq!(bench.granted(first), bench.granted(joined));
}

#[test]
fn a_newer_sandbox_of_the_same_pod_supersedes_the_older_waiter_but_not_an_older_holder() {
    let mut bench = Bench::serving(NodeSettings::default(), 0);
    let old = bench.add("old", "web-0");
    let new = bench.add("new", "web-0");
    assert_eq!(bench.refusal(old), "superseded by sandbox new");
    let addresses = (1..=9).map(|k| crate::harness::address(0, k)).collect();
    bench.answer(
        |call| matches!(call, Call::AssignAddresses { .. }),
        Ok(Reply::Assigned(addresses)),
    );
    let newest = bench.add("newest", "web-0");
    assert!(bench.granted(new).is_some() && bench.granted(newest).is_some());
    assert_ne!(bench.granted(new), bench.granted(newest));
}

#[test]
fn a_del_ends_the_waiting_adds_of_its_key_and_the_key_may_be_added_again() {
    let mut bench = Bench::serving(NodeSettings::default(), 0);
    let add = bench.add("a", "web-0");
    let del = bench.del("a");
    assert_eq!(bench.refusal(add), "deleted while waiting for an address");
    assert_eq!(bench.replies[&del], Answer::UnknownPod);
    let again = bench.add("a", "web-0");
    let addresses = (1..=9).map(|k| crate::harness::address(0, k)).collect();
    bench.answer(
        |call| matches!(call, Call::AssignAddresses { .. }),
        Ok(Reply::Assigned(addresses)),
    );
    assert!(bench.granted(again).is_some());
}

#[test]
fn an_abandoned_waiter_gets_nothing_and_the_next_one_is_served() {
    let mut bench = Bench::serving(
        NodeSettings {
            max_enis: Some(1),
            ..NodeSettings::default()
        },
        9,
    );
    for n in 0..9 {
        bench.add(&format!("c{n}"), &format!("web-{n}"));
    }
    bench.del("c0");
    let gone = bench.add("gone", "gone");
    let next = bench.add("next", "next");
    assert_eq!(
        bench.refusal(next),
        "node limit 9: 8 addresses are held by pods and 1 are cooling; delete pods or use a larger instance type",
        "one address cools, one waits for it"
    );
    bench.abandon(gone);
    let last = bench.add("last", "last");
    bench.pass(31_000);
    assert!(bench.granted(last).is_some());
    assert!(!bench.replies.contains_key(&gone));
}

#[test]
fn at_the_limit_of_the_node_an_add_fails_at_once_and_a_cooling_address_is_waited_for() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    let mut second = record(1, 9);
    second.tags.clear();
    let mut full = Bench::new(NodeSettings::default(), ipam::boot::Restored::default());
    full.boot(vec![record(0, 9), record(1, 9), record(2, 9)]);
    let adds: Vec<_> = (0..27)
        .map(|n| full.add(&format!("c{n}"), &format!("web-{n}")))
        .collect();
    let mut addresses: Vec<_> = adds.iter().map(|add| full.granted(*add).unwrap()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 27);
    let more = full.add("c27", "web-27");
    assert!(
        full.refusal(more)
            .starts_with("node limit 27: 27 addresses are held"),
        "{}",
        full.refusal(more)
    );

    full.del("c3");
    let waits = full.add("c28", "web-28");
    full.pass(29_999);
    assert!(!full.replies.contains_key(&waits));
    full.pass(2);
    assert_eq!(full.granted(waits), full.granted(adds[3]));
    assert!(
        bench.mutations().is_empty(),
        "unused: {:?}",
        bench.call_names()
    );
    bench.event(Event::Shutdown);
}

#[test]
fn stopping_refuses_waiters_at_once_and_starts_nothing_more() {
    let mut bench = Bench::serving(NodeSettings::default(), 0);
    let waiting = bench.add("a", "web-0");
    bench.event(Event::Shutdown);
    assert_eq!(bench.refusal(waiting), "the node daemon is stopping; retry");
    let late = bench.add("b", "web-1");
    assert_eq!(bench.refusal(late), "the node daemon is stopping; retry");
    let calls = bench.calls.len();
    bench.pass(600_000);
    assert_eq!(bench.calls.len(), calls, "{:?}", bench.call_names());
}

#[test]
fn a_node_that_may_not_ask_ec2_says_so_when_its_addresses_are_held() {
    let settings = NodeSettings {
        provisioning: false,
        ..NodeSettings::default()
    };
    let mut bench = Bench::serving(settings, 1);
    bench.add("a", "web-0");
    let more = bench.add("b", "web-1");
    assert_eq!(
        bench.refusal(more),
        "node limit 1: EC2 is not asked for more addresses (DISABLE_NETWORK_RESOURCE_PROVISIONING); 1 are held by pods and 0 are cooling"
    );
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
}
