//! ADD: what the runtime is told, and that packets then arrive wherever pods are.

use crate::raw;
use e2e::kernel::Inside;
use e2e::stage::{PLUGIN, Stage, conflist_text, spec};
use e2e::traffic::{delivered, reaches};
use lab::fabric::counters::Reason;
use lab::runtime::PLUGINS;
use lab::runtime::conflist::Conflist;
use lab::runtime::invocation::{Call, Running};
use lab::runtime::pod::Pod;
use lab::runtime::sandbox::DelWith;
use std::path::Path;

/// What upstream prints up to 0.4.0, and from 1.0.0 on.
const MIDDLE: &str = r#"{
    "cniVersion": "VERSION",
    "interfaces": [
        {
            "name": "eniHASH"
        },
        {
            "name": "eth0",
            "mac": "TABLE",
            "sandbox": "NETNS"
        },
        {
            "name": "dummyHASH",
            "mac": "0",
            "sandbox": "DEVICE"
        }
    ],
    "ips": [
        {
            "version": "4",
            "interface": 1,
            "address": "ADDRESS/32"
        }
    ],
    "dns": {}
}"#;
const SORTED: &str = r#"{
    "cniVersion": "VERSION",
    "interfaces": [
        {
            "name": "eniHASH"
        },
        {
            "mac": "TABLE",
            "name": "eth0",
            "sandbox": "NETNS"
        },
        {
            "mac": "0",
            "name": "dummyHASH",
            "sandbox": "DEVICE"
        }
    ],
    "ips": [
        {
            "address": "ADDRESS/32",
            "interface": 1
        }
    ]
}"#;

#[test]
fn the_result_is_upstreams_in_every_version_on_either_eni() {
    // A t3.small has room for three pods on each ENI: the fourth one is on the second.
    let stage = Stage::one("netns/results", "t3.small");
    let _daemon = stage.daemon(0, &[]);
    let cases = [
        ("0.3.1", MIDDLE, "254", "0"),
        ("0.4.0", MIDDLE, "254", "0"),
        ("1.0.0", SORTED, "254", "0"),
        ("1.1.0", SORTED, "2", "1"),
    ];
    for (number, (version, golden, table, device)) in cases.into_iter().enumerate() {
        let name = format!("web-{number}");
        let mut sandbox = stage.sandbox(0, &name, version);
        let call = stage.add(&mut sandbox);
        assert!(call.succeeded(), "{}", call.failure());
        let ec2 = &stage.enis(0)[device.parse::<usize>().unwrap()];
        let text = call.json().unwrap()["ips"][0]["address"]
            .as_str()
            .unwrap()
            .to_owned();
        let address = text.trim_end_matches("/32");
        assert!(
            ec2.has(address.parse().unwrap()),
            "{address} is on device {device}"
        );
        let hash = model::pod::PodName {
            namespace: "default".into(),
            name,
        }
        .link_suffix(0);
        let expected = golden
            .replace("VERSION", version)
            .replace("HASH", &hash)
            .replace("TABLE", table)
            .replace("DEVICE", device)
            .replace("NETNS", sandbox.netns())
            .replace("ADDRESS", address);
        assert_eq!(call.stdout, expected, "{version}");
    }
}

