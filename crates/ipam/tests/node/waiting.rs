//! Life of a waiting ADD: deadline, admission, order, one answer per request, abandonment, overtaking DELs, what is seen.

use crate::harness::{Bench, address, full, key, pod, record, small, stats};
use ipam::effect::Answer;
use ipam::event::{Event, Request, RequestId};
use ipam::notice::Notice;
use model::call::{Call, Reply};
use model::settings::NodeSettings;
use model::time::{Duration, Instant};

fn assigned(bench: &mut Bench) {
    let addresses = (1..=9).map(|k| address(0, k)).collect();
    bench.answer(
        |call| matches!(call, Call::AssignAddresses { .. }),
        Ok(Reply::Assigned(addresses)),
    );
}

/// Requests with numbers of the test's own, for those that are not seen in the order of their arrival.
fn add_as(bench: &mut Bench, id: u64, container: &str, name: &str) {
    let request = Request::Add {
        key: key(container),
        pod: pod(name),
        deadline: Instant(bench.at + 90_000),
    };
    bench.event(Event::Request(RequestId(id), request));
}

fn del_as(bench: &mut Bench, id: u64, container: &str) {
    let request = Request::Del {
        key: key(container),
        deadline: Instant(bench.at + 5_000),
    };
    bench.event(Event::Request(RequestId(id), request));
}

#[test]
fn an_add_that_gets_nothing_is_answered_at_its_deadline_and_not_before() {
    let mut bench = Bench::serving(NodeSettings::default(), 0);
    let (early, late) = (
        bench.add_by("a", "web-0", bench.at + 3_000),
        bench.add_by("b", "web-1", bench.at + 90_000),
    );
    bench.pass(2_999);
    assert!(bench.replies.is_empty());
    bench.pass(1);
    let said = bench.refusal(early);
    assert!(
        said.starts_with("no address became free within 3 s; EC2 was asked to "),
        "{said}"
    );
    bench.pass(86_999);
    assert!(!bench.replies.contains_key(&late));
    bench.pass(1);
    assert!(bench.refusal(late).contains("within 90 s"));
}

#[test]
fn as_many_wait_as_addresses_can_come_before_their_deadlines_cooldowns_included() {
    let mut bench = full();
    bench.del("c0");
    bench.pass(20_000);
    bench.del("c1");
    // Cooling until 10 s and 30 s from now: a short wait can only be for the first.
    let short = bench.add_by("s", "short", bench.at + 15_000);
    let hasty = bench.add_by("h", "hasty", bench.at + 15_000);
    assert!(!bench.replies.contains_key(&short));
    assert_eq!(
        bench.refusal(hasty),
        "no address before the deadline: 7 of 9 are held by pods and 1 cool for longer than this request waits; the first is free in 30 s"
    );
    let long = bench.add("l", "long");
    assert!(!bench.replies.contains_key(&long), "the second is for it");
    let more = bench.add("m", "more");
    assert!(
        bench.refusal(more).starts_with("node limit 9: 7 addresses"),
        "{}",
        bench.refusal(more)
    );
    bench.pass(10_000);
    assert!(bench.granted(short).is_some());
    bench.pass(20_000);
    assert!(bench.granted(long).is_some());
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
}

#[test]
fn first_in_first_out_by_arrival_number_even_when_they_are_seen_in_another_order() {
    let mut bench = full();
    bench.del("c0");
    bench.pass(1);
    bench.del("c1");
    add_as(&mut bench, 102, "later", "later");
    add_as(&mut bench, 101, "earlier", "earlier");
    bench.pass(30_000 - 1);
    assert!(bench.granted(101).is_some());
    assert_eq!(bench.granted(102), None);
    bench.pass(1);
    assert!(bench.granted(102).is_some());
}

#[test]
fn who_joins_a_wait_is_served_even_when_the_first_caller_has_left() {
    let mut bench = Bench::serving(NodeSettings::default(), 0);
    let (first, joined) = (bench.add("a", "web-0"), bench.add("a", "web-0"));
    bench.abandon(first);
    assigned(&mut bench);
    assert!(bench.granted(joined).is_some());
    assert!(!bench.replies.contains_key(&first));
    assert_eq!(stats(&bench), (1, 0));
}

#[test]
fn of_two_waiting_sandboxes_of_one_pod_the_one_that_arrived_last_stays_whatever_was_seen_first() {
    let mut bench = Bench::serving(NodeSettings::default(), 0);
    add_as(&mut bench, 2, "new", "web-0");
    add_as(&mut bench, 1, "old", "web-0");
    assert_eq!(bench.refusal(1), "superseded by sandbox new");
    assigned(&mut bench);
    assert!(bench.granted(2).is_some());
}

#[test]
fn an_abandoned_waiter_is_not_demand_any_more_and_calls_on_their_way_are_not_undone() {
    let mut bench = Bench::serving(NodeSettings::default(), 0);
    let gone: Vec<_> = (0..20)
        .map(|n| bench.add(&format!("c{n}"), &format!("web-{n}")))
        .collect();
    let asked = bench.mutations().len();
    assert_eq!(asked, 3, "{:?}", bench.call_names());
    gone.iter().for_each(|id| bench.abandon(*id));
    assert_eq!(bench.node.view(bench.now().boot).waiters, 0);
    let told = bench.notices.iter().filter(
        |notice| matches!(notice, Notice::Abandoned { waiters: 0, pod, .. } if pod.name == "web-19"),
    );
    assert_eq!(told.count(), 1);
    assigned(&mut bench);
    assert_eq!(
        bench.mutations().len(),
        asked - 1,
        "nothing more is asked for"
    );
    assert!(bench.replies.is_empty());
}

