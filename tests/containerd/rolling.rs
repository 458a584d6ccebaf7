//! A DaemonSet that is replaced every three seconds for a minute while pods come and go: nothing fails, nothing is lost.

use e2e::cluster::{Cluster, Release, endures};
use e2e::traffic::{Stream, unbroken};
use lab::cri::watch::StatusWatch;
use lab::kubelet::daemon::DaemonPod;
use lab::kubelet::sandbox::PodRequest;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(3);

#[test]
fn replacing_the_daemon_every_three_seconds_fails_no_sandbox() {
    let (cluster, mut daemons) =
        Cluster::ready("containerd/rolling", &["m5.large", "m5.large"], &[]);
    let (a, c) = (
        cluster.run(0, &PodRequest::new("a")),
        cluster.run(1, &PodRequest::new("c")),
    );
    let inside = a.namespaces().unwrap();
    let stream = Stream {
        from: &inside,
        address: a.ip(),
        target: c.ip(),
    };
    let status = StatusWatch::start(cluster.kubelet(0).cri().clone()).unwrap();
    let first = daemons.remove(0);
    let ((sandboxes, replaced), _) = unbroken(&[stream], || {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..2)
                .map(|worker| {
                    scope.spawn({
                        let (cluster, over) = (&cluster, &over);
                        move || churn(cluster, worker, over)
                    })
                })
                .collect();
            // The workers must end when this thread fails.
            let replaced =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| replace(&cluster, first)));
            over.store(true, Ordering::Relaxed);
            let sandboxes: usize = workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum();
            (
                sandboxes,
                replaced.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            )
        })
    });
    let (count, _last) = replaced;
    println!("{sandboxes} sandboxes came and went while the daemon was replaced {count} times");
    assert!(
        sandboxes >= 20 && count >= 8,
        "{sandboxes} sandboxes, {count} daemons"
    );
    let seen = status.end();
    assert_eq!(
        seen.troubles,
        Vec::<String>::new(),
        "the node has a network throughout"
    );
    cluster.holds_exactly_after_a_sweep(0, &[&a]);
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

fn churn(cluster: &Cluster, worker: usize, over: &AtomicBool) -> usize {
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        let pod = cluster.run(0, &PodRequest::new(&format!("guest-{worker}-{count}")));
        cluster.delete(&pod);
        count += 1;
    }
    count
}
