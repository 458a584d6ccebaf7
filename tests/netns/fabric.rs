//! The laboratory itself: what it drops, answers and cleans up decides what every other test can find.

use e2e::binaries;
use e2e::evidence::Evidence;
use e2e::expect::{eventually, when};
use e2e::kernel::Inside;
use e2e::stage::Stage;
use e2e::traffic::{delivered, does_not_reach, reaches};
use lab::fabric::counters::Reason;
use lab::ping::Ping;
use lab::vpc::{Answer, CreateInterface, Request, Rule, Source};
use model::card::{DeviceIndex, NetworkCard};
use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(20);

fn dropped(stage: &Stage, from: Ipv4Addr, to: Ipv4Addr, reason: Reason) -> u64 {
    stage
        .counters()
        .dropped
        .get(&(from, to, reason))
        .copied()
        .unwrap_or_default()
}

#[test]
fn a_packet_that_leaves_by_the_wrong_eni_is_dropped_and_counted() {
    let stage = Stage::two("netns/fabric-source", "t3.nano");
    let _daemons = [0, 1].map(|node| stage.daemon(node, &[]));
    let (_first, second, far) = (stage.pod(0, "a"), stage.pod(0, "b"), stage.pod(1, "c"));
    reaches(&second, far.address, 1);
    let from = second.address.to_string();
    stage
        .node(0)
        .ip(&["rule", "del", "from", &from, "lookup", "2"])
        .unwrap();
    does_not_reach(&second, far.address);
    assert_eq!(
        dropped(
            &stage,
            second.address,
            far.address,
            Reason::SourceNotAssigned
        ),
        1
    );
    stage
        .node(0)
        .ip(&[
            "rule", "add", "from", &from, "lookup", "2", "priority", "1536",
        ])
        .unwrap();
    reaches(&second, far.address, 1);
    assert_eq!(delivered(&stage, second.address, far.address).requests, 2);
}

#[test]
fn a_packet_that_no_security_group_allows_is_dropped_and_counted() {
    let stage = Stage::two("netns/fabric-group", "t3.nano");
    let _daemons = [0, 1].map(|node| stage.daemon(node, &[]));
    let (near, far) = (stage.pod(0, "a"), stage.pod(1, "b"));
    let members = Rule {
        protocol: None,
        ports: None,
        source: Source::Group(stage.group().clone()),
    };
    let (group, rules) = (stage.group().clone(), vec![members]);
    stage
        .request(Request::RevokeSecurityGroupIngress {
            group: group.clone(),
            rules: rules.clone(),
        })
        .unwrap();
    does_not_reach(&near, far.address);
    assert_eq!(
        dropped(&stage, near.address, far.address, Reason::DeniedByGroup),
        1
    );
    stage
        .request(Request::AuthorizeSecurityGroupIngress { group, rules })
        .unwrap();
    reaches(&near, far.address, 1);
}

#[test]
fn arp_is_answered_for_the_router_and_for_the_owner_of_an_address() {
    let stage = Stage::new("netns/fabric-arp", |scene| {
        scene.node("m5.large", "a").node("m5.large", "a")
    });
    let [near, far] = [0, 1].map(|index| stage.nodes()[index].lease.address);
    for target in [far, Ipv4Addr::new(10, 0, 1, 1)] {
        assert!(
            stage.ping(0, Ping::to(target, 1)).unwrap().all_arrived(),
            "{near} -> {target}"
        );
    }
    let neighbours = stage.node(0).lines(&["-4", "neigh", "show", "dev", "ens5"]);
    let is_at = |address: &str, mac: &str| {
        let start = format!("{address} lladdr {mac} ");
        neighbours.iter().any(|line| line.starts_with(&start))
    };
    assert!(
        is_at("10.0.1.1", &lab::fabric::switch::ROUTER_MAC.to_string()),
        "{neighbours:?}"
    );
    assert!(
        is_at(&far.to_string(), &stage.enis(1)[0].mac.to_string()),
        "{neighbours:?}"
    );
}

