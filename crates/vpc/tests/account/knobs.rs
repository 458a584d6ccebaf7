//! Every knob of the laboratory changes what a client sees: IMDS that refuses, delays and lies; the account's buckets.
//! (Faults and lags of EC2's answers: `actions` and `views`.)

use crate::world::World;
use model::card::NetworkCard;
use model::id::EniId;
use model::time::{Duration, Instant};
use std::net::Ipv4Addr;
use vpc::imds::{Lie, Refusal, Request, Response};
use vpc::{Action, Chance, Delay, DescribeInterfaces, Filter, Outcome, Verdict, Wanted};

const LATER: Instant = Instant(18_000);
const TREE: &str = "/latest/meta-data/network/interfaces/macs/";

fn put(w: &mut World) -> Response {
    let request = Request::Put {
        path: "/latest/api/token".to_owned(),
        ttl: Some("21600".to_owned()),
    };
    w.vpc.imds(w.now, &w.node.clone(), request)
}

fn get(w: &mut World, token: &str, path: &str) -> Response {
    let request = Request::Get {
        path: path.to_owned(),
        token: Some(token.to_owned()),
    };
    w.vpc.imds(w.now, &w.node.clone(), request)
}

/// A second ENI with two secondary addresses, attached: its id, the path of its fields and one of its addresses.
fn second(w: &mut World) -> (EniId, String, Ipv4Addr) {
    let eni = w.create(Wanted::Count(2));
    w.attach(&eni, 1);
    let interface = w.vpc.interface(&eni).unwrap();
    let path = format!("{TREE}{}", interface.mac);
    let address = interface.addresses[1].address;
    (eni, path, address)
}

fn addresses(w: &mut World, token: &str, path: &str) -> Vec<String> {
    let response = get(w, token, &format!("{path}/local-ipv4s"));
    response.body.lines().map(str::to_owned).collect()
}

#[test]
fn a_token_is_refused_as_often_as_asked_and_then_issued() {
    let mut w = World::new();
    let refusal = Refusal::new("/api/token", 401).times(2);
    w.vpc.faults_mut().refuse(refusal);
    let statuses: Vec<u16> = (0..3).map(|_| put(&mut w).status).collect();
    assert_eq!(statuses, [401, 401, 200]);
}

#[test]
fn throttling_says_when_to_come_back_and_ends_at_its_time() {
    let mut w = World::new();
    let token = put(&mut w).body;
    let refusal = Refusal::new("/mac", 429).retry_after(7).until(LATER);
    w.vpc.faults_mut().refuse(refusal);
    let response = get(&mut w, &token, "/latest/meta-data/mac");
    assert_eq!((response.status, response.retry_after_secs), (429, Some(7)));
    assert!(
        w.vpc
            .read_metadata(w.now, &w.node)
            .unwrap_err()
            .contains("429")
    );
    w.now = LATER;
    let response = get(&mut w, &token, "/latest/meta-data/mac");
    assert_eq!((response.status, response.retry_after_secs), (200, None));
    assert!(w.vpc.read_metadata(w.now, &w.node).is_ok());
}

#[test]
fn an_answer_takes_as_long_as_asked() {
    let mut w = World::new();
    assert_eq!(put(&mut w).delay, Duration::ZERO);
    w.vpc
        .faults_mut()
        .delay_imds(Delay::exactly(Duration::from_millis(1_500)));
    assert_eq!(put(&mut w).delay, Duration::from_millis(1_500));
    w.vpc.faults_mut().clear();
    assert_eq!(put(&mut w).delay, Duration::ZERO);
}

#[test]
fn an_enis_fields_are_missing_for_a_while() {
    let mut w = World::new();
    let token = put(&mut w).body;
    let (eni, path, address) = second(&mut w);
    w.vpc
        .lie_to(&w.node.clone(), Lie::NoFields(eni.clone()), LATER);
    assert_eq!(
        get(&mut w, &token, &path).body,
        "mac",
        "listed all the same"
    );
    assert_eq!(
        get(&mut w, &token, &format!("{path}/interface-id")).status,
        404
    );
    let read = w.vpc.metadata(w.now, &w.node).unwrap();
    let listed = read.interfaces.iter().find(|i| i.id.is_none()).unwrap();
    assert!(listed.addresses.is_empty() && listed.card == NetworkCard(0));
    w.now = LATER;
    assert!(addresses(&mut w, &token, &path).contains(&address.to_string()));
}

