//! What happens between the signal and the end of the process.

use crate::harness::{Bench, address, record};
use ipam::boot::Restored;
use ipam::effect::Answer;
use ipam::event::Event;
use model::call::Call;
use model::settings::{NodeSettings, WarmTargets};

/// Five free addresses are kept, the second ENI is too much.
fn spare() -> Bench {
    let targets = WarmTargets {
        warm_ip: 5,
        ..WarmTargets::default()
    };
    let settings = NodeSettings {
        targets,
        ..NodeSettings::default()
    };
    let mut bench = Bench::new(settings, Restored::default());
    bench.disk_works = false;
    bench.boot(vec![record(0, 9), record(1, 9)]);
    bench
}

fn takes_away(call: &Call) -> bool {
    matches!(
        call,
        Call::DetachInterface { .. }
            | Call::DeleteInterface { .. }
            | Call::UnassignAddresses { .. }
    )
}

#[test]
fn t17_what_would_be_taken_away_is_not_when_the_process_was_told_to_stop() {
    let mut untold = spare();
    untold.disk_works = true;
    while !untold.writes.is_empty() {
        untold.write(Ok(()));
    }
    untold.pass(600_000);
    assert!(
        untold.calls.iter().any(|(_, call)| takes_away(call)),
        "the test needs something to take away: {:?}",
        untold.calls
    );

    // The announcement of it is on its way to the disk when the signal comes.
    let mut told = spare();
    while told.writes.iter().all(|(_, content)| {
        !matches!(content, ipam::effect::FileContent::Journal(calls) if calls.iter().any(|intent| takes_away(&intent.call)))
    }) {
        if told.writes.is_empty() {
            told.pass(10_000);
        } else {
            told.write(Ok(()));
        }
        assert!(told.at < 3_000_000, "nothing was announced");
    }
    let before = told.mutations().len();
    told.event(Event::Shutdown);
    told.disk_works = true;
    while !told.writes.is_empty() {
        told.write(Ok(()));
    }
    told.pass(600_000);
    assert_eq!(told.mutations().len(), before, "{:?}", told.calls);
}

#[test]
fn t17_an_add_in_hand_gets_its_address_and_dels_are_carried_out_until_the_end() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    let before = bench.add("a", "a");
    bench.disk_works = false;
    let in_hand = bench.add("b", "b");
    bench.event(Event::Shutdown);
    let del = bench.del("a");
    let late = bench.add("c", "c");
    assert_eq!(bench.refusal(late), "the node daemon is stopping; retry");
    while !bench.writes.is_empty() {
        bench.write(Ok(()));
    }
    assert_eq!(bench.granted(before), Some(address(0, 1)));
    assert_eq!(bench.granted(in_hand), Some(address(0, 2)));
    assert!(matches!(bench.replies[&del], Answer::Deleted(_)));
}
