//! Two sandboxes of one pod share the name of the host link: what the older one leaves and what the newer one keeps.

use e2e::kernel::{Inside, naming};
use e2e::stage::Stage;
use e2e::traffic::{reaches, undisturbed};
use lab::node::Node;
use lab::runtime::sandbox::DelWith;
use serde_json::Value;
use std::fs;

/// How the three DELs of the older sandbox come.
#[derive(Debug, Clone, Copy)]
enum Del {
    /// With its namespace.
    Netns,
    /// Without CNI_NETNS: the namespace has gone.
    Nothing,
    /// While no daemon runs.
    Down,
}

/// Addresses that the checkpoint says are held, and those that cool.
fn ledger(stage: &Stage) -> (Vec<String>, Vec<String>) {
    let path = stage.node(0).root().join("run/aws-node/ipam.json");
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let texts = |list: &Value, key: &str| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|entry| entry[key].as_str().unwrap().to_owned())
            .collect()
    };
    (
        texts(&file["allocations"], "ipv4"),
        texts(&file["extension"]["cooling"], "ipv4"),
    )
}

/// Rules and routes of all tables that name an address.
fn traces(node: &Node, address: &str) -> Vec<String> {
    let mut lines = node.rules();
    lines.extend(node.routes("all"));
    naming(&lines, address).into_iter().cloned().collect()
}

/// Sandbox 2 of `default/web-0` is added before sandbox 1 is deleted three times, in this order, while pod 2 talks.
fn replaced(test: &str, dels: [Del; 3]) {
    let stage = Stage::two(test, "t3.small");
    let (daemon, other) = (stage.daemon(0, &[]), stage.daemon(1, &[]));
    let (near, far) = (stage.pod(0, "near"), stage.pod(1, "far"));
    stage.settle(0, &daemon, 2);
    stage.settle(1, &other, 2);
    let mut one = stage.sandbox(0, "web-0", "0.4.0");
    let added = stage.add(&mut one);
    assert!(added.succeeded(), "{}", added.failure());
    let result = one.result().unwrap();
    let first = result["ips"][0]["address"].as_str().unwrap();
    let first = first.trim_end_matches("/32").to_owned();
    let two = stage.pod(0, "web-0");
    let (node, second) = (stage.node(0), two.address.to_string());
    assert_ne!(first, second);
    let (links, kept) = (node.links(), traces(node, &second));
    assert!(!kept.is_empty());

    let mut daemon = Some(daemon);
    let pairs = [
        (&two, far.address),
        (&far, two.address),
        (&two, near.address),
        (&near, two.address),
    ];
    let mut removed = false;
    let ((), echoes) = undisturbed(&pairs, || {
        for del in dels {
            let with = match del {
                Del::Nothing if !removed => {
                    one.remove_netns().unwrap();
                    removed = true;
                    DelWith::Nothing
                }
                _ if removed => DelWith::Nothing,
                Del::Netns | Del::Nothing | Del::Down => DelWith::Netns,
            };
            if let Del::Down = del
                && let Some(daemon) = daemon.take()
            {
                daemon.kill();
            }
            let call = stage.del(&mut one, with);
            assert!(call.succeeded(), "{del:?}: {}", call.failure());
            if daemon.is_none() {
                daemon = Some(stage.daemon(0, &[]));
            }
        }
    });
    assert!(echoes > 8, "{echoes}");
    assert_eq!(
        traces(node, &first),
        [""; 0],
        "nothing of address 1 is left"
    );
    assert_eq!(node.links(), links, "pod 2 has its link");
    assert_eq!(
        traces(node, &second),
        kept,
        "pod 2 has its rules and routes"
    );
    let (held, cooling) = ledger(&stage);
    assert!(held.contains(&second) && !held.contains(&first), "{held:?}");
    assert_eq!(cooling, [first]);
    reaches(&two, far.address, 3);
}

#[test]
fn t19_dels_of_the_older_sandbox_leave_the_newer_one_its_traffic() {
    replaced("netns/sandboxes-up", [Del::Netns, Del::Nothing, Del::Down]);
}

#[test]
fn t19_the_same_when_the_first_of_them_meets_no_daemon() {
    replaced(
        "netns/sandboxes-down",
        [Del::Down, Del::Netns, Del::Nothing],
    );
}