#[test]
fn the_primary_enis_groups_may_be_missing_and_nothing_else_of_it() {
    let mut w = World::new();
    w.vpc.faults_mut().fail_imds("/security-group-ids", 404);
    assert!(
        w.vpc
            .read_metadata(w.now, &w.node)
            .unwrap()
            .groups
            .is_empty()
    );
    let primary = w.primary();
    w.vpc.lie_to(&w.node.clone(), Lie::NoFields(primary), LATER);
    assert!(w.vpc.read_metadata(w.now, &w.node).is_err());
}

#[test]
fn imds_hides_and_makes_up_enis_and_addresses_and_ec2_does_not() {
    let mut w = World::new();
    let token = put(&mut w).body;
    let (eni, path, address) = second(&mut w);
    let gone = w.vpc.interface(&eni).unwrap().clone();
    let node = w.node.clone();
    let made_up = Ipv4Addr::new(10, 0, 1, 251);

    w.vpc
        .lie_to(&node, Lie::HiddenAddress(eni.clone(), address), LATER);
    w.vpc
        .lie_to(&node, Lie::ExtraAddress(eni.clone(), made_up), LATER);
    let listed = addresses(&mut w, &token, &path);
    assert!(!listed.contains(&address.to_string()) && listed.contains(&made_up.to_string()));

    w.vpc
        .lie_to(&node, Lie::HiddenInterface(eni.clone()), LATER);
    assert_eq!(get(&mut w, &token, &path).status, 404);
    assert_eq!(w.vpc.metadata(w.now, &node).unwrap().interfaces.len(), 1);
    assert_eq!(w.vpc.interface(&eni).unwrap(), &gone, "the truth stands");

    w.vpc.stop_lying();
    let mut elsewhere = gone;
    elsewhere.id = "eni-0123456789abcdef0".parse().unwrap();
    elsewhere.mac.0[5] ^= 0xff;
    w.vpc
        .lie_to(&node, Lie::ExtraInterface(Box::new(elsewhere)), LATER);
    assert_eq!(w.vpc.metadata(w.now, &node).unwrap().interfaces.len(), 3);
    w.now = LATER;
    assert_eq!(w.vpc.metadata(w.now, &node).unwrap().interfaces.len(), 2);
}

#[test]
fn imds_stays_as_it_was_while_the_account_goes_on() {
    let mut w = World::new();
    let node = w.node.clone();
    w.vpc.freeze_imds(w.now, &node, LATER);
    second(&mut w);
    assert_eq!(w.vpc.metadata(w.now, &node).unwrap().interfaces.len(), 1);
    w.now = LATER;
    assert_eq!(w.vpc.metadata(w.now, &node).unwrap().interfaces.len(), 2);
}

#[test]
fn a_crowded_account_leaves_a_share_of_every_bucket() {
    let mut w = World::new();
    w.vpc.buckets_mut().enable_shared(20);
    let describe = vpc::Request::DescribeInterfaces(DescribeInterfaces {
        filters: vec![Filter::new("tag:a", "b")],
        ..Default::default()
    });
    let mut ok_at = |millis| {
        w.now = Instant(millis);
        (0..9).filter(|_| w.ask(describe.clone()).is_ok()).count()
    };
    assert_eq!(ok_at(0), 2, "100 × 2 %");
    assert_eq!(ok_at(2_499), 0);
    assert_eq!(ok_at(2_500), 1, "20/s × 2 %");
    w.vpc.buckets_mut().disable();
    assert_eq!(
        (0..999).filter(|_| w.ask(describe.clone()).is_ok()).count(),
        999
    );
}

#[test]
fn a_call_takes_its_time_gets_lost_or_is_refused_as_its_verdict_says() {
    let mut w = World::new();
    w.vpc.faults_mut().add(Chance {
        action: Some(Action::CreateTags),
        permille: 1000,
        verdict: Verdict::applied_and_lost(),
        before: Delay::exactly(Duration::from_secs(3)),
        after: Delay::exactly(Duration::from_secs(4)),
    });
    let verdict = w.vpc.judge(Action::CreateTags);
    assert_eq!(
        (verdict.before, verdict.after, verdict.outcome),
        (
            Duration::from_secs(3),
            Duration::from_secs(4),
            Outcome::Lost
        )
    );
    assert_eq!(w.vpc.judge(Action::DescribeSubnets), Verdict::default());
}
