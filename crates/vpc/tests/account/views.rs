//! What each view sees when: lags move news, never truth, and no view goes back.

use crate::world::{World, attach};
use model::eni::EniStatus;
use model::id::EniId;
use model::time::{Duration, Instant};
use vpc::{
    Answer, Code, CreateInterface, Delay, DescribeInterfaces, Filter, InterfaceView, Request, Tags,
    Wanted,
};

fn seconds(secs: u64) -> Delay {
    Delay::exactly(Duration::from_secs(secs))
}

fn described(w: &mut World, at: u64, eni: &EniId) -> Result<InterfaceView, Code> {
    w.now = Instant(at);
    let describe = DescribeInterfaces {
        ids: vec![eni.clone()],
        ..Default::default()
    };
    match w.ask(Request::DescribeInterfaces(describe)) {
        Ok(Answer::Interfaces { mut interfaces, .. }) => Ok(interfaces.remove(0)),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.code),
    }
}

#[test]
fn describes_show_a_create_late_and_a_delete_late() {
    let mut w = World::new();
    w.vpc.lag_mut().describe = seconds(10);
    let eni = w.create(Wanted::Count(2));
    assert_eq!(
        described(&mut w, 9_999, &eni).unwrap_err(),
        Code::InterfaceNotFound
    );
    assert_eq!(
        described(&mut w, 10_000, &eni)
            .unwrap()
            .interface
            .addresses
            .len(),
        3
    );
    w.ask(Request::DeleteNetworkInterface { eni: eni.clone() })
        .unwrap();
    assert_eq!(w.vpc.interface(&eni), None, "gone in truth");
    assert!(described(&mut w, 19_999, &eni).is_ok(), "still listed");
    assert_eq!(
        described(&mut w, 20_000, &eni).unwrap_err(),
        Code::InterfaceNotFound
    );
}

#[test]
fn tags_of_a_create_are_seen_later_than_the_eni_by_describes_and_filters() {
    let mut w = World::new();
    w.vpc.lag_mut().tags = seconds(7);
    let tags = Tags::from([("owner".to_owned(), "us".to_owned())]);
    let eni = w
        .created(CreateInterface {
            tags,
            ..CreateInterface::in_subnet(w.subnet.clone())
        })
        .interface
        .id;
    let found = |w: &mut World, at| {
        w.now = Instant(at);
        let describe = DescribeInterfaces {
            filters: vec![Filter::new("tag:owner", "us")],
            ..Default::default()
        };
        let Ok(Answer::Interfaces { interfaces, .. }) =
            w.ask(Request::DescribeInterfaces(describe))
        else {
            panic!()
        };
        interfaces.len()
    };
    assert!(
        described(&mut w, 1, &eni)
            .unwrap()
            .interface
            .tags
            .is_empty()
    );
    assert_eq!(found(&mut w, 6_999), 0);
    assert_eq!(found(&mut w, 7_000), 1);
}

#[test]
fn an_attach_takes_its_time_and_the_device_and_imds_come_after_it() {
    let mut w = World::new();
    let lag = w.vpc.lag_mut();
    (lag.attach, lag.link, lag.imds) = (seconds(2), seconds(1), seconds(5));
    let eni = w.create(Wanted::Count(1));
    w.now = Instant(10_000);
    w.attach(&eni, 1);
    assert_eq!(
        described(&mut w, 11_999, &eni).unwrap().status,
        EniStatus::Attaching
    );
    assert_eq!(
        described(&mut w, 12_000, &eni).unwrap().status,
        EniStatus::InUse
    );
    let links = |w: &World, at| w.vpc.links(Instant(at), &w.node).len();
    assert_eq!((links(&w, 12_999), links(&w, 13_000)), (1, 2));
    let listed = |w: &World, at| {
        w.vpc
            .metadata(Instant(at), &w.node)
            .unwrap()
            .interfaces
            .len()
    };
    assert_eq!((listed(&w, 16_999), listed(&w, 17_000)), (1, 2));
    let events: Vec<_> = std::iter::successors(w.vpc.next_event(Instant(12_000)), |at| {
        w.vpc.next_event(*at)
    })
    .collect();
    assert_eq!(events, [Instant(13_000), Instant(17_000)]);
}

