//! Start-up: what is waited for, what is taken over, what is resolved first.

use crate::harness::{Bench, address, eni, key, mac, metadata, pod, record, refused, unattached};
use ipam::boot::Restored;
use ipam::effect::Answer;
use ipam::event::{Event, Outcome};
use ipam::notice::Notice;
use model::allocation::{Allocation, BootId, Checkpoint, Cooling, Extension};
use model::call::{Call, Reply, Scope};
use model::intent::Intent;
use model::settings::NodeSettings;
use model::time::{Instant, WallTime};

fn boot_id() -> BootId {
    BootId("boot-1".into())
}

fn allocation(container: &str, k: u8) -> Allocation {
    Allocation {
        key: key(container),
        pod: pod(container),
        address: address(0, k),
        since: WallTime(0),
        interfaces: 1,
    }
}

fn checkpoint(extension: Option<Extension>) -> Option<Checkpoint> {
    Some(Checkpoint {
        allocations: vec![allocation("a", 1), allocation("b", 2)],
        extension,
    })
}

fn ours(boot: &str) -> Option<Extension> {
    Some(Extension {
        boot_id: BootId(boot.into()),
        cooling: vec![Cooling {
            address: address(0, 3),
            until: Instant(1_019_000),
        }],
    })
}

#[test]
fn requests_that_come_early_wait_and_an_early_del_releases_what_was_restored() {
    let restored = Restored {
        checkpoint: checkpoint(ours("boot-1")),
        journal: vec![],
        boot_id: boot_id(),
    };
    let mut bench = Bench::new(NodeSettings::default(), restored);
    let add = bench.add("c", "c");
    let del = bench.del("a");
    assert!(
        matches!(&bench.replies[&del], Answer::Deleted(grant) if grant.address == address(0, 1))
    );
    assert!(!bench.replies.contains_key(&add));
    bench.boot(vec![record(0, 9)]);
    assert_eq!(
        bench.granted(add),
        Some(address(0, 4)),
        "1 cools, 2 is held, 3 cools"
    );
}

#[test]
fn a_restart_keeps_holders_and_cooldowns() {
    let restored = Restored {
        checkpoint: checkpoint(ours("boot-1")),
        journal: vec![],
        boot_id: boot_id(),
    };
    let mut bench = Bench::new(
        NodeSettings {
            max_enis: Some(1),
            ..NodeSettings::default()
        },
        restored,
    );
    bench.boot(vec![record(0, 3)]);
    let again = bench.add("a", "a");
    assert_eq!(bench.granted(again), Some(address(0, 1)));
    let add = bench.add("c", "c");
    bench.pass(18_000);
    assert_eq!(bench.granted(add), None);
    bench.pass(1_001);
    assert_eq!(bench.granted(add), Some(address(0, 3)));
}

#[test]
fn t20_what_an_earlier_boot_wrote_is_void_allocations_and_cooldowns() {
    let restored = Restored {
        checkpoint: checkpoint(ours("boot-0")),
        journal: vec![],
        boot_id: boot_id(),
    };
    let mut bench = Bench::new(NodeSettings::default(), restored);
    bench.boot(vec![record(0, 9)]);
    let stats = bench.node.view(bench.now().boot).stats;
    assert_eq!((stats.held, stats.cooling), (0, 0));
    assert!(
        bench
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Dropped { .. }))
    );
}

#[test]
fn what_upstream_wrote_is_judged_by_the_host_links() {
    let restored = Restored {
        checkpoint: checkpoint(None),
        journal: vec![],
        boot_id: boot_id(),
    };
    let mut bench = Bench::new(NodeSettings::default(), restored);
    bench
        .links
        .names
        .insert(format!("eni{}", pod("b").link_suffix(0)));
    bench.boot(vec![record(0, 9)]);
    let held: Vec<_> = [bench.del("a"), bench.del("b")]
        .map(|del| matches!(bench.replies[&del], Answer::Deleted(_)))
        .to_vec();
    assert_eq!(held, [false, true]);
}

