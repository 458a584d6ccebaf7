//! The host task with a kernel of the test's own; the pace as a function of time.

use super::*;
use crate::inbox::{Inbox, inbox};
use model::id::EniId;
use model::mac::Mac;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// ENIs become ready when their link is there.
#[derive(Default)]
struct Fake {
    links: Mutex<BTreeSet<Mac>>,
    applied: Mutex<Vec<HostDesired>>,
}

impl Kernel for Fake {
    fn links(&self) -> Result<LinkView, String> {
        Ok(LinkView {
            macs: self.links.lock().unwrap().clone(),
            ..LinkView::default()
        })
    }

    fn ensure(&self, desired: &HostDesired) -> Applied {
        self.applied.lock().unwrap().push(desired.clone());
        let links = self.links.lock().unwrap();
        let (there, missing): (Vec<_>, Vec<_>) = desired
            .enis
            .iter()
            .partition(|eni| links.contains(&eni.mac));
        Applied {
            report: HostReport {
                ready: there.iter().map(|eni| eni.id.clone()).collect(),
                failed: missing
                    .iter()
                    .map(|eni| (eni.id.clone(), "no link".to_owned()))
                    .collect(),
            },
            ..Applied::default()
        }
    }
}

fn eni() -> EniId {
    "eni-1".parse().unwrap()
}

fn desired() -> HostDesired {
    let eni = ipam::effect::HostEni {
        id: eni(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        address: "10.0.0.5".parse().unwrap(),
        subnet: "10.0.0.0/24".parse().unwrap(),
        table: model::card::RouteTable(2),
    };
    HostDesired {
        primary: Mac([2, 0, 0, 0, 0, 0]),
        address: "10.0.0.4".parse().unwrap(),
        vpc: vec!["10.0.0.0/16".parse().unwrap()],
        enis: vec![eni],
        gone: vec![],
        leftovers: vec![],
    }
}

struct Rig {
    kernel: Arc<Fake>,
    desired: watch::Sender<Desired>,
    changed: watch::Sender<u64>,
    inbox: Inbox,
}

fn rig() -> (Rig, Host) {
    let kernel = Arc::new(Fake::default());
    let (desired, wanted) = watch::channel(None);
    let (changed, changes) = watch::channel(0);
    let (inbox, events, _requests) = inbox(1);
    let host = Host {
        kernel: kernel.clone(),
        desired: wanted,
        changed: changes,
        events,
    };
    (
        Rig {
            kernel,
            desired,
            changed,
            inbox,
        },
        host,
    )
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), test)
            .await
            .expect("within 20 s")
    });
}

impl Rig {
    async fn next_report(&mut self) -> (u64, HostReport) {
        loop {
            if let Event::HostState(version, report) = self.inbox.events.recv().await.unwrap() {
                return (version, report);
            }
        }
    }
}

#[test]
fn links_are_told_at_start_before_anything_is_desired() {
    run(async {
        let (mut rig, host) = rig();
        rig.kernel
            .links
            .lock()
            .unwrap()
            .insert(Mac([2, 0, 0, 0, 0, 9]));
        tokio::spawn(host.run_forever());
        let Event::Links(view) = rig.inbox.events.recv().await.unwrap() else {
            panic!("links first")
        };
        assert!(view.macs.contains(&Mac([2, 0, 0, 0, 0, 9])));
        assert!(rig.kernel.applied.lock().unwrap().is_empty());
    });
}

#[test]
fn a_link_that_comes_later_makes_its_eni_ready_without_a_new_version() {
    run(async {
        let (mut rig, host) = rig();
        tokio::spawn(host.run_forever());
        rig.desired.send_replace(Some((4, desired())));
        let failed = BTreeMap::from([(eni(), "no link".to_owned())]);
        assert_eq!(
            rig.next_report().await,
            (
                4,
                HostReport {
                    ready: BTreeSet::new(),
                    failed
                }
            )
        );
        rig.kernel
            .links
            .lock()
            .unwrap()
            .insert(Mac([2, 0, 0, 0, 0, 1]));
        rig.changed.send_modify(|count| *count += 1);
        let ready = HostReport {
            ready: BTreeSet::from([eni()]),
            failed: BTreeMap::new(),
        };
        assert_eq!(rig.next_report().await, (4, ready));
    });
}