#[test]
fn a_later_change_is_never_shown_before_an_earlier_one() {
    let mut w = World::new();
    let eni = w.create(Wanted::Count(0));
    w.vpc.lag_mut().link = seconds(60);
    w.attach(&eni, 1);
    w.vpc.lag_mut().link = seconds(0);
    w.now = Instant(1_000);
    w.ask(crate::world::assign(&eni, Wanted::Count(1))).unwrap();
    assert_eq!(
        w.vpc.links(Instant(59_999), &w.node).len(),
        1,
        "the assign does not bring the device forward"
    );
    assert_eq!(w.vpc.links(Instant(60_000), &w.node).len(), 2);
}

#[test]
fn a_detaching_eni_cannot_be_deleted_and_its_device_is_gone_at_once() {
    let mut w = World::new();
    let eni = w.create(Wanted::Count(0));
    let attachment = w.attach(&eni, 1);
    w.vpc.lag_mut().detach = seconds(3);
    w.ask(Request::DetachNetworkInterface {
        attachment,
        force: false,
    })
    .unwrap();
    assert_eq!(
        described(&mut w, 2_999, &eni).unwrap().status,
        EniStatus::Detaching
    );
    assert_eq!(w.vpc.links(w.now, &w.node).len(), 1);
    assert_eq!(
        w.code(Request::DeleteNetworkInterface { eni: eni.clone() }),
        Code::InvalidParameterValue
    );
    assert_eq!(
        w.code(attach(&eni, &w.node.clone(), 1)),
        Code::InterfaceInUse
    );
    assert_eq!(
        described(&mut w, 3_000, &eni).unwrap().status,
        EniStatus::Available
    );
    assert_eq!(
        w.ask(Request::DeleteNetworkInterface { eni }),
        Ok(Answer::Done)
    );
}

#[test]
fn the_same_seed_and_requests_give_the_same_account() {
    let history = |seed| {
        let mut vpc = vpc::Vpc::new(seed);
        let caller = vpc::Caller::Operator;
        let Ok(Answer::Vpc(network)) = vpc.request(
            Instant(0),
            &caller,
            Request::CreateVpc {
                cidr: crate::world::cidr("10.0.0.0/16"),
            },
        ) else {
            panic!()
        };
        let create = Request::CreateSubnet {
            vpc: network,
            cidr: crate::world::cidr("10.0.0.0/24"),
            zone: "eu-central-1a".to_owned(),
            tags: Tags::new(),
        };
        let Ok(Answer::Subnet(subnet)) = vpc.request(Instant(0), &caller, create) else {
            panic!()
        };
        let create = CreateInterface {
            wanted: Wanted::Count(5),
            ..CreateInterface::in_subnet(subnet.record.id)
        };
        format!(
            "{:?}",
            vpc.request(Instant(0), &caller, Request::CreateNetworkInterface(create))
        )
    };
    assert_eq!(history(3), history(3));
    assert_ne!(history(3), history(4));
}

#[test]
fn the_end_of_a_detach_is_announced_to_those_who_slept_through_it() {
    let mut w = World::new();
    let eni = w.create(Wanted::Count(0));
    let attachment = w.attach(&eni, 1);
    (w.vpc.lag_mut().detach, w.vpc.lag_mut().describe) = (seconds(2), seconds(5));
    let detach = Request::DetachNetworkInterface {
        attachment,
        force: false,
    };
    w.ask(detach).unwrap();
    // Nobody asked anything when the detach ended, at 2 s; describes show it 5 s later.
    assert_eq!(w.vpc.next_event(Instant(6_000)), Some(Instant(7_000)));
    assert_eq!(
        described(&mut w, 6_999, &eni).unwrap().status,
        EniStatus::Detaching
    );
    assert_eq!(
        described(&mut w, 7_000, &eni).unwrap().status,
        EniStatus::Available
    );
}
