//! A fresh machine's first minute: what is missing is named and waited for, nothing is asked in a loop.

use crate::harness::{Bench, address, mac, metadata, record, refused, unknown};
use ipam::boot::Restored;
use ipam::event::{Event, Outcome};
use ipam::notice::Notice;
use ipam::view::Health;
use model::call::{Call, Reply, Scope};
use model::eni::SubnetRecord;
use model::error::{CallError, classify};
use model::imds::InstanceMetadata;
use model::limits::{Hypervisor, InstanceLimits};
use model::settings::NodeSettings;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

fn fresh() -> Bench {
    Bench::new(NodeSettings::default(), Restored::default())
}

/// Who the instance is, told by the metadata service.
fn told(metadata: InstanceMetadata) -> Bench {
    let mut bench = fresh();
    let op = bench.imds.pop().unwrap();
    bench.event(Event::Done(op, Outcome::Imds(Ok(Box::new(metadata)))));
    bench
}

fn waits_for(bench: &Bench) -> String {
    match bench.node.health() {
        Health::Waiting(what) => what,
        other => panic!("{other:?}"),
    }
}

fn subnets(call: &Call) -> bool {
    matches!(call, Call::DescribeSubnets { .. })
}

fn attached(call: &Call) -> bool {
    matches!(call, Call::DescribeInterfaces(Scope::AttachedTo(_)))
}

fn type_asked(call: &Call) -> bool {
    matches!(call, Call::DescribeInstanceType { .. })
}

fn listed() -> Result<Reply, CallError> {
    Ok(Reply::Subnets(vec![SubnetRecord {
        id: "subnet-1".parse().unwrap(),
        cidr: "10.0.1.0/24".parse().unwrap(),
        available: 200,
        tags: BTreeMap::new(),
    }]))
}

#[test]
fn t16_of_several_questions_the_one_that_went_wrong_is_named() {
    let mut bench = told(metadata());
    assert_eq!(waits_for(&bench), "EC2 DescribeSubnets");
    bench.answer(attached, refused("UnauthorizedOperation"));
    let expected = "EC2 DescribeNetworkInterfaces: refused by EC2: UnauthorizedOperation: ";
    assert!(waits_for(&bench).starts_with(expected));
    bench.answer(subnets, listed());
    assert!(
        waits_for(&bench).starts_with(expected),
        "an answer to something else changes nothing: {}",
        waits_for(&bench)
    );
    let add = bench.add_by("c", "c", bench.at + 1_000);
    bench.pass(1_000);
    assert!(
        bench.refusal(add).contains(expected),
        "{}",
        bench.refusal(add)
    );
}

#[test]
fn a_read_that_fails_is_not_repeated_at_once_whatever_the_error() {
    for error in [
        classify("IncorrectInstanceState", "", 400),
        classify("ConcurrentTagAccess", "", 400),
        classify("InternalError", "", 500),
    ] {
        let mut bench = told(metadata());
        bench.answer(subnets, Err(error.clone()));
        assert!(
            !bench.calls.iter().any(|(_, call)| subnets(call)),
            "{error}"
        );
        bench.pass(1_000);
        assert!(bench.calls.iter().any(|(_, call)| subnets(call)), "{error}");
    }
}

#[test]
fn a_wrong_clock_is_named_with_the_time_it_shows_and_asked_again_within_15_seconds() {
    let mut bench = told(metadata());
    for error in ["RequestExpired", "SignatureDoesNotMatch"] {
        bench.answer(subnets, refused(error));
        let what = waits_for(&bench);
        assert!(
            what.contains(error) && what.contains("clock says 2023-11-14T"),
            "{what}"
        );
        for _ in 0..6 {
            bench.pass(15_000);
            bench.answer(subnets, refused(error));
        }
        bench.pass(15_000);
    }
}

#[test]
fn the_primary_link_is_waited_for_by_its_address_and_its_coming_ends_the_start() {
    let mut bench = told(metadata());
    bench.answer(subnets, listed());
    bench.answer(attached, Ok(Reply::Interfaces(vec![record(0, 9)])));
    bench.links.macs.clear();
    bench.see_links();
    let what = format!("the link of the primary ENI, {}", mac(0));
    assert_eq!(waits_for(&bench), what);
    let told = |bench: &Bench| {
        let is_it = |notice: &&Notice| matches!(notice, Notice::Waiting { what: told, .. } if *told == what);
        bench.notices.iter().filter(is_it).count()
    };
    bench.see_links();
    assert_eq!(told(&bench), 1, "once, not with each look");
    let add = bench.add("c", "c");
    bench.links.macs.insert(mac(0));
    bench.see_links();
    assert_eq!(bench.node.health(), Health::Serving);
    bench.settle_host();
    assert_eq!(bench.granted(add), Some(address(0, 1)));
}

fn young() -> InstanceMetadata {
    InstanceMetadata {
        instance_type: "m99.large".into(),
        ..metadata()
    }
}

fn limits(enis: u32, addresses: u32) -> InstanceLimits {
    InstanceLimits {
        enis_per_card: vec![NonZeroU32::new(enis).unwrap()],
        addresses_per_eni: NonZeroU32::new(addresses).unwrap(),
        hypervisor: Hypervisor::Nitro,
        bare_metal: false,
    }
}