#[test]
fn an_answer_that_left_and_was_not_taken_gives_its_address_back_without_cooldown() {
    let mut bench = small();
    let add = bench.add("a", "web-0");
    assert!(bench.granted(add).is_some());
    assert_eq!(stats(&bench), (1, 0));
    bench.abandon(add);
    assert_eq!(stats(&bench), (0, 0));
}

#[test]
fn an_address_that_somebody_else_was_told_stays_held_when_one_answer_is_not_taken() {
    let mut bench = small();
    let (taken, lost) = (bench.add("a", "web-0"), bench.add("a", "web-0"));
    bench.abandon(lost);
    assert_eq!(stats(&bench), (1, 0));
    bench.abandon(taken);
    assert_eq!(stats(&bench), (1, 0), "who took it can't be told apart");
}

#[test]
fn a_late_abandonment_does_not_touch_what_the_key_got_after_its_del() {
    let mut bench = small();
    let add = bench.add("a", "web-0");
    bench.del("a");
    let again = bench.add("a", "web-0");
    bench.abandon(add);
    assert!(bench.granted(again).is_some());
    assert_eq!(stats(&bench), (1, 1));
}

#[test]
fn an_add_that_arrived_before_the_del_of_its_key_is_deleted_though_it_is_seen_later() {
    let mut bench = small();
    del_as(&mut bench, 2, "a");
    assert_eq!(bench.replies[&2], Answer::UnknownPod);
    add_as(&mut bench, 1, "a", "web-0");
    assert_eq!(bench.refusal(1), "deleted while waiting for an address");
    assert_eq!(stats(&bench), (0, 0));
}

#[test]
fn a_fence_is_no_tombstone_a_new_add_of_the_key_is_legal() {
    let mut bench = small();
    del_as(&mut bench, 2, "a");
    add_as(&mut bench, 3, "a", "web-0");
    assert!(bench.granted(3).is_some());
}

#[test]
fn a_del_that_is_seen_late_takes_nothing_from_an_add_that_arrived_after_it() {
    let mut bench = small();
    add_as(&mut bench, 1, "a", "web-0");
    add_as(&mut bench, 3, "a", "web-0");
    del_as(&mut bench, 2, "a");
    assert_eq!(bench.granted(1), bench.granted(3));
    assert_eq!(bench.replies[&2], Answer::UnknownPod);
    assert_eq!(stats(&bench), (1, 0));
}

#[test]
fn a_del_is_answered_after_the_waiting_adds_that_it_ends() {
    let mut bench = Bench::serving(NodeSettings::default(), 0);
    let (one, two) = (bench.add("a", "web-0"), bench.add("a", "web-0"));
    let other = bench.add("b", "web-1");
    let del = bench.del("a");
    for add in [one, two] {
        assert_eq!(bench.refusal(add), "deleted while waiting for an address");
    }
    assert_eq!(bench.replies[&del], Answer::UnknownPod);
    assert!(!bench.replies.contains_key(&other));
}

#[test]
fn the_view_shows_how_many_wait_and_how_long_the_oldest_does() {
    let mut bench = Bench::serving(NodeSettings::default(), 0);
    let view = |bench: &Bench| {
        let view = bench.node.view(bench.now().boot);
        (view.waiters, view.oldest_wait)
    };
    assert_eq!(view(&bench), (0, None));
    let first = bench.add("a", "web-0");
    bench.pass(4_000);
    bench.add("b", "web-1");
    bench.pass(1_000);
    assert_eq!(view(&bench), (2, Some(Duration::from_secs(5))));
    bench.abandon(first);
    assert_eq!(view(&bench), (1, Some(Duration::from_secs(1))));
}

#[test]
fn a_waiter_is_told_of_once_after_ten_seconds_with_what_it_waits_for() {
    let mut bench = Bench::serving(NodeSettings::default(), 0);
    bench.add("a", "web-0");
    let told = |bench: &Bench| -> Vec<String> {
        let slow = bench.notices.iter().filter_map(|notice| match notice {
            Notice::StillWaiting {
                pod,
                waited,
                reason,
                ..
            } => Some(format!("{pod} {} {reason}", waited.as_secs())),
            _ => None,
        });
        slow.collect()
    };
    bench.pass(9_999);
    assert_eq!(told(&bench), [""; 0]);
    bench.pass(70_000);
    let told = told(&bench);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0]
            .starts_with("default/web-0 10 no address became free within 10 s; EC2 was asked to"),
        "{told:?}"
    );
}

#[test]
fn t17_after_sigterm_dels_are_served_and_nothing_is_detached_or_deleted() {
    let mut bench = Bench::new(NodeSettings::default(), ipam::boot::Restored::default());
    bench.boot(vec![record(0, 9), record(1, 9), record(2, 9)]);
    let add = bench.add("a", "web-0");
    assert!(bench.granted(add).is_some());
    bench.calls.clear();
    bench.event(Event::Shutdown);
    let del = bench.del("a");
    assert!(matches!(bench.replies[&del], Answer::Deleted(_)));
    bench.pass(600_000);
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
}

#[test]
fn t17_without_sigterm_the_same_node_would_give_enis_back() {
    let mut bench = Bench::new(NodeSettings::default(), ipam::boot::Restored::default());
    bench.boot(vec![record(0, 9), record(1, 9), record(2, 9)]);
    bench.pass(600_000);
    let detach = |call: &&Call| matches!(call, Call::DetachInterface { .. });
    assert!(
        bench.mutations().iter().any(detach),
        "{:?}",
        bench.call_names()
    );
}