#[test]
fn a_failure_is_tried_again_even_if_no_event_comes() {
    run(async {
        let (mut rig, host) = rig();
        tokio::spawn(host.run_forever());
        rig.desired.send_replace(Some((1, desired())));
        rig.next_report().await;
        rig.kernel
            .links
            .lock()
            .unwrap()
            .insert(Mac([2, 0, 0, 0, 0, 1]));
        assert_eq!(rig.next_report().await.1.ready, BTreeSet::from([eni()]));
    });
}

#[test]
fn every_new_version_is_reported_even_with_the_same_result() {
    run(async {
        let (mut rig, host) = rig();
        tokio::spawn(host.run_forever());
        let nothing = HostDesired {
            enis: vec![],
            ..desired()
        };
        for version in 1..=3 {
            rig.desired.send_replace(Some((version, nothing.clone())));
            assert_eq!(rig.next_report().await, (version, HostReport::default()));
        }
    });
}

#[test]
fn the_task_ends_with_the_owner() {
    run(async {
        let (rig, host) = rig();
        let task = tokio::spawn(host.run_forever());
        drop(rig.desired);
        task.await.unwrap();
    });
}

fn gaps(pace: &mut Pace, now: Instant, seen: Seen) -> (u64, u64) {
    let (events, again) = pace.after(now, seen);
    let millis = |at: Instant| u64::try_from(at.duration_since(now).as_millis()).unwrap();
    (millis(events), millis(again))
}

#[test]
fn failures_are_tried_again_from_200_milliseconds_to_5_seconds_and_events_at_once() {
    let (mut pace, now) = (Pace::default(), Instant::now());
    let again: Vec<_> = (0..7)
        .map(|_| gaps(&mut pace, now, Seen::Failure))
        .collect();
    assert_eq!(
        again,
        [
            (0, 200),
            (0, 400),
            (0, 800),
            (0, 1600),
            (0, 3200),
            (0, 5000),
            (0, 5000)
        ]
    );
    assert_eq!(gaps(&mut pace, now, Seen::Well), (0, 30_000));
    assert_eq!(gaps(&mut pace, now, Seen::Failure), (0, 200));
}

#[test]
fn a_program_that_insists_on_the_contrary_is_answered_more_and_more_slowly() {
    let (mut pace, now) = (Pace::default(), Instant::now());
    let mut slower = vec![];
    for _ in 0..7 {
        slower.push(gaps(&mut pace, now, Seen::Repair).0);
        // Our own change causes an event, and that look finds everything well.
        assert_eq!(gaps(&mut pace, now, Seen::Well), (0, 30_000));
    }
    assert_eq!(slower, [200, 400, 800, 1600, 3200, 5000, 5000]);
    gaps(&mut pace, now + PERIOD, Seen::Well);
    assert_eq!(
        gaps(&mut pace, now + PERIOD, Seen::Repair).0,
        200,
        "peace for 30 s ends the fight"
    );
}

#[test]
fn what_was_made_for_a_new_version_is_no_repair() {
    let applied = |changes| Applied {
        changes,
        ..Applied::default()
    };
    let look = |version, changes| Look {
        links: Ok(LinkView::default()),
        applied: Some((version, applied(changes))),
    };
    assert_eq!(look(1, 3).seen(None), Seen::Well);
    assert_eq!(look(2, 3).seen(Some(&(1, applied(0)))), Seen::Well);
    assert_eq!(look(2, 3).seen(Some(&(2, applied(0)))), Seen::Repair);
    assert_eq!(look(2, 0).seen(Some(&(2, applied(0)))), Seen::Well);
}
