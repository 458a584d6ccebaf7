//! What the owner does with requests, answers and the end, with a machine that never gets its metadata.

use super::*;
use crate::inbox::{Events, Requests, inbox};
use crate::run::{disk, ec2, imds};
use crate::testing::Folder;
use futures::FutureExt;
use futures::future::BoxFuture;
use ipam::boot::Restored;
use model::allocation::{Allocation, BootId, Checkpoint, Extension};
use model::call::{Call, Reply};
use model::error::CallError;
use model::imds::InstanceMetadata;
use model::pod::{PodKey, PodName};
use model::reason::Reason;
use model::settings::NodeSettings;
use model::time::WallTime;
use std::sync::Arc;

struct Silence;

impl ec2::Ec2 for Silence {
    fn perform(&self, _call: Call, _deadline: Duration) -> BoxFuture<'_, Result<Reply, CallError>> {
        std::future::pending().boxed()
    }
}

impl imds::Imds for Silence {
    fn fetch(&self, _deadline: Duration) -> BoxFuture<'_, Result<InstanceMetadata, String>> {
        std::future::pending().boxed()
    }
}

fn key(container: &str) -> PodKey {
    PodKey {
        network: "aws-cni".into(),
        container: container.into(),
        interface: "eth0".into(),
    }
}

fn pod() -> PodName {
    PodName {
        namespace: "default".into(),
        name: "web-1".into(),
    }
}

fn add(container: &str) -> Request {
    Request::Add {
        key: key(container),
        pod: pod(),
        deadline: clock::boot().after(Duration::from_secs(60)),
    }
}

fn del(container: &str) -> Request {
    Request::Del {
        key: key(container),
        deadline: clock::boot().after(Duration::from_secs(60)),
    }
}

/// A machine that took over one allocation, of container `held`.
fn owner(folder: &Folder) -> (Owner, Events, Requests) {
    let boot_id = BootId("this boot".into());
    let address = "10.0.0.9".parse().unwrap();
    let held = Allocation {
        key: key("held"),
        pod: pod(),
        address,
        since: WallTime(1),
        interfaces: 1,
    };
    let extension = Extension {
        boot_id: boot_id.clone(),
        cooling: vec![],
    };
    let checkpoint = Some(Checkpoint {
        allocations: vec![held],
        extension: Some(extension),
    });
    let node = Node::new(
        NodeSettings::default(),
        Restored {
            checkpoint,
            journal: vec![],
            boot_id,
        },
        1,
    );
    let (inbox, events, requests) = inbox(8);
    let disk = disk::Runner::spawn(
        &folder.path().join("ipam.json"),
        &folder.path().join("intents.json"),
    )
    .unwrap();
    let imds = imds::Runner::new(Arc::new(Silence), watch::channel(None).0);
    let runners = Runners {
        events: events.clone(),
        ec2: Arc::new(Silence),
        imds,
        disk,
        host: watch::channel(None).0,
    };
    (Owner::new(node, inbox, runners).0, events, requests)
}

fn test(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), future)
            .await
            .expect("within 20 s")
    });
}

#[test]
fn an_add_whose_caller_left_before_it_was_seen_never_was() {
    test(async {
        let folder = Folder::new();
        let (mut owner, _events, requests) = owner(&folder);
        drop(requests.ask(add("new")).unwrap());
        let arrival = owner.inbox.arrivals.recv().await.unwrap();
        owner.receive(arrival);
        assert_eq!(owner.node.view(clock::boot()).waiters, 0);
        assert!(owner.callers.is_empty());
    });
}

#[test]
fn a_del_whose_caller_left_before_it_was_seen_is_done_all_the_same() {
    test(async {
        let folder = Folder::new();
        let (owner, _events, requests) = owner(&folder);
        drop(requests.ask(del("held")).unwrap());
        let again = requests.ask(del("held")).unwrap();
        let task = tokio::spawn(owner.run());
        assert_eq!(again.answer().await, Some(Answer::UnknownPod));
        task.abort();
    });
}

#[test]
fn a_caller_that_leaves_while_it_waits_is_forgotten() {
    test(async {
        let folder = Folder::new();
        let (mut owner, _events, requests) = owner(&folder);
        let pending = requests.ask(add("new")).unwrap();
        let arrival = owner.inbox.arrivals.recv().await.unwrap();
        owner.receive(arrival);
        assert_eq!(
            (owner.node.view(clock::boot()).waiters, owner.callers.len()),
            (1, 1)
        );
        drop(pending);
        let event = owner.inbox.events.recv().await.unwrap();
        owner.turn(event);
        assert_eq!(
            (owner.node.view(clock::boot()).waiters, owner.callers.len()),
            (0, 0)
        );
    });
}

#[test]
fn the_owner_ends_when_told_to_stop_and_everybody_has_an_answer() {
    test(async {
        let folder = Folder::new();
        let (owner, events, requests) = owner(&folder);
        let task = tokio::spawn(owner.run());
        let waiting = requests.ask(add("new")).unwrap();
        let released = requests.ask(del("held")).unwrap();
        assert!(matches!(released.answer().await, Some(Answer::Deleted(_))));
        events.send(Event::Shutdown);
        assert_eq!(
            waiting.answer().await,
            Some(Answer::Refused(Reason::Stopping))
        );
        task.await.unwrap();
        let written = std::fs::read(folder.path().join("ipam.json")).unwrap();
        assert_eq!(
            ledger::checkpoint::decode(&written).unwrap().allocations,
            []
        );
    });
}

#[test]
fn each_turn_is_seen_by_who_watches_the_owner() {
    test(async {
        let folder = Folder::new();
        let (mut owner, _events, _requests) = owner(&folder);
        let mut progress = owner.progress.subscribe();
        let before = progress.borrow_and_update().turned;
        owner.turn(Event::Timer);
        assert!(progress.has_changed().unwrap());
        let seen = progress.borrow_and_update().clone();
        assert!(!seen.serving && seen.turned >= before, "{seen:?}");
    });
}

#[test]
fn what_has_ended_is_seen_before_requests_that_came_earlier() {
    test(async {
        let folder = Folder::new();
        let (owner, events, requests) = owner(&folder);
        let waiting = requests.ask(add("new")).unwrap();
        // Had the ADD been seen first, this would end it.
        events.send(Event::Abandoned(RequestId(1)));
        let seen = requests.ask(del("held")).unwrap();
        let task = tokio::spawn(owner.run());
        assert!(matches!(seen.answer().await, Some(Answer::Deleted(_))));
        events.send(Event::Shutdown);
        assert_eq!(
            waiting.answer().await,
            Some(Answer::Refused(Reason::Stopping))
        );
        task.await.unwrap();
    });
}
