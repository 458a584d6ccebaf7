//! Allocations whose DEL never comes: what proves that a pod is gone, and who waits for its address.

use crate::harness::{Bench, full, pod, record, restarted, small, stats};
use ipam::notice::Notice;

/// Links as they are when every allocation but those of `without` has its own.
fn link(bench: &mut Bench, names: &[&str]) {
    for name in names {
        let suffix = pod(name).link_suffix(0);
        bench.links.names.insert(format!("eni{suffix}"));
    }
}

#[test]
fn without_any_del_an_address_cools_after_two_looks_and_the_loss_is_counted_and_named() {
    let mut bench = small();
    let (lost, kept) = (bench.add("a", "web-0"), bench.add("b", "web-1"));
    let address = bench.granted(lost).unwrap();
    link(&mut bench, &["web-0", "web-1"]);
    bench.see_links();
    bench.pass(200_000);
    bench.links.names.clear();
    link(&mut bench, &["web-1"]);
    bench.see_links();
    bench.pass(9_999);
    bench.see_links();
    assert_eq!(stats(&bench), (2, 0), "one look is no proof");
    bench.pass(1);
    bench.see_links();
    assert_eq!(stats(&bench), (1, 1));
    assert_eq!(bench.node.view(bench.now().boot).swept, 1);
    let named = bench.notices.iter().any(|notice| {
        matches!(notice, Notice::Swept { pod, address: swept, .. } if pod.name == "web-0" && *swept == address)
    });
    assert!(named, "{:?}", bench.notices);
    assert!(bench.granted(kept).is_some());
}

#[test]
fn an_add_at_the_limit_waits_for_addresses_whose_del_never_came() {
    let mut bench = full();
    let names: Vec<_> = (0..9).map(|n| format!("web-{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    link(&mut bench, &names);
    bench.see_links();
    bench.pass(200_000);
    let refused = bench.add("x", "x");
    assert!(bench.refusal(refused).starts_with("node limit 9"));
    bench.links.names.clear();
    link(&mut bench, &names[1..]);
    bench.see_links();
    let (waits, more) = (bench.add("y", "y"), bench.add("z", "z"));
    assert!(!bench.replies.contains_key(&waits));
    assert!(bench.refusal(more).starts_with("node limit 9"));
    bench.pass(30_000);
    bench.see_links();
    bench.pass(30_000);
    assert!(bench.granted(waits).is_some());
}

#[test]
fn an_add_that_waits_for_a_lost_pod_is_refused_when_the_link_is_there_after_all() {
    let mut bench = full();
    link(&mut bench, &["web-1", "web-2", "web-3", "web-4"]);
    link(&mut bench, &["web-5", "web-6", "web-7", "web-8"]);
    bench.pass(200_000);
    bench.see_links();
    let waits = bench.add("y", "y");
    assert!(!bench.replies.contains_key(&waits));
    bench.pass(5_000);
    link(&mut bench, &["web-0"]);
    bench.see_links();
    assert!(bench.refusal(waits).starts_with("node limit 9"));
}

#[test]
fn of_two_sandboxes_with_one_link_the_newer_keeps_its_address_and_the_older_is_swept() {
    let mut bench = small();
    let (old, new) = (bench.add("one", "web-0"), bench.add("two", "web-0"));
    let (old, new) = (bench.granted(old).unwrap(), bench.granted(new).unwrap());
    assert_ne!(old, new);
    link(&mut bench, &["web-0"]);
    let name = bench.links.names.first().unwrap().clone();
    bench.links.routed.insert(new, name);
    bench.pass(200_000);
    bench.see_links();
    bench.pass(10_000);
    bench.see_links();
    assert_eq!(stats(&bench), (1, 1));
    let again = bench.add("two", "web-0");
    assert_eq!(bench.granted(again), Some(new));
    let swept: Vec<_> = bench
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Swept { address, .. } => Some(*address),
            _ => None,
        })
        .collect();
    assert_eq!(swept, [old]);
}

#[test]
fn a_link_without_its_route_is_never_a_reason_to_release() {
    let mut bench = small();
    bench.add("a", "web-0");
    link(&mut bench, &["web-0"]);
    for _ in 0..20 {
        bench.see_links();
        bench.pass(30_000);
    }
    assert_eq!(stats(&bench), (1, 0));
}

#[test]
fn after_a_restart_an_answer_of_the_earlier_process_protects_its_address_as_if_it_had_just_been_given()
 {
    let mut bench = small();
    let add = bench.add("a", "web-0");
    let held = bench.granted(add).unwrap();
    let mut next = restarted(&bench, 1);
    next.boot(vec![record(0, 9)]);
    for at in [10_000, 139_999] {
        next.pass(at);
        next.see_links();
    }
    assert_eq!(stats(&next), (1, 0));
    next.pass(1);
    next.see_links();
    assert_eq!(stats(&next), (0, 1), "{held} had no link for all that time");
}
