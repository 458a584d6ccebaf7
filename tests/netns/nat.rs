//! The daemon's table of the packet filter: what is in it, that it is written once, comes back and follows the settings;
//! and what becomes of a flow that a pod opens. Answers to NodePorts have a module of their own.

use e2e::daemon::{Daemon, PATIENCE};
use e2e::expect::{eventually, when};
use e2e::filter::{Filter, Handles, TABLE};
use e2e::kernel::Inside;
use e2e::stage::Stage;
use e2e::traffic::{does_not_reach, reaches};
use lab::fabric::counters::Reason;
use lab::node::Node;
use lab::runtime::pod::Pod;
use lab::vpc::{Interface, Request};
use std::net::Ipv4Addr;

/// No VPC has it; nobody answers.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
pub(crate) const AS_DESIRED: &str = "table of the packet filter is as desired";
pub(crate) const WRITTEN: &str = "table of the packet filter is written";

fn primary(eni: &Interface) -> Ipv4Addr {
    eni.primary().unwrap()
}

/// One on each of two ENIs: a t3.nano has two, with one address for pods each.
pub(crate) fn pods(stage: &Stage) -> [Pod<'_>; 2] {
    ["web-0", "web-1"].map(|name| stage.pod(0, name))
}

/// Waits until the daemon's table has these words, and returns it.
#[track_caller]
pub(crate) fn table_with(node: &Node, words: &str) -> String {
    eventually(&format!("the table has {words:?}"), PATIENCE, || {
        let table = node.table(TABLE, Handles::Hidden).unwrap_or_default();
        when(table, |table| table.contains(words))
    })
}

/// Starts a daemon over a table that is there, with two ENIs; waits until it has compared.
#[track_caller]
fn successor(stage: &Stage, variables: &[(&str, &str)]) -> Daemon {
    let daemon = stage.daemon(0, variables);
    stage.settle(0, &daemon, 2);
    eventually("the daemon has looked at its table", PATIENCE, || {
        let looks = daemon.lines(AS_DESIRED).len() + daemon.lines(WRITTEN).len();
        when(looks, |looks| *looks > 0)
    });
    daemon
}

/// Tables that others made, with the numbers of their rules.
const FOREIGN: &str = "\
table ip kube-proxy { chain services { type nat hook prerouting priority dstnat; ip daddr 172.20.0.1 dnat to 10.0.1.99; }; }
table ip aws-cni { chain nat-prerouting { type nat hook prerouting priority -90; fib daddr type local return; }; }
table ip nat { chain AWS-SNAT-CHAIN-0 { ip daddr 10.0.0.0/16 counter return; }; }
";

fn foreign(node: &Node) -> Vec<Option<String>> {
    let names = ["kube-proxy", "aws-cni", "nat"];
    names.map(|name| node.table(name, Handles::Shown)).into()
}

#[test]
fn the_table_is_as_well_known_and_a_second_run_of_the_daemon_makes_no_transaction() {
    let stage = Stage::one("netns/nat-golden", "t3.nano");
    let (vpc, node) = (stage.enis(0)[0].vpc.clone(), stage.node(0));
    stage
        .request(Request::AssociateVpcCidrBlock {
            vpc,
            cidr: "100.64.0.0/16".parse().unwrap(),
        })
        .unwrap();
    node.nft_script(FOREIGN);
    let before = foreign(node);
    let daemon = stage.daemon(
        0,
        &[("AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS", "172.16.0.0/12")],
    );
    let _pods = pods(&stage);
    stage.settle(0, &daemon, 2);
    let p = primary(&stage.enis(0)[0]);
    let golden = format!(
        "table ip aws-vpc-node {{
	set direct {{
		type ipv4_addr
		flags interval
		elements = {{ 10.0.0.0/16, 100.64.0.0/16,
			     172.16.0.0/12 }}
	}}

	chain entrances {{
		iifname \"ens5\" ct mark set ct mark | 0x00000080
		iifname \"ens6\" ct mark set ct mark & 0xffffff8f | 0x00000008
	}}

	chain arrivals {{
		type filter hook prerouting priority -150; policy accept;
		ct state 0x8 ct direction 0 fib daddr . iif type 2 jump entrances
	}}

	chain pods {{
		ct state 0x8 ct direction 0 ip daddr != @direct fib daddr type != 2 ct mark set ct mark | 0x00000080
		ct mark & 0x00000080 == 0x00000080 meta mark set meta mark | 0x00000080
		ct mark & 0x00000080 != 0x00000080 meta mark & 0x00000080 != 0x00000000 meta mark set meta mark & 0xffffff7f
	}}

	chain returns {{
		ct mark & 0x00000078 == 0x00000008 meta mark set meta mark & 0xffffff8f | 0x00000008
	}}

	chain answers {{
		type route hook output priority -150; policy accept;
		ct direction 1 ct mark & 0x00000078 != 0x00000000 jump returns
	}}

	chain routing {{
		type filter hook prerouting priority 0; policy accept;
		ct direction 1 ct mark & 0x00000078 != 0x00000000 jump returns
		iifname \"eni*\" jump pods
	}}

	chain departures {{
		type nat hook postrouting priority 100; policy accept;
		iifname \"eni*\" ip daddr != @direct snat to {p} fully-random
	}}
}}
"
    );
    assert_eq!(table_with(node, "\"ens6\""), golden);
    assert_eq!(foreign(node), before, "other tables were touched");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(
        node.table(TABLE, Handles::Hidden),
        Some(golden),
        "pods run without a daemon"
    );
    let (generation, rules) = (node.generation(), node.rules());
    for _ in 0..2 {
        let variables = [("AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS", "172.31.0.1/12")];
        let daemon = successor(&stage, &variables);
        assert_eq!(daemon.lines(WRITTEN).len(), 0);
        daemon.kill();
        assert_eq!(node.generation(), generation);
    }
    assert_eq!(node.rules(), rules);
    assert_eq!(foreign(node), before);
}

