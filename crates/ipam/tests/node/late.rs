//! Calls that are carried out late and describes that lag: what the simulator found, one by one.

use crate::harness::{Bench, address, eni, mac, record, refused, unattached, unknown};
use ipam::effect::FileContent;
use model::call::{Call, Reply, Scope};
use model::eni::EniStatus;
use model::settings::{NodeSettings, WarmTargets};

fn attached(call: &Call) -> bool {
    matches!(call, Call::DescribeInterfaces(Scope::AttachedTo(_)))
}

fn made(call: &Call) -> bool {
    matches!(call, Call::DescribeInterfaces(Scope::MadeFor(_)))
}

fn warm(warm_ip: u32) -> NodeSettings {
    let targets = WarmTargets {
        warm_ip,
        ..WarmTargets::default()
    };
    NodeSettings {
        targets,
        max_enis: Some(1),
        ..NodeSettings::default()
    }
}

/// A node that has just given its only spare address back, with one try of unknown outcome.
fn released_in_doubt() -> (Bench, std::net::Ipv4Addr) {
    let mut bench = Bench::serving(warm(8), 9);
    let call = bench.answer(Call::mutating, unknown());
    let Call::UnassignAddresses { addresses, .. } = call else {
        panic!("{call}")
    };
    bench.pass(3_000);
    bench.answer(Call::mutating, Ok(Reply::Done));
    (bench, addresses[0])
}

#[test]
fn an_address_assigned_again_is_not_used_while_its_release_may_yet_be_carried_out() {
    let (mut bench, again) = released_in_doubt();
    bench.add("a", "web-0");
    bench.answer(Call::mutating, Ok(Reply::Assigned(vec![again])));
    assert_eq!(bench.node.view(bench.now().boot).stats.total, 8);
    bench.pass(59_999);
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
    bench.pass(1);
    let looks = |call: &Call| matches!(call, Call::DescribeInterfaces(Scope::Ids(_)));
    bench.answer(looks, Ok(Reply::Interfaces(vec![record(0, 9)])));
    assert_eq!(bench.node.view(bench.now().boot).stats.total, 9);
}

#[test]
fn a_throttled_repeat_does_not_end_the_doubt_about_a_release() {
    let mut bench = Bench::serving(warm(8), 9);
    let first = bench.answer(Call::mutating, unknown());
    bench.pass(3_000);
    bench.answer(Call::mutating, refused("RequestLimitExceeded"));
    bench.pass(5_000);
    assert_eq!(bench.answer(Call::mutating, Ok(Reply::Done)), first);
    let Call::UnassignAddresses { addresses, .. } = first else {
        unreachable!()
    };
    bench.add("a", "web-0");
    bench.answer(Call::mutating, Ok(Reply::Assigned(addresses)));
    assert_eq!(bench.node.view(bench.now().boot).stats.total, 8);
}

/// A node that has detached its spare second ENI and is about to delete it.
fn detached() -> Bench {
    let mut bench = Bench::new(NodeSettings::default(), ipam::boot::Restored::default());
    bench.boot(vec![record(0, 9), record(1, 9)]);
    bench.pass(61_000);
    let call = bench.answer(Call::mutating, Ok(Reply::Done));
    assert!(matches!(call, Call::DetachInterface { .. }), "{call}");
    bench
}

#[test]
fn a_delete_that_is_refused_for_now_stays_in_the_journal() {
    let mut bench = detached();
    bench.disk_works = false;
    bench.pass(1_000);
    while bench.mutations().is_empty() {
        bench.write(Ok(()));
    }
    bench.answer(Call::mutating, refused("InvalidNetworkInterface.InUse"));
    let journals = bench
        .writes
        .iter()
        .filter_map(|(_, content)| match content {
            FileContent::Journal(intents) => Some(
                intents
                    .iter()
                    .map(|intent| intent.call.clone())
                    .collect::<Vec<_>>(),
            ),
            FileContent::Checkpoint(_) => None,
        });
    for journal in journals {
        assert!(journal.contains(&Call::DeleteInterface { eni: eni(1) }));
    }
    bench.disk_works = true;
    bench.pass(20_000);
    assert_eq!(bench.mutations(), [&Call::DeleteInterface { eni: eni(1) }]);
}

#[test]
fn an_eni_that_was_deleted_does_not_come_back_through_a_lagging_describe() {
    let mut bench = detached();
    bench.pass(1_000);
    bench.answer(Call::mutating, Ok(Reply::Done));
    bench.links.names.insert("eth9".into());
    bench.add("a", "web-0");
    let both = vec![record(0, 9), record(1, 9)];
    bench.pass(30_000);
    if bench.calls.iter().any(|(_, call)| attached(call)) {
        bench.answer(attached, Ok(Reply::Interfaces(both)));
    }
    let view = bench.node.view(bench.now().boot);
    assert!(!view.enis.iter().any(|seen| seen.id == eni(1)));
}

#[test]
fn an_eni_that_somebody_takes_off_serves_no_new_pod() {
    let mut bench = Bench::new(NodeSettings::default(), ipam::boot::Restored::default());
    let mut leaving = record(1, 9);
    leaving.status = EniStatus::Detaching;
    bench.links.macs.insert(mac(1));
    bench.boot(vec![record(0, 9), leaving]);
    for n in 0..10 {
        let add = bench.add(&format!("c{n}"), &format!("web-{n}"));
        assert!(bench.granted(add).is_none_or(|given| given < address(1, 0)));
    }
}

#[test]
fn a_create_that_was_given_up_is_looked_for_when_it_may_have_been_carried_out_after_all() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    bench.pass(80_000);
    bench.answer(made, Ok(Reply::Interfaces(vec![record(0, 9)])));
    bench.add("a", "web-0");
    bench.answer(Call::mutating, unknown());
    bench.pass(5_000);
    bench.answer(Call::mutating, refused("UnauthorizedOperation"));
    bench.pass(76_000);
    let late = vec![record(0, 9), unattached(3, 9)];
    bench.answer(made, Ok(Reply::Interfaces(late.clone())));
    bench.pass(60_000);
    bench.answer(made, Ok(Reply::Interfaces(late)));
    assert!(
        bench
            .mutations()
            .contains(&&Call::DeleteInterface { eni: eni(3) })
    );
}
