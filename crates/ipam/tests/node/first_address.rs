//! Whether the node has had an address for pods, and what the first one waits for: before it no runtime is told of us.

use crate::harness::{Bench, refused, restarted};
use model::call::Call;
use model::settings::NodeSettings;

fn lacks(bench: &Bench) -> Option<String> {
    bench.node.lacks_address(bench.now().boot)
}

fn assigns(call: &Call) -> bool {
    matches!(call, Call::AssignAddresses { .. })
}

#[test]
fn t07_the_first_address_is_missed_until_it_is_there_and_what_keeps_it_away_is_named() {
    let mut bench = Bench::serving(NodeSettings::default(), 0);
    assert!(bench.node.is_serving());
    let what = "a first address for pods";
    assert_eq!(lacks(&bench).as_deref(), Some(what));
    // Fewer are asked for until one is refused too.
    while bench.calls.iter().any(|(_, call)| assigns(call)) {
        bench.answer(assigns, refused("InsufficientFreeAddressesInSubnet"));
    }
    let why = "EC2 AssignPrivateIpAddresses: refused by EC2: InsufficientFreeAddressesInSubnet: as the test says";
    assert_eq!(lacks(&bench), Some(format!("{what}: {why}")));
}

#[test]
fn an_address_that_a_pod_holds_is_one_even_when_ec2_has_not_told_of_it_yet() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    assert_eq!(lacks(&bench), None);
    bench.add("c", "web");
    let again = restarted(&bench, 1000);
    assert!(!again.node.is_serving());
    assert_eq!(lacks(&again), None);
    let fresh = restarted(&Bench::serving(NodeSettings::default(), 9), 1000);
    assert!(
        lacks(&fresh).is_some(),
        "nobody holds any, and EC2 has not told"
    );
}