#[test]
fn a_link_appears_when_an_eni_is_attached_and_goes_when_it_is_detached() {
    let stage = Stage::one("netns/fabric-attach", "m5.large");
    let subnet = stage.subnet("a").unwrap().clone();
    let Ok(Answer::Interface(made)) = stage.request(Request::CreateNetworkInterface(
        CreateInterface::in_subnet(subnet),
    )) else {
        panic!("no ENI");
    };
    let (eni, mac) = (made.interface.id, made.interface.mac.to_string());
    let instance = stage.nodes()[0].instance.clone();
    let (index, card) = (DeviceIndex(1), NetworkCard(0));
    let Ok(Answer::Attached { attachment, .. }) = stage.request(Request::AttachNetworkInterface {
        eni,
        instance,
        index,
        card,
    }) else {
        panic!("not attached");
    };
    let shows = |link: &str| {
        stage
            .node(0)
            .lines(&["-o", "link"])
            .iter()
            .any(|line| line.contains(link))
    };
    let named = ": ens6: ";
    eventually("the link appears", WAIT, || {
        when(shows(&mac) && shows(named), |seen| *seen)
    });
    stage
        .request(Request::DetachNetworkInterface {
            attachment,
            force: false,
        })
        .unwrap();
    eventually("the link goes", WAIT, || when(shows(&mac), |seen| !*seen));
}

#[test]
fn two_labs_with_the_same_addresses_do_not_see_each_other() {
    let stages =
        ["netns/fabric-lab-1", "netns/fabric-lab-2"].map(|name| Stage::two(name, "m5.large"));
    let address = |stage: &Stage, index: usize| stage.nodes()[index].lease.address;
    let far = address(&stages[0], 1);
    assert_eq!(far, address(&stages[1], 1));
    assert!(stages[0].ping(0, Ping::to(far, 3)).unwrap().all_arrived());
    assert_eq!(
        delivered(&stages[0], address(&stages[0], 0), far).requests,
        3
    );
    assert!(stages[1].counters().echoes.is_empty());
}

/// What a lab could leave on the machine: links, processes and mounts that name its folder.
fn traces(folder: &Path) -> Vec<String> {
    let needle = folder.display().to_string();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut found: Vec<String> = mounts
        .lines()
        .filter(|line| line.contains(&needle))
        .map(str::to_owned)
        .collect();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&needle) {
            found.push(line);
        }
    }
    found
}

fn machine_links() -> BTreeSet<String> {
    let said = lab::command::run(&["ip", "-o", "link"], "").unwrap();
    said.lines()
        .filter_map(|line| Some(line.split(": ").nth(1)?.to_owned()))
        .collect()
}

#[test]
fn a_killed_lab_leaves_nothing_that_the_next_one_does_not_remove() {
    let evidence = Evidence::of("netns/fabric-killed");
    let folder = evidence.folder().to_owned();
    let lab = |arguments: &[&str]| {
        // Its folders are below the directory for temporary files.
        let ran = Command::new(binaries::vpc_lab())
            .args(arguments)
            .env("TMPDIR", &folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(
            ran.status.success(),
            "vpc-lab {arguments:?}: {said}{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        said
    };
    let before = machine_links();
    let said = lab(&["up", "--name", "killed"]);
    for shown in [
        "public 192.0.2.10",
        "internet",
        "peer",
        "premises",
        "203.0.113.0/24",
    ] {
        assert!(said.contains(shown), "{shown}: {said}");
    }
    let process = said
        .split("(process ")
        .nth(1)
        .unwrap()
        .split(')')
        .next()
        .unwrap()
        .to_owned();
    assert!(
        !traces(&folder).is_empty(),
        "the nodes' processes name their folder"
    );
    lab::command::run(&["kill", "-9", &process], "").unwrap();
    eventually("processes and mounts are gone", WAIT, || {
        when(traces(&folder), Vec::is_empty)
    });
    let new: Vec<_> = machine_links().difference(&before).cloned().collect();
    assert!(new.is_empty(), "{new:?}");
    // A process that was killed has no command line any more while it still closes its devices.
    eventually("no lab is up", WAIT, || {
        when(lab(&["status"]), |said| said.contains("no lab is up"))
    });
    let left = || {
        fs::read_dir(folder.join("vpc-lab"))
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .count()
    };
    assert_eq!(left(), 1);
    assert!(lab(&["down", "--name", "killed"]).contains("removed what a dead lab left"));
    assert_eq!(left(), 0);
}
