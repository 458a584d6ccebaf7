//! What makes the node ask EC2 again, and how seldom it does otherwise; what it does with what others took away.

use crate::harness::{Bench, address, eni, key, mac, metadata, record};
use ipam::boot::Restored;
use ipam::event::{Event, Outcome};
use ipam::notice::Notice;
use model::allocation::{BootId, Checkpoint, Cooling, Extension};
use model::call::{Call, Reply, Scope};
use model::eni::{EniKind, EniStatus};
use model::imds::ImdsInterface;
use model::settings::{NodeSettings, WarmTargets};
use model::time::Instant;

fn attached(call: &Call) -> bool {
    matches!(call, Call::DescribeInterfaces(Scope::AttachedTo(_)))
}

fn reads(bench: &Bench) -> usize {
    let read = |call: &&Call| !call.mutating();
    bench
        .calls
        .iter()
        .map(|(_, call)| call)
        .filter(read)
        .count()
}

/// Answers every read of IMDS with the primary ENI and so many of its addresses.
fn say(bench: &mut Bench, listed: u8) {
    let mut said = metadata();
    said.interfaces = vec![ImdsInterface {
        mac: mac(0),
        id: Some(eni(0)),
        index: None,
        card: model::card::NetworkCard(0),
        subnet_cidr: None,
        addresses: (0..=listed).map(|k| address(0, k)).collect(),
    }];
    for op in std::mem::take(&mut bench.imds) {
        bench.event(Event::Done(op, Outcome::Imds(Ok(Box::new(said.clone())))));
    }
}

/// A quiet node two minutes after its start: no warm ENI, everything read that is read at start.
fn quiet() -> Bench {
    let targets = WarmTargets {
        warm_eni: 0,
        ..WarmTargets::default()
    };
    let settings = NodeSettings {
        targets,
        ..NodeSettings::default()
    };
    let mut bench = Bench::serving(settings, 9);
    bench.pass(120_000);
    bench.calls.clear();
    say(&mut bench, 9);
    bench
}

#[test]
fn t14_an_hour_of_nothing_costs_at_most_one_read_of_ec2() {
    let mut bench = quiet();
    for _ in 0..60 {
        bench.pass(60_000);
        say(&mut bench, 9);
    }
    assert!(reads(&bench) <= 1, "{:?}", bench.call_names());
}

#[test]
fn t18_what_imds_hides_is_asked_of_ec2_and_nothing_is_believed() {
    let mut bench = quiet();
    let add = bench.add("a", "web-0");
    let held = bench.granted(add);
    bench.pass(61_000);
    say(&mut bench, 0);
    bench.pass(1_000);
    assert_eq!(reads(&bench), 1, "{:?}", bench.call_names());
    bench.answer(attached, Ok(Reply::Interfaces(vec![record(0, 9)])));
    for _ in 0..30 {
        bench.pass(60_000);
        say(&mut bench, 0);
    }
    assert!(reads(&bench) <= 3, "more and more rarely");
    assert!(bench.mutations().is_empty());
    let again = bench.add("a", "web-0");
    assert_eq!(bench.granted(again), held);
    assert_eq!(bench.node.view(bench.now().boot).stats.total, 9);
}

#[test]
fn t12_restart_inside_a_cooldown_does_not_give_the_address_before_its_original_deadline() {
    let boot_id = BootId("boot-1".into());
    let until = Instant(1_020_000);
    let extension = Some(Extension {
        boot_id: boot_id.clone(),
        cooling: (1..=9)
            .map(|k| Cooling {
                address: address(0, k),
                until,
            })
            .collect(),
    });
    let checkpoint = Some(Checkpoint {
        allocations: vec![],
        extension,
    });
    let restored = Restored {
        checkpoint,
        journal: vec![],
        boot_id,
    };
    let mut bench = Bench::new(NodeSettings::default(), restored);
    bench.boot(vec![record(0, 9)]);
    let add = bench.add("a", "web-0");
    bench.pass(19_999);
    assert_eq!(bench.granted(add), None, "it rests");
    bench.pass(1);
    assert!(bench.granted(add).is_some(), "its time has come");
}

#[test]
fn addresses_are_given_back_only_when_the_file_no_longer_gives_them_to_anybody() {
    let targets = WarmTargets {
        warm_ip: 2,
        ..WarmTargets::default()
    };
    let settings = NodeSettings {
        targets,
        ..NodeSettings::default()
    };
    let mut bench = Bench::serving(settings, 2);
    bench.disk_works = false;
    let add = bench.add("a", "web-0");
    bench.abandon(add);
    bench.pass(60_000);
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
}

#[test]
fn a_held_back_answer_with_an_address_that_was_lost_is_never_sent() {
    let mut bench = Bench::new(NodeSettings::default(), Restored::default());
    bench.boot(vec![record(0, 0), record(1, 9)]);
    bench.pass(120_000);
    bench.calls.clear();
    bench.disk_works = false;
    let add = bench.add("a", "web-0");
    assert_eq!(bench.granted(add), None, "the write is not done");
    bench.links.macs.remove(&mac(1));
    bench.see_links();
    bench.pass(31_000);
    bench.answer(attached, Ok(Reply::Interfaces(vec![record(0, 0)])));
    let lost = Notice::AddressLost {
        key: key("a"),
        address: address(1, 1),
    };
    assert!(bench.notices.contains(&lost), "{:?}", bench.notices);
    bench.disk_works = true;
    bench.write(Ok(()));
    assert_eq!(bench.granted(add), None);
}

#[test]
fn an_efa_that_somebody_takes_off_is_not_deleted() {
    let mut bench = Bench::new(NodeSettings::default(), Restored::default());
    let mut efa = record(1, 9);
    efa.kind = EniKind::Efa;
    bench.boot(vec![record(0, 9), efa.clone()]);
    efa.status = EniStatus::Detaching;
    bench.pass(7_200_000);
    bench.answer(attached, Ok(Reply::Interfaces(vec![record(0, 9), efa])));
    bench.pass(5_000);
    let deleted = |call: &&Call| matches!(call, Call::DeleteInterface { .. });
    assert_eq!(bench.mutations().into_iter().find(deleted), None);
}