#[test]
fn an_address_that_a_link_still_routes_is_given_to_nobody_until_the_link_is_gone() {
    let mut bench = Bench::new(
        NodeSettings {
            max_enis: Some(1),
            ..NodeSettings::default()
        },
        Restored::default(),
    );
    bench
        .links
        .routed
        .insert(address(0, 1), "enib5faff8a083".into());
    bench.boot(vec![record(0, 2)]);
    let (first, second) = (bench.add("a", "a"), bench.add("b", "b"));
    assert_eq!(bench.granted(first), Some(address(0, 2)));
    assert_eq!(bench.granted(second), None);
    bench.links.routed.clear();
    let third = bench.add("b", "b");
    bench.see_links();
    bench.pass(31_000);
    assert_eq!(bench.granted(third), Some(address(0, 1)));
}

#[test]
fn what_start_up_lacks_is_named_and_tried_again() {
    let mut bench = Bench::new(NodeSettings::default(), Restored::default());
    let add = bench.add_by("a", "a", bench.at + 2_000);
    let op = bench.imds.pop().unwrap();
    bench.event(Event::Done(
        op,
        Outcome::Imds(Err("GET /latest/meta-data/mac: 404".into())),
    ));
    assert!(
        bench
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Waiting { what, .. } if what.contains("/mac")))
    );
    bench.pass(3_000);
    assert!(
        bench
            .refusal(add)
            .contains("GET /latest/meta-data/mac: 404"),
        "{}",
        bench.refusal(add)
    );
    assert_eq!(bench.imds.len(), 1, "it is read again");
    let op = bench.imds.pop().unwrap();
    bench.event(Event::Done(op, Outcome::Imds(Ok(Box::new(metadata())))));
    bench.answer(
        |call| matches!(call, Call::DescribeSubnets { .. }),
        refused("UnauthorizedOperation"),
    );
    assert!(bench.notices.iter().any(
        |notice| matches!(notice, Notice::Waiting { what, .. } if what.contains("DescribeSubnets"))
    ));
    bench.pass(20_000);
    assert!(
        bench
            .call_names()
            .iter()
            .any(|name| name.contains("subnets")),
        "{:?}",
        bench.call_names()
    );
}

#[test]
fn an_open_create_is_repeated_word_for_word_and_a_replayed_answer_never_gives_the_primary_away() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    bench.add("a", "web-0");
    let Call::CreateInterface(create) = bench.mutations()[0].clone() else {
        panic!("{:?}", bench.call_names())
    };
    let journal = vec![Intent {
        number: 4,
        call: Call::CreateInterface(create.clone()),
    }];
    let mut bench = Bench::new(
        NodeSettings::default(),
        Restored {
            journal,
            boot_id: boot_id(),
            checkpoint: None,
        },
    );
    bench.boot(vec![record(0, 9)]);
    assert_eq!(bench.mutations(), [&Call::CreateInterface(create)]);
    bench.answer(Call::mutating, Ok(Reply::Created(unattached(1, 9))));
    assert!(matches!(bench.mutations()[0], Call::AttachInterface { .. }));
    assert_eq!(
        bench.node.view(bench.now().boot).stats.total,
        18,
        "nine each, no primary"
    );
}

#[test]
fn an_eni_named_by_an_open_attach_is_looked_at_and_never_taken_for_an_orphan() {
    let attach = Call::AttachInterface {
        eni: eni(1),
        instance: "i-1".parse().unwrap(),
        index: model::card::DeviceIndex(1),
        card: model::card::NetworkCard(0),
    };
    let journal = vec![Intent {
        number: 0,
        call: attach.clone(),
    }];
    let mut bench = Bench::new(
        NodeSettings::default(),
        Restored {
            journal,
            boot_id: boot_id(),
            checkpoint: None,
        },
    );
    bench.boot(vec![record(0, 9)]);
    for _ in 0..3 {
        let made = |call: &Call| matches!(call, Call::DescribeInterfaces(Scope::MadeFor(_)));
        if bench.calls.iter().any(|(_, call)| made(call)) {
            bench.answer(made, Ok(Reply::Interfaces(vec![unattached(1, 9)])));
        }
        bench.pass(61_000);
        assert!(
            !bench
                .mutations()
                .iter()
                .any(|call| matches!(call, Call::DeleteInterface { .. })),
            "{:?}",
            bench.call_names()
        );
    }
    bench.answer(
        |call| matches!(call, Call::DescribeInterfaces(Scope::Ids(_))),
        Ok(Reply::Interfaces(vec![unattached(1, 9)])),
    );
    assert!(
        bench.mutations().contains(&&attach),
        "not attached: the call is repeated"
    );
    bench.links.macs.insert(mac(1));
}

