//! Each way an ADD can fail: its variant, and a text with object, limit, value and next attempt.

use crate::harness::{Bench, address, eni, mac, record, refused, unattached, unknown};
use ipam::effect::{Answer, File};
use ipam::event::{Event, Outcome};
use model::call::{Call, Reply};
use model::reason::Reason;
use model::settings::NodeSettings;

/// An m5.large whose primary ENI has these many addresses and which may have this many ENIs.
fn node(max_enis: u8, count: u8) -> Bench {
    let settings = NodeSettings {
        max_enis: Some(u32::from(max_enis)),
        ..NodeSettings::default()
    };
    Bench::serving(settings, count)
}

fn reason(bench: &Bench, id: u64) -> Reason {
    match bench.replies.get(&id) {
        Some(Answer::Refused(reason)) => reason.clone(),
        other => panic!("request {id} was not refused: {other:?}"),
    }
}

/// The reason of an ADD when EC2 answers each assign like this until the deadline.
fn when_assigns_are(
    answer: impl Fn() -> Result<Reply, model::error::CallError>,
) -> (Reason, String) {
    let mut bench = node(1, 0);
    let add = bench.add_by("a", "web-0", bench.at + 20_000);
    let assign = |call: &Call| matches!(call, Call::AssignAddresses { .. });
    let look = |call: &Call| matches!(call, Call::DescribeInterfaces(_));
    while !bench.replies.contains_key(&add) {
        while bench.calls.iter().any(|(_, call)| assign(call)) {
            bench.answer(assign, answer());
        }
        while bench.calls.iter().any(|(_, call)| look(call)) {
            bench.answer(look, Ok(Reply::Interfaces(vec![record(0, 0)])));
        }
        bench.pass(100);
    }
    (reason(&bench, add), bench.refusal(add))
}

#[test]
fn t02_throttled_names_the_action_and_the_next_attempt() {
    let (reason, text) = when_assigns_are(|| refused("RequestLimitExceeded"));
    assert!(matches!(reason, Reason::Throttled { .. }), "{text}");
    assert!(
        text.starts_with("EC2 throttles AssignPrivateIpAddresses; next attempt in "),
        "{text}"
    );
    assert!(reason.is_retryable());
}

#[test]
fn t02_denied_names_the_action_that_the_role_lacks() {
    let (reason, text) = when_assigns_are(|| refused("UnauthorizedOperation"));
    assert!(matches!(reason, Reason::Denied { .. }), "{text}");
    assert!(
        text.starts_with("IAM denies ec2:AssignPrivateIpAddresses to this node; next attempt in "),
        "{text}"
    );
    assert!(!reason.is_retryable());
}

#[test]
fn t02_a_full_subnet_is_named() {
    let (reason, text) = when_assigns_are(|| refused("InsufficientFreeAddressesInSubnet"));
    assert!(matches!(reason, Reason::SubnetFull { .. }), "{text}");
    assert!(
        text.starts_with("subnet subnet-1 has no free address; next attempt in "),
        "{text}"
    );
}

#[test]
fn t02_the_address_limit_of_an_eni_is_told_from_the_limit_of_the_node() {
    let (reason, text) = when_assigns_are(|| refused("PrivateIpAddressLimitExceeded"));
    assert!(
        matches!(&reason, Reason::AddressLimit { addresses: 0, .. }),
        "{text}"
    );
    assert!(
        text.starts_with("address limit of eni-0: beside the 0 secondary addresses it has EC2 assigns no more: PrivateIpAddressLimitExceeded: as the test says; next attempt in "),
        "{text}"
    );
    assert!(!reason.is_retryable());
}

#[test]
fn t02_the_eni_limit_that_ec2_enforces_is_told_from_the_limit_of_the_node() {
    let mut bench = node(2, 9);
    for n in 0..9 {
        bench.add(&format!("c{n}"), &format!("web-{n}"));
    }
    let add = bench.add_by("x", "x", bench.at + 20_000);
    bench.answer(
        |call| matches!(call, Call::CreateInterface(_)),
        Ok(Reply::Created(unattached(1, 9))),
    );
    bench.answer(
        |call| matches!(call, Call::AttachInterface { .. }),
        refused("AttachmentLimitExceeded"),
    );
    bench.answer(
        |call| matches!(call, Call::DeleteInterface { .. }),
        Ok(Reply::Done),
    );
    bench.pass(20_000);
    let text = bench.refusal(add);
    assert!(
        matches!(reason(&bench, add), Reason::EniLimit { enis: 1, .. }),
        "{text}"
    );
    assert!(
        text.starts_with("ENI limit of the instance: beside the 1 ENIs it has EC2 refuses AttachNetworkInterface: AttachmentLimitExceeded: as the test says; next attempt in "),
        "{text}"
    );
}

#[test]
fn t02_unreachable_names_the_action_and_what_was_seen() {
    let mut bench = node(2, 9);
    for n in 0..9 {
        bench.add(&format!("c{n}"), &format!("web-{n}"));
    }
    let add = bench.add_by("x", "x", bench.at + 20_000);
    let create = |call: &Call| matches!(call, Call::CreateInterface(_));
    while !bench.replies.contains_key(&add) {
        while bench.calls.iter().any(|(_, call)| create(call)) {
            bench.answer(create, unknown());
        }
        bench.pass(100);
    }
    let text = bench.refusal(add);
    assert!(
        matches!(reason(&bench, add), Reason::Unreachable { .. }),
        "{text}"
    );
    assert!(
        text.starts_with(
            "EC2 does not answer CreateNetworkInterface: connection reset; next attempt in "
        ),
        "{text}"
    );
}