#[test]
fn pods_reach_each_other_on_the_node_across_nodes_and_across_enis_as_the_fabric_counts() {
    let stage = Stage::two("netns/packets", "t3.nano");
    let _daemons = [0, 1].map(|node| stage.daemon(node, &[]));
    // One on each ENI of each node.
    let places = [(0, "a"), (0, "b"), (1, "c"), (1, "d")];
    let pods: Vec<(usize, Pod<'_>)> = places
        .map(|(node, name)| (node, stage.pod(node, name)))
        .into();
    for (from, to) in ordered_pairs(&pods) {
        reaches(&from.1, to.1.address, 3);
    }
    for (from, to) in ordered_pairs(&pods) {
        let there = delivered(&stage, from.1.address, to.1.address);
        let expected = if from.0 == to.0 { 0 } else { 3 };
        let name = format!("{} -> {}", from.1.address, to.1.address);
        assert_eq!(
            (there.requests, there.replies),
            (expected, expected),
            "{name}"
        );
    }
    for index in [0, 1] {
        for eni in stage.enis(index) {
            let counted = stage.counters().enis[&eni.id].clone();
            // Two requests and two replies of three echoes each, to either pod of the other node. The kernel's own
            // IPv6 solicitations are nothing that a VPC without IPv6 delivers.
            let lost: Vec<_> = counted
                .drops
                .keys()
                .filter(|reason| **reason != Reason::NotIpv4)
                .collect();
            assert!(
                counted.tx_packets >= 12 && lost.is_empty(),
                "{} {counted:?}",
                eni.id
            );
        }
    }
    assert!(
        stage.counters().dropped.is_empty(),
        "{:?}",
        stage.counters().dropped
    );
    pods.into_iter().for_each(|(_, pod)| stage.stop(pod));
}

fn ordered_pairs<T>(all: &[T]) -> impl Iterator<Item = (&T, &T)> {
    let others = move |from: usize| all.iter().enumerate().filter(move |(to, _)| *to != from);
    all.iter()
        .enumerate()
        .flat_map(move |(n, from)| others(n).map(move |(_, to)| (from, to)))
}

#[test]
fn the_same_add_again_in_any_order_of_arguments_converges_to_the_same_pod() {
    let stage = Stage::one("netns/again", "m5.large");
    let daemon = stage.daemon(0, &[]);
    let (mut sandbox, other) = (stage.sandbox(0, "web-0", "1.0.0"), stage.pod(0, "web-1"));
    let node = stage.node(0);
    let first = stage.add(&mut sandbox);
    assert!(first.succeeded(), "{}", first.failure());
    // Two pods want a second ENI, which must not come between the looks.
    stage.settle(0, &daemon, 2);
    let (rules, routes) = (node.rules(), node.routes("all"));
    let list = Conflist::parse(&conflist_text("1.0.0")).unwrap();
    let address = first.json().unwrap()["ips"][0]["address"]
        .as_str()
        .unwrap()
        .trim_end_matches("/32")
        .parse()
        .unwrap();
    for turn in 0..5 {
        let again = Call {
            verb: "ADD",
            program: Path::new(PLUGINS).join(PLUGIN),
            container: sandbox.container().to_owned(),
            netns: sandbox.netns().to_owned(),
            pod: spec("web-0"),
            turn,
            stdin: list.stdin(PLUGIN, None),
        };
        let call = again.start(node).and_then(Running::finish).unwrap();
        assert_eq!(call.stdout, first.stdout, "{}", call.failure());
        assert_eq!(
            (node.rules(), node.routes("all")),
            (rules.clone(), routes.clone())
        );
        reaches(&other, address, 1);
    }
    assert!(stage.del(&mut sandbox, DelWith::Netns).succeeded());
}

#[test]
fn the_first_packets_to_and_from_a_new_pod_arrive() {
    let stage = Stage::one("netns/first-packet", "m5.large");
    let _daemon = stage.daemon(0, &[("IP_COOLDOWN_PERIOD", "0")]);
    let other = stage.pod(0, "other");
    // A link that is up may still drop for a moment, when the kernel is busy: many pods show what one shows at times.
    for round in 0..20 {
        let pod = stage.pod(0, "new");
        let (from, to) = if round % 2 == 0 {
            (&pod, &other)
        } else {
            (&other, &pod)
        };
        reaches(from, to.address, 1);
        stage.stop(pod);
    }
}

#[test]
fn a_number_or_a_text_may_be_the_mtu() {
    let stage = Stage::one("netns/mtu", "m5.large");
    let _daemon = stage.daemon(0, &[]);
    for (name, mtu, expected) in [
        ("web-0", serde_json::json!(1400), "1400"),
        ("web-1", "1500".into(), "1500"),
    ] {
        let sandbox = stage.sandbox(0, name, "1.0.0");
        let mut config = raw::config();
        config["mtu"] = mtu;
        let mut environment = raw::environment(sandbox.netns());
        for (variable, value) in &mut environment {
            match variable.as_str() {
                "CNI_CONTAINERID" => *value = sandbox.container().to_owned(),
                "CNI_ARGS" => *value = format!("K8S_POD_NAMESPACE=default;K8S_POD_NAME={name}"),
                _ => {}
            }
        }
        let call = raw::call(&stage, &environment, &config.to_string());
        let link = call.json().unwrap()["interfaces"][0]["name"]
            .as_str()
            .unwrap()
            .to_owned();
        let shown = stage
            .node(0)
            .lines(&["-o", "link", "show", "dev", &link])
            .concat();
        assert!(shown.contains(&format!("mtu {expected} ")), "{shown}");
    }
}
