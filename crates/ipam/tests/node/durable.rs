//! What is durable before what leaves.

use crate::harness::{Bench, key};
use ipam::effect::{Answer, FileContent};
use model::settings::NodeSettings;

#[test]
fn an_add_is_answered_only_when_the_checkpoint_has_it() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    bench.disk_works = false;
    let add = bench.add("a", "web-0");
    assert_eq!(bench.granted(add), None);
    let checkpoint = bench.writes.iter().find_map(|(_, content)| match content {
        FileContent::Checkpoint(checkpoint) => Some(checkpoint),
        FileContent::Journal(_) => None,
    });
    assert_eq!(checkpoint.unwrap().allocations[0].key, key("a"));
    bench.write(Ok(()));
    assert!(bench.granted(add).is_some());
}

#[test]
fn adds_that_come_during_a_write_share_the_next_one() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    bench.disk_works = false;
    let adds: Vec<_> = (0..5)
        .map(|n| bench.add(&format!("c{n}"), &format!("web-{n}")))
        .collect();
    let checkpoints = |bench: &Bench| {
        bench
            .writes
            .iter()
            .filter(|(_, content)| matches!(content, FileContent::Checkpoint(_)))
            .count()
    };
    assert_eq!(checkpoints(&bench), 1);
    while !bench.writes.is_empty() {
        bench.write(Ok(()));
    }
    assert!(
        adds.iter().all(|add| bench.granted(*add).is_some()),
        "two writes served five ADDs"
    );
}

#[test]
fn a_del_is_answered_only_when_the_checkpoint_lacks_it() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    bench.add("a", "web-0");
    bench.disk_works = false;
    let del = bench.del("a");
    let again = bench.del("a");
    assert!(!bench.replies.contains_key(&del));
    assert!(
        !bench.replies.contains_key(&again),
        "the file still says that the key holds an address"
    );
    bench.write(Ok(()));
    assert!(matches!(bench.replies[&del], Answer::Deleted(_)));
    assert_eq!(bench.replies[&again], Answer::UnknownPod);
}

#[test]
fn a_mutation_leaves_only_when_its_intent_is_in_the_journal() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    bench.calls.clear();
    bench.disk_works = false;
    // One address less than the warm target: an ENI is wanted.
    bench.add("a", "web-0");
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
    let journal = bench
        .writes
        .iter()
        .position(|(_, content)| matches!(content, FileContent::Journal(_)))
        .unwrap();
    let FileContent::Journal(intents) = bench.writes[journal].1.clone() else {
        unreachable!()
    };
    bench.writes.rotate_left(journal);
    bench.write(Ok(()));
    assert_eq!(bench.mutations(), [&intents[0].call]);
}

#[test]
fn an_add_that_cannot_be_written_is_refused_at_its_deadline_and_its_address_is_free_again() {
    let mut bench = Bench::serving(NodeSettings::default(), 1);
    bench.disk_works = false;
    let add = bench.add_by("a", "web-0", bench.at + 1_000);
    for _ in 0..100 {
        while !bench.writes.is_empty() {
            bench.write(Err(
                "write /var/run/aws-node/ipam.json: no space left on device".into(),
            ));
        }
        bench.pass(100);
    }
    assert!(
        bench.refusal(add).contains("no space left on device"),
        "{}",
        bench.refusal(add)
    );
    bench.disk_works = true;
    while !bench.writes.is_empty() {
        bench.write(Ok(()));
    }
    bench.pass(20_000);
    let next = bench.add("b", "web-1");
    assert!(
        bench.granted(next).is_some(),
        "{:?}",
        bench.replies.get(&next)
    );
}

#[test]
fn a_del_that_cannot_be_written_succeeds_at_its_deadline() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    let add = bench.add("a", "web-0");
    let held = bench.granted(add).unwrap();
    bench.disk_works = false;
    let del = bench.del("a");
    for _ in 0..60 {
        while !bench.writes.is_empty() {
            bench.write(Err("read-only file system".into()));
        }
        bench.pass(100);
    }
    assert!(matches!(&bench.replies[&del], Answer::Deleted(grant) if grant.address == held));
}

#[test]
fn a_write_that_never_ends_keeps_nobody_beyond_the_deadline() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    let add = bench.add("a", "web-0");
    let held = bench.granted(add).unwrap();
    bench.disk_works = false;
    let late = bench.add_by("b", "web-1", bench.at + 3_000);
    let del = bench.del("a");
    bench.pass(5_000);
    assert!(
        bench
            .refusal(late)
            .contains("the write has not finished in time"),
        "{}",
        bench.refusal(late)
    );
    assert!(matches!(&bench.replies[&del], Answer::Deleted(grant) if grant.address == held));
}

#[test]
fn a_held_answer_is_taken_back_by_del_and_by_abandonment() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    bench.disk_works = false;
    let deleted = bench.add("a", "web-0");
    let abandoned = bench.add("b", "web-1");
    bench.del("a");
    bench.abandon(abandoned);
    while !bench.writes.is_empty() {
        bench.write(Ok(()));
    }
    assert_eq!(
        bench.refusal(deleted),
        "deleted while waiting for an address"
    );
    assert!(
        !bench.replies.contains_key(&abandoned),
        "nobody is there to be answered"
    );
    // The abandoned one is free without cooldown, the deleted one cools.
    let stats = bench.node.view(bench.now().boot).stats;
    assert_eq!((stats.held, stats.cooling), (0, 1));
}