#[test]
fn a_table_that_is_removed_or_changed_comes_back() {
    let stage = Stage::one("netns/nat-repair", "t3.nano");
    let (daemon, node) = (stage.daemon(0, &[]), stage.node(0));
    let _pods = pods(&stage);
    stage.settle(0, &daemon, 2);
    let table = table_with(node, "\"ens6\"");
    let damage: [&[&str]; 5] = [
        &["flush", "ruleset"],
        &["flush", "chain", "ip", TABLE, "departures"],
        &["add", "rule", "ip", TABLE, "pods", "drop"],
        &["add", "element", "ip", TABLE, "direct", "{ 192.0.2.0/24 }"],
        &["add", "table", "ip", TABLE, "{ flags dormant; }"],
    ];
    for command in damage {
        node.nft(command).unwrap();
        eventually(&format!("the table after {command:?}"), PATIENCE, || {
            let seen = node.table(TABLE, Handles::Hidden);
            when(seen, |seen| seen.as_deref() == Some(&table))
        });
    }
}

#[test]
fn settings_that_change_are_one_transaction_and_what_is_not_configured_goes() {
    let stage = Stage::one("netns/nat-settings", "t3.nano");
    let node = stage.node(0);
    let p = primary(&stage.enis(0)[0]);
    let daemon = stage.daemon(
        0,
        &[("AWS_EXTERNAL_SERVICE_CIDRS", "100.64.0.0/10,x,10.9.0.0/16")],
    );
    let _pods = pods(&stage);
    stage.settle(0, &daemon, 2);
    table_with(node, "\"ens6\"");
    let services = |rules: &[String]| {
        rules
            .iter()
            .filter(|rule| rule.starts_with("1535:"))
            .count()
    };
    assert_eq!(services(&node.rules()), 2);
    daemon.kill();
    for (variables, words) in [
        (
            &[("AWS_VPC_K8S_CNI_RANDOMIZESNAT", "hashrandom")][..],
            format!("snat to {p} random"),
        ),
        (
            &[("AWS_VPC_K8S_CNI_RANDOMIZESNAT", "none")][..],
            format!("snat to {p}\n"),
        ),
        (
            &[("AWS_VPC_K8S_CNI_CONNMARK", "0x200000")][..],
            "ct mark | 0x00200000".to_owned(),
        ),
        (
            &[("ENI_MARK", "0xf0000")][..],
            "ct mark & 0xfff1ffff | 0x00010000".to_owned(),
        ),
        (
            &[("AWS_VPC_K8S_CNI_EXTERNALSNAT", "true")][..],
            "chain entrances".to_owned(),
        ),
        (
            &[("AWS_VPC_CNI_NODE_PORT_SUPPORT", "false")][..],
            "snat to".to_owned(),
        ),
    ] {
        let before = node.generation();
        let daemon = successor(&stage, variables);
        let table = table_with(node, &words);
        assert_eq!(node.generation(), before + 1, "{variables:?}");
        assert_eq!(
            table.contains("snat to"),
            !variables[0].0.contains("EXTERNAL")
        );
        assert_eq!(
            table.contains("entrances"),
            !variables[0].0.contains("NODE_PORT")
        );
        daemon.kill();
    }
    let rules = node.rules();
    assert_eq!(services(&rules), 0, "{rules:?}");
    assert!(
        !rules.iter().any(|rule| rule.starts_with("1025:")),
        "{rules:?}"
    );
    let marked = |rules: &[String]| rules.iter().any(|rule| rule.contains("fwmark 0x80/0x80"));
    assert!(marked(&rules), "{rules:?}");
    let nothing = [
        ("AWS_VPC_CNI_NODE_PORT_SUPPORT", "false"),
        ("AWS_VPC_K8S_CNI_EXTERNALSNAT", "true"),
    ];
    let before = node.generation();
    let _daemon = stage.daemon(0, &nothing);
    eventually("the table is gone", PATIENCE, || {
        when(node.table(TABLE, Handles::Hidden), Option::is_none)
    });
    assert_eq!(node.generation(), before + 1);
    eventually("no rule is left", PATIENCE, || {
        when(node.rules(), |rules| !marked(rules))
    });
}

