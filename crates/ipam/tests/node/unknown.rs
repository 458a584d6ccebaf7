//! What an unknown outcome means, call by call.

use crate::harness::{Bench, address, eni, record, unattached, unknown};
use model::call::{Call, Reply, Scope};
use model::settings::{NodeSettings, WarmTargets};

fn looks(call: &Call) -> bool {
    matches!(call, Call::DescribeInterfaces(Scope::Ids(_)))
}

#[test]
fn a_create_is_repeated_with_its_token() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    bench.add("a", "web-0");
    let first = bench.answer(Call::mutating, unknown());
    assert!(bench.mutations().is_empty(), "not at once");
    bench.pass(5_000);
    assert_eq!(bench.mutations(), [&first]);
}

#[test]
fn an_attach_is_looked_at_and_adopted_when_it_happened() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    bench.add("a", "web-0");
    bench.answer(Call::mutating, Ok(Reply::Created(unattached(1, 9))));
    bench.answer(
        |call| matches!(call, Call::AttachInterface { .. }),
        unknown(),
    );
    bench.pass(5_000);
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
    let mut attached = record(1, 9);
    attached.attachment.as_mut().unwrap().delete_on_termination = false;
    bench.answer(looks, Ok(Reply::Interfaces(vec![attached])));
    assert!(
        matches!(bench.mutations()[..], [Call::DeleteOnTermination { .. }]),
        "{:?}",
        bench.call_names()
    );
}

#[test]
fn an_assign_is_never_repeated_before_ec2_says_what_the_eni_owns() {
    let mut bench = Bench::serving(
        NodeSettings {
            max_enis: Some(1),
            ..NodeSettings::default()
        },
        0,
    );
    let add = bench.add("a", "web-0");
    bench.answer(
        |call| matches!(call, Call::AssignAddresses { .. }),
        unknown(),
    );
    bench.pass(14_999);
    assert!(
        !bench
            .calls
            .iter()
            .any(|(_, call)| looks(call) || call.mutating()),
        "{:?}",
        bench.call_names()
    );
    bench.pass(1);
    bench.answer(looks, Ok(Reply::Interfaces(vec![record(0, 9)])));
    assert_eq!(bench.granted(add), Some(address(0, 1)));
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
}

#[test]
fn a_release_is_repeated_until_ec2_says_it_is_not_assigned_and_lingers_then() {
    let targets = WarmTargets {
        warm_ip: 8,
        ..WarmTargets::default()
    };
    let mut bench = Bench::serving(
        NodeSettings {
            targets,
            ..NodeSettings::default()
        },
        9,
    );
    let first = bench.answer(Call::mutating, unknown());
    bench.pass(3_000);
    assert_eq!(bench.mutations(), [&first]);
    let gone = model::error::classify(
        "InvalidParameterValue",
        "Some of the specified addresses are not assigned",
        400,
    );
    bench.answer(Call::mutating, Err(gone));
    assert_eq!(bench.node.view(bench.now().boot).stats.total, 8);
    // A describe that lags still lists it: it must not come back.
    bench.pass(7_200_000);
    bench.answer(
        |call| matches!(call, Call::DescribeInterfaces(Scope::AttachedTo(_))),
        Ok(Reply::Interfaces(vec![record(0, 8)])),
    );
    assert_eq!(bench.node.view(bench.now().boot).stats.total, 8);
    assert_eq!(bench.node.view(bench.now().boot).open_intents, 0);
}

#[test]
fn a_lost_runner_is_an_unknown_outcome_and_a_second_completion_is_dropped() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    bench.add("a", "web-0");
    let (op, call) = bench
        .calls
        .iter()
        .find(|(_, call)| call.mutating())
        .cloned()
        .unwrap();
    bench.calls.retain(|(other, _)| *other != op);
    bench.event(ipam::event::Event::Done(op, ipam::event::Outcome::Unknown));
    bench.event(ipam::event::Event::Done(
        op,
        ipam::event::Outcome::Called(Ok(Reply::Created(unattached(1, 9)))),
    ));
    assert!(
        bench
            .notices
            .contains(&ipam::notice::Notice::UnknownCompletion)
    );
    bench.pass(5_000);
    assert_eq!(bench.mutations(), [&call]);
    let _ = eni(1);
}
