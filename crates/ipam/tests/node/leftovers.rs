//! What a DEL leaves in the kernel that was cut short: rules without a route, for an address without a holder.

use crate::harness::{Bench, address, pod, record};
use ipam::boot::Restored;
use ipam::effect::Answer;
use model::settings::NodeSettings;
use std::net::Ipv4Addr;

/// A node whose pod `a` holds an address, with the rules of both.
fn ruled() -> (Bench, Ipv4Addr) {
    let mut bench = Bench::new(NodeSettings::default(), Restored::default());
    bench.boot(vec![record(0, 2)]);
    let request = bench.add("a", "web-0");
    let Some(Answer::Added(grant)) = bench.replies.get(&request) else {
        panic!("{:?}", bench.replies)
    };
    let held = grant.address;
    let other = if held == address(0, 1) {
        address(0, 2)
    } else {
        address(0, 1)
    };
    bench
        .links
        .names
        .insert(format!("eni{}", pod("web-0").link_suffix(0)));
    bench.links.ruled = [held, other].into();
    bench.see_links();
    (bench, other)
}

fn leftovers(bench: &Bench) -> Vec<Ipv4Addr> {
    bench.host.as_ref().expect("it serves").1.leftovers.clone()
}

#[test]
fn rules_of_an_address_without_holder_or_route_are_to_go_and_those_of_a_holder_stay() {
    let (mut bench, other) = ruled();
    assert_eq!(leftovers(&bench), [other]);
    bench.links.routed.insert(other, "eni0123456789a".into());
    bench.see_links();
    assert_eq!(
        leftovers(&bench),
        [Ipv4Addr::UNSPECIFIED; 0],
        "somebody has it"
    );
}

#[test]
fn an_address_whose_rules_are_to_go_is_given_to_nobody_before_they_are_gone() {
    let (mut bench, other) = ruled();
    assert_eq!(bench.node.view(bench.now().boot).stats.assignable, 0);
    bench.links.ruled.remove(&other);
    bench.see_links();
    assert_eq!(leftovers(&bench), [Ipv4Addr::UNSPECIFIED; 0]);
    bench.pass(5_001);
    assert_eq!(bench.node.view(bench.now().boot).stats.assignable, 1);
}

#[test]
fn an_address_of_somebody_else_is_not_touched() {
    let (mut bench, _) = ruled();
    bench.links.ruled = [Ipv4Addr::new(192, 0, 2, 7)].into();
    bench.see_links();
    assert_eq!(leftovers(&bench), [Ipv4Addr::UNSPECIFIED; 0]);
}