#[test]
fn t28_pods_of_both_enis_leave_the_vpc_by_the_primary_eni_with_the_nodes_address() {
    let stage = Stage::two("netns/nat-out", "t3.nano");
    let (daemon, _far) = (stage.daemon(0, &[]), stage.daemon(1, &[]));
    let pods = pods(&stage);
    stage.settle(0, &daemon, 2);
    let node = stage.node(0);
    table_with(node, "\"ens6\"");
    let p = primary(&stage.enis(0)[0]);
    let lost = |source| {
        stage
            .counters()
            .dropped
            .get(&(source, OUTSIDE, Reason::NoSuchDestination))
            .copied()
    };
    for (pod, count) in pods.iter().zip(1..) {
        does_not_reach(pod, OUTSIDE);
        // It left by the primary ENI: by another the fabric would have named the source as the reason.
        eventually("the fabric has seen it", PATIENCE, || {
            when(lost(p), |seen| *seen == Some(count))
        });
        assert_eq!(lost(pod.address), None, "{}", pod.address);
        let flows = node.connections_to(OUTSIDE);
        let its = format!("src={} ", pod.address);
        let flow = flows.iter().find(|flow| flow.contains(&its)).unwrap();
        assert!(flow.contains(&format!("src={OUTSIDE} dst={p} ")), "{flow}");
        assert!(flow.contains(" mark=128 "), "{flow}");
    }
    let far = stage.pod(1, "far");
    for pod in &pods {
        reaches(pod, far.address, 1);
        reaches(&far, pod.address, 1);
    }
    let inside = [
        node.connections_to(far.address),
        node.connections_to(pods[1].address),
    ]
    .concat();
    assert!(inside.len() >= 3, "{inside:?}");
    assert!(
        inside.iter().all(|flow| flow.contains(" mark=0 ")),
        "{inside:?}"
    );
}

#[test]
fn t28_with_external_snat_pods_leave_by_their_own_eni_with_their_own_address() {
    let stage = Stage::one("netns/nat-external", "t3.nano");
    let daemon = stage.daemon(0, &[("AWS_VPC_K8S_CNI_EXTERNALSNAT", "true")]);
    let pods = pods(&stage);
    stage.settle(0, &daemon, 2);
    table_with(stage.node(0), "\"ens6\"");
    for pod in &pods {
        does_not_reach(pod, OUTSIDE);
        let pair = (pod.address, OUTSIDE, Reason::NoSuchDestination);
        eventually("the fabric has seen it", PATIENCE, || {
            when(stage.counters().dropped.get(&pair).copied(), |seen| {
                *seen == Some(1)
            })
        });
    }
    let flows = stage.node(0).connections_to(OUTSIDE);
    assert!(
        flows.iter().all(|flow| flow.contains(" mark=0 ")),
        "{flows:?}"
    );
}

/// Marks everything before and after the daemon's rules, and counts what leaves with which mark.
const MARKER: &str = "
table ip marker {
	chain first { type filter hook prerouting priority -160; ct mark set ct mark | 0xabc5ff07; meta mark set meta mark | 0xffffff07; }
	chain last { type filter hook forward priority 10; ip daddr 192.0.2.7 jump seen; }
	chain seen { meta mark 0xffffff87 counter; meta mark != 0xffffff87 counter; }
}
";

#[test]
fn t27_other_programs_bits_of_packets_and_connections_are_left_alone() {
    let stage = Stage::one("netns/nat-marks", "t3.nano");
    let (daemon, node) = (stage.daemon(0, &[]), stage.node(0));
    let pods = pods(&stage);
    stage.settle(0, &daemon, 2);
    table_with(node, "\"ens6\"");
    node.nft_script(MARKER);
    for pod in &pods {
        does_not_reach(pod, OUTSIDE);
    }
    let seen = node.table("marker", Handles::Hidden).unwrap();
    assert!(
        seen.contains("meta mark 0xffffff87 counter packets 2 "),
        "{seen}"
    );
    assert!(
        seen.contains("meta mark != 0xffffff87 counter packets 0 "),
        "{seen}"
    );
    let flows = node.connections_to(OUTSIDE);
    let mark = format!(" mark={} ", 0xabc5_ff87_u32);
    assert_eq!(flows.len(), 2);
    assert!(flows.iter().all(|flow| flow.contains(&mark)), "{flows:?}");
}
