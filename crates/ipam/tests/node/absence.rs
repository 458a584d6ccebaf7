//! What proves that something is gone.

use crate::harness::{Bench, address, eni, key, mac, pod, record};
use ipam::boot::Restored;
use ipam::notice::Notice;
use model::allocation::{Allocation, BootId, Checkpoint, Extension};
use model::call::{Call, Reply, Scope};
use model::settings::{NodeSettings, WarmTargets};
use model::time::WallTime;
use std::net::Ipv4Addr;

fn attached(call: &Call) -> bool {
    matches!(call, Call::DescribeInterfaces(Scope::AttachedTo(_)))
}

/// What an earlier process of this boot left: one pod with an address.
fn held_by(container: &str, name: &str, address: Ipv4Addr) -> Restored {
    let allocation = Allocation {
        key: key(container),
        pod: pod(name),
        address,
        since: WallTime(0),
        interfaces: 1,
    };
    let boot_id = BootId("boot-1".into());
    let extension = Some(Extension {
        boot_id: boot_id.clone(),
        cooling: vec![],
    });
    let checkpoint = Some(Checkpoint {
        allocations: vec![allocation],
        extension,
    });
    Restored {
        checkpoint,
        journal: vec![],
        boot_id,
    }
}

fn two_enis() -> Bench {
    let mut bench = Bench::new(NodeSettings::default(), Restored::default());
    bench.boot(vec![record(0, 9), record(1, 9)]);
    bench
}

#[test]
fn an_eni_that_ec2_does_not_list_stays_while_its_link_is_there() {
    let mut bench = two_enis();
    bench.add("a", "web-0"); // else the second ENI would be given back as spare
    let link = format!("eni{}", pod("web-0").link_suffix(0));
    bench.links.names.insert(link);
    bench.see_links();
    bench.pass(7_200_000);
    bench.answer(attached, Ok(Reply::Interfaces(vec![record(0, 9)])));
    assert!(
        bench
            .node
            .view(bench.now().boot)
            .enis
            .iter()
            .any(|seen| seen.id == eni(1))
    );
    bench.links.macs.remove(&mac(1));
    bench.see_links();
    bench.pass(7_200_000);
    bench.answer(attached, Ok(Reply::Interfaces(vec![record(0, 9)])));
    assert!(
        !bench
            .node
            .view(bench.now().boot)
            .enis
            .iter()
            .any(|seen| seen.id == eni(1))
    );
    assert!(bench.notices.contains(&Notice::EniGone {
        eni: eni(1),
        by_us: false
    }));
}

#[test]
fn a_missing_link_alone_keeps_new_pods_off_the_eni() {
    let mut bench = two_enis();
    bench.links.macs.remove(&mac(1));
    bench.see_links();
    for n in 0..9 {
        let add = bench.add(&format!("c{n}"), &format!("web-{n}"));
        assert!(
            bench.granted(add).unwrap() < address(1, 0),
            "taken from the other ENI"
        );
    }
    let add = bench.add("c9", "web-9");
    assert_eq!(bench.granted(add), None);
    bench.links.macs.insert(mac(1));
    bench.see_links();
    assert!(bench.granted(add).is_some());
}

#[test]
fn an_address_is_lost_only_when_two_reads_a_minute_apart_lack_it() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    let add = bench.add("a", "web-0");
    let held = bench.granted(add).unwrap();
    let mut without = record(0, 9);
    without.addresses.retain(|known| known.address != held);
    bench.pass(7_200_000);
    bench.answer(attached, Ok(Reply::Interfaces(vec![without.clone()])));
    assert!(
        !bench
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::AddressLost { .. }))
    );
    bench.pass(60_000);
    bench.answer(attached, Ok(Reply::Interfaces(vec![without])));
    assert!(bench.notices.contains(&Notice::AddressLost {
        key: key("a"),
        address: held
    }));
    bench.del("a");
    bench.pass(60_000);
    let stats = bench.node.view(bench.now().boot).stats;
    assert_eq!(stats.total, 8, "it is given to nobody any more");
}