#[test]
fn an_unattached_eni_that_nobody_knows_is_deleted_only_when_seen_twice_a_minute_apart() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    let made = |call: &Call| matches!(call, Call::DescribeInterfaces(Scope::MadeFor(_)));
    bench.pass(75_000);
    bench.answer(
        made,
        Ok(Reply::Interfaces(vec![record(0, 9), unattached(1, 9)])),
    );
    assert!(bench.mutations().is_empty());
    bench.pass(60_000);
    bench.answer(
        made,
        Ok(Reply::Interfaces(vec![record(0, 9), unattached(1, 9)])),
    );
    assert_eq!(bench.mutations(), [&Call::DeleteInterface { eni: eni(1) }]);
}

#[test]
fn an_open_release_is_not_repeated_and_what_it_names_comes_back_only_when_it_is_still_listed_later()
{
    let release = Call::UnassignAddresses {
        eni: eni(0),
        addresses: vec![address(0, 4), address(0, 5)],
    };
    let restored = Restored {
        checkpoint: checkpoint(ours("boot-1")),
        journal: vec![Intent {
            number: 0,
            call: release,
        }],
        boot_id: boot_id(),
    };
    let mut bench = Bench::new(
        NodeSettings {
            max_enis: Some(1),
            ..NodeSettings::default()
        },
        restored,
    );
    bench.boot(vec![record(0, 9)]);
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
    assert_eq!(bench.node.view(bench.now().boot).stats.total, 7);
    bench.pass(60_000);
    let mut listed = record(0, 9);
    listed
        .addresses
        .retain(|known| known.address != address(0, 5));
    bench.answer(
        |call| matches!(call, Call::DescribeInterfaces(Scope::Ids(_))),
        Ok(Reply::Interfaces(vec![listed])),
    );
    let view = bench.node.view(bench.now().boot);
    assert_eq!(
        (view.stats.total, view.open_intents),
        (8, 1),
        "{:?}",
        bench.call_names()
    );
}

#[test]
fn after_a_reboot_listed_addresses_rest_until_a_later_read_confirms_them() {
    let mut bench = Bench::starting(20_000, NodeSettings::default(), Restored::default());
    bench.boot(vec![record(0, 9), record(1, 9), record(2, 9)]);
    let add = bench.add("a", "a");
    assert_eq!(
        bench.granted(add),
        None,
        "it may have been released a moment before the reboot"
    );
    bench.pass(41_000);
    let mut listed = record(0, 9);
    listed
        .addresses
        .retain(|known| known.address != address(0, 1));
    bench.answer(
        |call| matches!(call, Call::DescribeInterfaces(Scope::AttachedTo(_))),
        Ok(Reply::Interfaces(vec![listed, record(1, 9), record(2, 9)])),
    );
    bench.pass(15_000);
    assert!(
        bench
            .granted(add)
            .is_some_and(|given| given != address(0, 1))
    );
    assert_eq!(bench.node.view(bench.now().boot).stats.total, 26);
}

#[test]
fn an_eni_that_was_being_detached_gives_nothing_while_nothing_may_be_sent() {
    let detach = Call::DetachInterface {
        eni: eni(1),
        attachment: "eni-attach-1".parse().unwrap(),
    };
    for (held, total) in [(None, 1), (Some(address(1, 2)), 4)] {
        let mut restored = Restored {
            checkpoint: checkpoint(ours("boot-1")),
            journal: vec![Intent {
                number: 5,
                call: detach.clone(),
            }],
            boot_id: boot_id(),
        };
        let allocations = &mut restored.checkpoint.as_mut().unwrap().allocations;
        allocations.truncate(usize::from(held.is_some()));
        for (allocation, address) in allocations.iter_mut().zip(held) {
            allocation.address = address;
        }
        let settings = NodeSettings {
            provisioning: false,
            ..NodeSettings::default()
        };
        let mut bench = Bench::new(settings, restored);
        bench.boot(vec![record(0, 1), record(1, 3)]);
        let stats = bench.node.view(bench.now().boot).stats;
        assert_eq!(stats.total, total, "held: {held:?}");
        assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
    }
}
