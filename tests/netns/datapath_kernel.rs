//! What wiring does to a kernel that is not as it should be: leftovers, damage, two sandboxes of one pod.

use e2e::kernel::{Inside, naming};
use e2e::stage::Stage;
use e2e::traffic::reaches;
use lab::runtime::sandbox::{DelWith, Sandbox};
use std::net::Ipv4Addr;

fn address(sandbox: &Sandbox<'_>) -> Ipv4Addr {
    let text = sandbox.result().unwrap()["ips"][0]["address"]
        .as_str()
        .unwrap();
    text.trim_end_matches("/32").parse().unwrap()
}

#[track_caller]
fn add(stage: &Stage, sandbox: &mut Sandbox<'_>) {
    let call = stage.add(sandbox);
    assert!(call.succeeded(), "{}", call.failure());
}

#[test]
fn an_add_repairs_what_is_missing_and_removes_the_rules_of_a_former_holder() {
    let stage = Stage::one("netns/kernel-repair", "t3.nano");
    let daemon = stage.daemon(0, &[]);
    let (first, mut sandbox) = (stage.pod(0, "web-0"), stage.sandbox(0, "web-1", "1.0.0"));
    add(&stage, &mut sandbox);
    stage.settle(0, &daemon, 2);
    let node = stage.node(0);
    let (rules, routes, ip) = (
        node.rules(),
        node.routes("all"),
        address(&sandbox).to_string(),
    );
    let damage: [&[&str]; 5] = [
        &[
            "rule", "add", "from", &ip, "lookup", "7", "priority", "1536",
        ],
        &[
            "rule", "add", "from", &ip, "lookup", "9", "priority", "1536",
        ],
        &["rule", "del", "from", &ip, "lookup", "2"],
        &["rule", "del", "to", &ip, "lookup", "main"],
        &["route", "del", &ip],
    ];
    for command in damage {
        node.ip(command).unwrap();
    }
    assert_ne!(node.rules(), rules);
    add(&stage, &mut sandbox);
    assert_eq!((node.rules(), node.routes("all")), (rules, routes));
    reaches(&first, address(&sandbox), 3);
}

#[test]
fn the_older_of_two_sandboxes_of_a_pod_goes_without_harming_the_newer() {
    let stage = Stage::one("netns/kernel-two", "m5.large");
    let _daemon = stage.daemon(0, &[]);
    let node = stage.node(0);
    let (other, rules) = (stage.pod(0, "other"), node.rules());
    let (mut old, mut new) = (
        stage.sandbox(0, "web-0", "0.4.0"),
        stage.sandbox(0, "web-0", "0.4.0"),
    );
    add(&stage, &mut old);
    add(&stage, &mut new);
    let (old_address, new_address) = (address(&old), address(&new));
    assert_ne!(old_address, new_address);
    reaches(&other, new_address, 3);
    assert!(stage.del(&mut old, DelWith::Netns).succeeded());
    old.remove_netns().unwrap();
    assert!(stage.del(&mut old, DelWith::Nothing).succeeded());
    reaches(&other, new_address, 3);
    assert!(naming(&node.rules(), &old_address.to_string()).is_empty());
    assert!(stage.del(&mut new, DelWith::Netns).succeeded());
    let without_enis = |rules: Vec<String>| -> Vec<String> {
        rules
            .into_iter()
            .filter(|rule| !rule.starts_with("32765:") && !rule.starts_with("1025:"))
            .collect()
    };
    assert_eq!(without_enis(node.rules()), without_enis(rules));
}
