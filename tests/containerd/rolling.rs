//! A DaemonSet that is replaced every three seconds for a minute while pods come and go: nothing fails, nothing is lost.

use crate::steady::Steady;
use e2e::cluster::{Cluster, Release, endures};
use lab::kubelet::daemon::DaemonPod;
use lab::kubelet::sandbox::PodRequest;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(3);

#[test]
fn replacing_the_daemon_every_three_seconds_fails_no_sandbox() {
    let (mut steady, mut daemons) = Steady::new("containerd/rolling");
    let first = daemons.remove(0);
    let (sandboxes, count) = steady.ready_meanwhile(|cluster| {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let workers = [0, 1].map(|worker| {
                scope.spawn({
                    let over = &over;
                    move || churn(cluster, worker, over)
                })
            });
            // The workers end when this thread fails, too.
            let ending = Ending(&over);
            let (count, _last) = replace(cluster, first);
            drop(ending);
            (
                workers
                    .map(|worker| worker.join().unwrap())
                    .iter()
                    .sum::<usize>(),
                count,
            )
        })
    });
    assert!(
        sandboxes >= 20 && count >= 8,
        "{sandboxes} sandboxes, {count} daemons"
    );
    steady.is_alone_again();
}

/// Deletes the pod and runs the next one, as a DaemonSet without surge does.
fn replace(cluster: &Cluster, mut pod: DaemonPod) -> (usize, DaemonPod) {
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < LONG {
        endures(began, EVERY * u32::try_from(count + 1).unwrap());
        pod.delete().unwrap();
        let release = if count % 2 == 0 {
            Release::Next
        } else {
            Release::This
        };
        pod = cluster.deploy(0, release, &[]);
        count += 1;
    }
    (count, pod)
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn churn(cluster: &Cluster, worker: usize, over: &AtomicBool) -> usize {
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        let pod = cluster.run(0, &PodRequest::new(&format!("guest-{worker}-{count}")));
        cluster.delete(&pod);
        count += 1;
    }
    count
}