#[test]
fn a_held_address_whose_eni_is_not_listed_at_start_stays_held() {
    let restored = held_by("a", "web-0", address(1, 1));
    let mut bench = Bench::new(NodeSettings::default(), restored);
    bench.boot(vec![record(0, 9)]);
    assert!(
        bench.mutations().is_empty(),
        "the inventory only looks smaller than it is: {:?}",
        bench.call_names()
    );
    bench.links.macs.insert(mac(1));
    bench.see_links();
    bench.pass(15_000);
    bench.answer(
        attached,
        Ok(Reply::Interfaces(vec![record(0, 9), record(1, 9)])),
    );
    let again = bench.add("a", "web-0");
    assert_eq!(bench.granted(again), None, "the kernel is not ready for it");
    bench.settle_host();
    assert_eq!(bench.granted(again), Some(address(1, 1)));
    let view = bench.node.view(bench.now().boot);
    assert_eq!((view.stats.held, view.stats.total), (1, 18));
}

#[test]
fn an_allocation_whose_pod_never_had_a_link_is_swept() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    bench.add("a", "web-0");
    for _ in 0..6 {
        bench.see_links();
        bench.pass(30_000);
    }
    assert!(
        bench
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Swept { .. }))
    );
    assert_eq!(bench.node.view(bench.now().boot).stats.held, 0);
}

#[test]
fn an_address_that_is_known_to_be_lost_is_not_asked_for_again_and_again() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    let add = bench.add("a", "web-0");
    let held = bench.granted(add).unwrap();
    let mut without = record(0, 9);
    without.addresses.retain(|known| known.address != held);
    for pause in [7_200_000, 60_000, 7_200_000] {
        bench.pass(pause);
        bench.answer(attached, Ok(Reply::Interfaces(vec![without.clone()])));
    }
    bench.calls.retain(|(_, call)| !attached(call));
    bench.pass(61_000);
    let asked = bench.calls.iter().any(|(_, call)| attached(call));
    assert!(!asked, "{:?}", bench.call_names());
}

#[test]
fn nothing_is_released_while_nobody_knows_on_which_eni_a_held_address_is() {
    // The checkpoint names an address that EC2's first, older answer doesn't list yet: any ENI may be its.
    let restored = held_by("a", "web-0", address(1, 9));
    let targets = WarmTargets {
        warm_ip: 1,
        ..WarmTargets::default()
    };
    let settings = NodeSettings {
        targets,
        ..NodeSettings::default()
    };
    let mut bench = Bench::new(settings, restored);
    bench.boot(vec![record(0, 9), record(1, 2), record(2, 2)]);
    let link = format!("eni{}", pod("web-0").link_suffix(0));
    bench.links.names.insert(link);
    for _ in 0..3 {
        bench.see_links();
        bench.pass(20_000);
    }
    bench.pass(10_000);
    assert!(
        bench.mutations().is_empty(),
        "60 s old spare ENIs are left alone: {:?}",
        bench.call_names()
    );
}

#[test]
fn an_eni_whose_tags_show_late_is_managed_from_then_on() {
    let settings = NodeSettings {
        manage_untagged: false,
        ..NodeSettings::default()
    };
    let tagged = record(1, 9);
    let mut bare = tagged.clone();
    bare.tags.clear();
    let mut bench = Bench::new(settings, Restored::default());
    bench.boot(vec![record(0, 9), bare]);
    let total = |bench: &Bench| bench.node.view(bench.now().boot).stats.total;
    assert_eq!(total(&bench), 9);
    bench.pass(7_200_000);
    bench.answer(attached, Ok(Reply::Interfaces(vec![record(0, 9), tagged])));
    assert_eq!(total(&bench), 18);
}