#[test]
fn t02_an_eni_on_its_way_is_named_with_the_step_that_has_not_ended() {
    let mut bench = node(2, 9);
    for n in 0..9 {
        bench.add(&format!("c{n}"), &format!("web-{n}"));
    }
    let adds: Vec<_> = [5, 10, 15]
        .into_iter()
        .enumerate()
        .map(|(n, secs)| bench.add_by(&format!("x{n}"), &format!("x{n}"), bench.at + secs * 1_000))
        .collect();
    bench.answer(Call::mutating, Ok(Reply::Created(unattached(1, 9))));
    bench.pass(5_000);
    bench.answer(
        |call| matches!(call, Call::AttachInterface { .. }),
        Ok(Reply::Attached("eni-attach-1".parse().unwrap())),
    );
    bench.answer(
        |call| matches!(call, Call::DeleteOnTermination { .. }),
        Ok(Reply::Done),
    );
    bench.pass(5_000);
    bench.links.macs.insert(mac(1));
    bench.see_links();
    bench.pass(5_000);
    let said: Vec<_> = adds.iter().map(|add| bench.refusal(*add)).collect();
    let start = format!("{} is on its way and cannot be used yet: ", eni(1));
    assert_eq!(said[0], format!("{start}EC2 is asked to attach it"));
    assert_eq!(
        said[1],
        format!(
            "{start}it is attached in EC2 but its link has not appeared; the kernel is looked at after each link event"
        )
    );
    assert_eq!(
        said[2],
        format!("{start}its link is there and the node's network is being set up for it")
    );
    assert!(matches!(reason(&bench, adds[0]), Reason::Attaching { .. }));
}

#[test]
fn t02_before_start_up_has_finished_what_it_waits_for_is_named() {
    let mut bench = Bench::new(NodeSettings::default(), ipam::boot::Restored::default());
    let add = bench.add_by("a", "web-0", bench.at + 2_000);
    let op = bench.imds.pop().unwrap();
    let failure = Outcome::Imds(Err("GET /latest/meta-data/mac: 404".into()));
    bench.event(Event::Done(op, failure));
    bench.pass(2_000);
    assert!(matches!(reason(&bench, add), Reason::NotReady { .. }));
    assert_eq!(
        bench.refusal(add),
        "the node daemon is starting: waiting for the instance metadata service: GET /latest/meta-data/mac: 404"
    );
}

#[test]
fn t02_a_checkpoint_that_cannot_be_written_is_the_reason() {
    let mut bench = node(1, 9);
    bench.disk_works = false;
    let add = bench.add_by("a", "web-0", bench.at + 2_000);
    while !bench.replies.contains_key(&add) {
        while !bench.writes.is_empty() {
            bench.write(Err(
                "write /var/run/aws-node/ipam.json: no space left on device".into(),
            ));
        }
        bench.pass(100);
    }
    assert!(matches!(
        reason(&bench, add),
        Reason::CheckpointNotWritable { .. }
    ));
    assert_eq!(
        bench.refusal(add),
        "checkpoint cannot be written: write /var/run/aws-node/ipam.json: no space left on device; it is retried and the address stays free"
    );
}

#[test]
fn t02_an_intent_that_cannot_be_written_is_told_from_a_checkpoint() {
    let mut bench = Bench::new(NodeSettings::default(), ipam::boot::Restored::default());
    bench.disk_works = false;
    bench.boot(vec![record(0, 0)]);
    let add = bench.add_by("a", "web-0", bench.at + 5_000);
    while !bench.replies.contains_key(&add) {
        while let Some((_, content)) = bench.writes.first() {
            let result = match content.file() {
                File::Checkpoint => Ok(()),
                File::Journal => Err("write /var/run/aws-node/intents.json: no space left".into()),
            };
            bench.write(result);
        }
        bench.pass(100);
    }
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
    assert_eq!(
        bench.refusal(add),
        "EC2 is not asked for addresses: the intent cannot be written: write /var/run/aws-node/intents.json: no space left; it is retried"
    );
}

#[test]
fn t02_cooling_beyond_the_deadline_is_told_from_the_limit_of_the_node() {
    let mut bench = node(1, 1);
    let held: Vec<_> = (1..=9).map(|k| address(0, k)).collect();
    bench.answer(
        |call| matches!(call, Call::AssignAddresses { .. }),
        Ok(Reply::Assigned(held[1..].to_vec())),
    );
    for n in 0..9 {
        bench.add(&format!("c{n}"), &format!("web-{n}"));
    }
    bench.del("c0");
    let add = bench.add_by("x", "x", bench.at + 5_000);
    assert_eq!(
        reason(&bench, add),
        Reason::Cooling {
            limit: 9,
            held: 8,
            cooling: 1,
            first_secs: 30
        }
    );
    assert!(reason(&bench, add).is_retryable());
}
