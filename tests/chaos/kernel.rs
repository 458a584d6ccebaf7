//! T-09: the daemon is killed before and after each change it makes to the kernel's network, from its first start to a
//! second ENI with a pod.

use crate::files::{VARIABLES, give_the_primary_its_address, life};
use crate::home::{Reset, launch, log};
use e2e::kill::{Cut, Kind, SOCKETS, ordinals, record};
use e2e::stage::Stage;
use std::collections::BTreeSet;
use std::fs;

/// Requests that change something; the others only look.
fn changes_the_network(line: &str) -> bool {
    line.contains("<NETLINK") && (line.contains("RTM_NEW") || line.contains("RTM_SET"))
}

#[test]
fn t09_killed_around_every_change_of_the_kernels_network_it_loses_and_doubles_nothing() {
    let stage = Stage::one("chaos/kernel", "t3.nano");
    give_the_primary_its_address(&stage);
    let fresh = Reset::to_now(&stage);
    let trace = log(&stage, "record");
    let daemon = stage.launch_under(0, &record(SOCKETS, &[], &trace), VARIABLES);
    assert_eq!(life(&stage, daemon), 0);
    let changes = ordinals(&fs::read_to_string(trace).unwrap(), changes_the_network);
    // The request after a change is the first thing that happens after it.
    let around = changes
        .iter()
        .flat_map(|(call, nth)| [(call.clone(), *nth), (call.clone(), nth + 1)]);
    let mut kills = 0;
    for (call, nth) in around.collect::<BTreeSet<_>>() {
        let kind = Kind { call, path: None };
        let cut = Cut { kind, nth };
        eprintln!("{cut}");
        fresh.again(&stage);
        kills += life(&stage, launch(&stage, 0, VARIABLES, &cut));
    }
    // The node's own rule and link; the ENI's link; its routes and rule.
    assert!(
        changes.len() >= 2 && kills >= changes.len(),
        "{kills} kills: {changes:?}"
    );
}
