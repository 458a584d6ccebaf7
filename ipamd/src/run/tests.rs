//! One completion per effect, whatever the outside does.

use super::*;
use crate::inbox::{Inbox, inbox};
use futures::FutureExt;
use futures::future::BoxFuture;
use ipam::event::{Event, OpId, Outcome};
use model::call::{Call, Reply};
use model::error::CallError;
use model::imds::InstanceMetadata;
use std::time::Duration;

enum Fake {
    Done,
    Silent,
    Panicking,
}

impl ec2::Ec2 for Fake {
    fn perform(&self, _call: Call, _deadline: Duration) -> BoxFuture<'_, Result<Reply, CallError>> {
        match self {
            Self::Done => std::future::ready(Ok(Reply::Done)).boxed(),
            Self::Silent => std::future::pending().boxed(),
            Self::Panicking => async { panic!("planned by the test") }.boxed(),
        }
    }
}

impl imds::Imds for Fake {
    fn fetch(&self, _deadline: Duration) -> BoxFuture<'_, Result<InstanceMetadata, String>> {
        match self {
            Self::Done => std::future::ready(Ok(metadata())).boxed(),
            Self::Silent => std::future::ready(Err("mac: 404".to_owned())).boxed(),
            Self::Panicking => async { panic!("planned by the test") }.boxed(),
        }
    }
}

fn metadata() -> InstanceMetadata {
    InstanceMetadata {
        instance: "i-1".parse().unwrap(),
        instance_type: "m5.large".into(),
        region: "eu-central-1".into(),
        zone: "eu-central-1a".into(),
        local_ipv4: "10.0.0.4".parse().unwrap(),
        primary_mac: "02:00:00:00:00:01".parse().unwrap(),
        vpc: "vpc-1".parse().unwrap(),
        subnet: "subnet-1".parse().unwrap(),
        vpc_cidrs: vec![],
        groups: vec![],
        interfaces: vec![],
    }
}

/// The only event that comes of it.
fn outcome(start: impl FnOnce(&Events)) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut inbox, events, requests): (Inbox, _, _) = inbox(1);
        start(&events);
        // With the senders of the test gone, the channel closes with the runner's.
        drop((events, requests));
        let Some(Event::Done(OpId(7), outcome)) = inbox.events.recv().await else {
            panic!("one completion")
        };
        assert_eq!(inbox.events.recv().await, None, "a second completion");
        outcome
    })
}

fn called(fake: Fake) -> Outcome {
    let ec2: Arc<dyn ec2::Ec2> = Arc::new(fake);
    let call = Call::DeleteInterface {
        eni: "eni-1".parse().unwrap(),
    };
    outcome(|events| ec2::start(&ec2, events.ticket(OpId(7)), call, Duration::from_millis(1)))
}

#[test]
fn an_ec2_call_is_completed_once_with_its_reply_or_as_unknown() {
    assert_eq!(called(Fake::Done), Outcome::Called(Ok(Reply::Done)));
    assert_eq!(called(Fake::Silent), Outcome::Unknown);
    assert_eq!(called(Fake::Panicking), Outcome::Unknown);
}

#[test]
fn metadata_are_published_when_their_read_is_completed_and_a_failure_leaves_the_older_ones() {
    let read = |fake, identity: &watch::Sender<imds::Identity>| {
        let runner = imds::Runner::new(Arc::new(fake), identity.clone());
        outcome(|events| runner.start(events.ticket(OpId(7))))
    };
    let identity = watch::channel(None).0;
    assert_eq!(
        read(Fake::Silent, &identity),
        Outcome::Imds(Err("mac: 404".into()))
    );
    assert_eq!(*identity.borrow(), None);
    assert_eq!(
        read(Fake::Done, &identity),
        Outcome::Imds(Ok(Box::new(metadata())))
    );
    assert_eq!(identity.borrow().as_deref(), Some(&metadata()));
    assert_eq!(read(Fake::Panicking, &identity), Outcome::Unknown);
    assert_eq!(identity.borrow().as_deref(), Some(&metadata()));
}