#[test]
fn t15_an_unknown_instance_type_is_asked_for_and_its_limits_are_used() {
    let mut bench = told(young());
    bench.answer(type_asked, Ok(Reply::InstanceType(limits(2, 4))));
    bench.answer(subnets, listed());
    bench.answer(attached, Ok(Reply::Interfaces(vec![record(0, 0)])));
    bench.see_links();
    let names = bench.call_names();
    assert!(
        names.contains(&"assign 3 addresses to eni-0".to_owned()),
        "{names:?}"
    );
}

#[test]
fn t15_a_type_that_ec2_will_not_describe_gets_the_least_until_it_does() {
    let mut bench = told(young());
    bench.answer(type_asked, refused("UnauthorizedOperation"));
    bench.answer(subnets, listed());
    bench.answer(attached, Ok(Reply::Interfaces(vec![record(0, 2)])));
    bench.see_links();
    assert_eq!(bench.node.health(), Health::Serving);
    let named = |notice: &Notice| match notice {
        Notice::LimitsAssumed {
            instance_type,
            enis: 1,
            slots: 2,
            error,
        } => instance_type == "m99.large" && error.contains("UnauthorizedOperation"),
        _ => false,
    };
    assert!(bench.notices.iter().any(named), "{:?}", bench.notices);
    bench.settle_host();
    let adds = ["a", "b", "c"].map(|name| bench.add(name, name));
    assert_eq!(
        adds.map(|add| bench.granted(add)),
        [Some(address(0, 1)), Some(address(0, 2)), None],
        "what is there already is used"
    );
    let why = "IAM denies ec2:DescribeInstanceTypes to this node; next attempt in ";
    assert!(
        bench.refusal(adds[2]).starts_with(why),
        "{}",
        bench.refusal(adds[2])
    );
    assert_eq!(bench.mutations().len(), 0, "{:?}", bench.calls);

    bench.pass(300_000);
    bench.answer(type_asked, Ok(Reply::InstanceType(limits(3, 10))));
    let add = bench.add("d", "d");
    let names = bench.call_names();
    assert!(
        names.contains(&"assign 7 addresses to eni-0".to_owned()),
        "{names:?}"
    );
    assert!(!bench.replies.contains_key(&add), "it can be helped now");
    assert!(bench.notices.iter().any(|notice| matches!(
        notice,
        Notice::LimitsKnown {
            enis: 3,
            slots: 9,
            ..
        }
    )));
}

#[test]
fn t15_while_ec2_does_not_answer_nothing_is_assumed() {
    let mut bench = told(young());
    for error in [
        unknown(),
        refused("RequestLimitExceeded"),
        refused("RequestExpired"),
    ] {
        bench.answer(type_asked, error);
        assert!(waits_for(&bench).starts_with("EC2 DescribeInstanceTypes: "));
        bench.pass(60_000);
    }
    bench.answer(type_asked, Ok(Reply::InstanceType(limits(3, 10))));
    assert_eq!(waits_for(&bench), "EC2 DescribeSubnets");
}

/// Every call to EC2 ends without an answer ten seconds after it was made, until the span is over.
fn outage(bench: &mut Bench, millis: u64) -> usize {
    let (end, mut calls) = (bench.at + millis, 0);
    while bench.at < end {
        bench.pass(10_000);
        for _ in 0..bench.calls.len() {
            bench.answer(|_| true, unknown());
            calls += 1;
        }
    }
    calls
}

#[test]
fn t16_five_minutes_without_ec2_are_named_waited_for_and_end_by_themselves() {
    let mut bench = told(metadata());
    let early = bench.add("a", "a");
    let calls = outage(&mut bench, 300_000);
    let why = "the node daemon is starting: waiting for EC2 Describe";
    let refusal = bench.refusal(early);
    assert!(
        refusal.starts_with(why) && refusal.contains("connection reset"),
        "{refusal}"
    );
    assert!(
        matches!(bench.node.health(), Health::Waiting(what) if what.starts_with("EC2 Describe"))
    );
    assert!(
        (10..=40).contains(&calls),
        "{calls} calls for two questions"
    );

    let (late, back) = (bench.add("b", "b"), bench.at);
    while bench.node.health() != Health::Serving {
        bench.pass(1_000);
        assert!(bench.at < back + 31_000, "{:?}", bench.node.health());
        while let Some((_, call)) = bench.calls.first() {
            let reply = if subnets(call) {
                listed()
            } else {
                Ok(Reply::Interfaces(vec![record(0, 9)]))
            };
            bench.answer(|_| true, reply);
        }
        bench.see_links();
    }
    assert_eq!(
        bench.granted(late),
        None,
        "its first packets would leave untranslated"
    );
    bench.settle_host();
    assert_eq!(bench.granted(late), Some(address(0, 1)));
}

#[test]
fn t16_eighteen_seconds_without_the_enis_fields_cost_five_seconds_at_most() {
    let mut bench = fresh();
    let path = "IMDS has no /latest/meta-data/network/interfaces/macs/02:00:00:00:00:00/subnet-id";
    let (began, mut reads) = (bench.at, 0);
    while bench.at < began + 18_000 {
        if let Some(op) = bench.imds.pop() {
            bench.event(Event::Done(op, Outcome::Imds(Err(path.to_owned()))));
            reads += 1;
            assert!(waits_for(&bench).ends_with(path), "{}", waits_for(&bench));
        }
        bench.pass(250);
    }
    assert!((4..=12).contains(&reads), "{reads} reads");
    while bench.imds.is_empty() {
        bench.pass(250);
    }
    assert!(bench.at <= began + 18_000 + 5_500, "{}", bench.at - began);
    bench.boot(vec![record(0, 9)]);
    assert_eq!(bench.node.health(), Health::Serving);
}
