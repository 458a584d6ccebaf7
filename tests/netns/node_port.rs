//! Connections to an address of the node's that a Service leads elsewhere: whatever is behind it, the answer leaves by
//! the ENI that the question came in by, with the address that was asked. The fabric drops what leaves by another.

use e2e::daemon::PATIENCE;
use e2e::expect::{eventually, when};
use e2e::filter::{Filter, Handles, TABLE};
use e2e::stage::Stage;
use lab::node::Node;
use lab::ping::Ping;
use std::net::Ipv4Addr;
use std::time::Duration;

/// What kube-proxy does with a Service: the first packet of a flow to `asked` goes to `behind`, and for backends on other
/// nodes (`externalTrafficPolicy: Cluster`) with the node's address.
fn lead(node: &Node, asked: Ipv4Addr, behind: Ipv4Addr, masquerade: bool) {
    let masquerade = if masquerade { "masquerade" } else { "accept" };
    node.nft_script(&format!(
        "table ip proxy
        delete table ip proxy
        table ip proxy {{
            chain pre {{ type nat hook prerouting priority dstnat; ip daddr {asked} icmp type echo-request dnat to {behind}; }}
            chain post {{ type nat hook postrouting priority srcnat; ip daddr {behind} ct status dnat {masquerade}; }}
        }}"
    ));
}

/// How many of three echoes from the second node are answered.
fn answered(stage: &Stage, asked: Ipv4Addr, patience: Duration) -> u16 {
    let question = Ping {
        timeout: patience,
        ..Ping::to(asked, 3)
    };
    stage.ping(1, question).unwrap().received
}

#[track_caller]
fn mark_of(flow: &str) -> u32 {
    let mark = flow
        .split_whitespace()
        .find_map(|word| word.strip_prefix("mark="));
    mark.unwrap_or_else(|| panic!("{flow}")).parse().unwrap()
}

#[track_caller]
fn ready(node: &Node, words: &str) {
    eventually(&format!("the table has {words:?}"), PATIENCE, || {
        let table = node.table(TABLE, Handles::Hidden).unwrap_or_default();
        when(table, |table| table.contains(words))
    });
}

/// What upstream leaves behind, as `nft` shows it: it wipes packets' marks before the daemon's rules.
const UPSTREAM: &str = "
table ip mangle {
	chain PREROUTING { type filter hook prerouting priority mangle; iifname \"ens5\" fib daddr . iif type local ct mark set ct mark or 0x80; iifname \"eni*\" meta mark set ct mark and 0x80; }
}
table ip aws-cni {
	chain nat-prerouting { type nat hook prerouting priority dstnat + 10; fib daddr type local return; iifname \"eni*\" jump snat-mark; meta mark set ct mark & 0x80; }
	chain snat-mark { ip daddr 10.0.0.0/16 return; ct mark set ct mark | 0x80; }
}
";

fn every_backend(test: &str, beside: &str) {
    let stage = Stage::two(test, "t3.nano");
    let (daemon, other) = (stage.daemon(0, &[]), stage.daemon(1, &[]));
    let (first, second) = (stage.pod(0, "web-0"), stage.pod(0, "web-1"));
    let far = stage.pod(1, "far");
    stage.settle(0, &daemon, 2);
    stage.settle(1, &other, 2);
    let node = stage.node(0);
    ready(node, "\"ens6\"");
    node.nft_script(beside);
    let enis = stage.enis(0);
    let [p, s] = [&enis[0], &enis[1]].map(|eni| eni.primary().unwrap());
    // Upstream's also marks what other nodes answer to the primary address.
    let theirs = if beside.is_empty() { 0 } else { 0x80 };
    for (asked, mark) in [(p, 0x80 & !theirs), (s, 0x08)] {
        for (what, behind, masquerade) in [
            ("a pod on the primary ENI", first.address, false),
            ("a pod on the second ENI", second.address, false),
            ("a pod with the node's address", first.address, true),
            ("a pod in the node's network", p, false),
            ("a pod on another node", far.address, true),
        ] {
            lead(node, asked, behind, masquerade);
            let answers = answered(&stage, asked, PATIENCE);
            assert_eq!(answers, 3, "{asked} leads to {what}");
            for flow in node.connections_to(asked) {
                assert_eq!(mark_of(&flow) & !theirs, mark, "{what}: {flow}");
            }
        }
    }
}

#[test]
fn t28_answers_of_every_backend_leave_by_the_eni_that_was_asked() {
    every_backend("netns/node-port", "");
}

#[test]
fn t28_answers_leave_by_the_eni_that_was_asked_beside_upstreams_rules() {
    every_backend("netns/node-port-beside", UPSTREAM);
}

#[test]
fn t28_without_marks_of_their_own_other_enis_are_not_answered_for_and_the_primary_is() {
    let stage = Stage::two("netns/node-port-off", "t3.nano");
    let daemon = stage.daemon(0, &[("ENI_MARK", "0")]);
    let (first, second) = (stage.pod(0, "web-0"), stage.pod(0, "web-1"));
    stage.settle(0, &daemon, 2);
    let node = stage.node(0);
    ready(node, "chain departures");
    let enis = stage.enis(0);
    let [p, s] = [&enis[0], &enis[1]].map(|eni| eni.primary().unwrap());
    lead(node, s, first.address, false);
    assert_eq!(answered(&stage, s, Duration::from_millis(300)), 0);
    lead(node, p, second.address, false);
    assert_eq!(answered(&stage, p, PATIENCE), 3);
}

#[test]
fn t28_without_node_port_support_the_primary_is_not_answered_for_either() {
    let stage = Stage::two("netns/node-port-none", "t3.nano");
    let daemon = stage.daemon(0, &[("AWS_VPC_CNI_NODE_PORT_SUPPORT", "false")]);
    let (_first, second) = (stage.pod(0, "web-0"), stage.pod(0, "web-1"));
    stage.settle(0, &daemon, 2);
    let node = stage.node(0);
    ready(node, "chain departures");
    let p = stage.enis(0)[0].primary().unwrap();
    lead(node, p, second.address, false);
    assert_eq!(answered(&stage, p, Duration::from_millis(300)), 0);
}
