//! Packets of pods: pings that must arrive, and pings that go on while something happens. Driven by tests.
//! Must not: decide which packets should arrive.

use lab::fabric::counters::Echoes;
use lab::namespace::Namespaces;
use lab::ping::{Ping, Pinged, ping as ping_from};
use lab::runtime::pod::Pod;
use lab::scene::Scene;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long an answer may take on a loaded machine before the echo counts as lost.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two echoes of a stream.
const PACE: Duration = Duration::from_millis(5);
/// How long an answer that should not come is waited for.
const SILENCE: Duration = Duration::from_millis(300);

/// Sends `count` echoes that all must be answered.
///
/// # Panics
/// When one is lost.
#[track_caller]
pub fn reaches(from: &Pod<'_>, target: Ipv4Addr, count: u16) {
    let pinged = ping(from, target, count, ANSWER);
    assert!(
        pinged.all_arrived(),
        "{} -> {target}: {pinged:?}",
        from.address
    );
}

/// Sends one echo that must not be answered.
///
/// # Panics
/// When it is.
#[track_caller]
pub fn does_not_reach(from: &Pod<'_>, target: Ipv4Addr) {
    let pinged = ping(from, target, 1, SILENCE);
    assert_eq!(pinged.received, 0, "{} -> {target}", from.address);
}

#[track_caller]
fn ping(from: &Pod<'_>, target: Ipv4Addr, count: u16, timeout: Duration) -> Pinged {
    let question = Ping {
        target,
        source: None,
        count,
        timeout,
    };
    from.ping(question)
        .unwrap_or_else(|error| panic!("{} -> {target}: {error}", from.address))
}

/// What the fabric delivered of echoes from one address to another.
pub fn delivered(scene: &Scene, from: Ipv4Addr, to: Ipv4Addr) -> Echoes {
    scene
        .counters()
        .echoes
        .get(&(from, to))
        .copied()
        .unwrap_or_default()
}

/// Echoes from one place to another without a pause.
#[derive(Debug, Clone, Copy)]
pub struct Stream<'a> {
    /// The namespaces they leave from.
    pub from: &'a Namespaces,
    /// The address they leave with, for messages.
    pub address: Ipv4Addr,
    /// Whom they are for.
    pub target: Ipv4Addr,
}

/// [`unbroken`] between pods and addresses.
///
/// # Panics
/// When an echo is lost.
#[track_caller]
pub fn undisturbed<T>(pairs: &[(&Pod<'_>, Ipv4Addr)], work: impl FnOnce() -> T) -> (T, u32) {
    let streams: Vec<Stream<'_>> = pairs
        .iter()
        .map(|(pod, target)| Stream {
            from: pod.namespaces(),
            address: pod.address,
            target: *target,
        })
        .collect();
    unbroken(&streams, work)
}

/// Pings along each stream without a pause while `work` runs; every echo must be answered. Returns what `work` returned
/// and how many echoes there were.
///
/// # Panics
/// When an echo is lost.
#[track_caller]
pub fn unbroken<T>(streams: &[Stream<'_>], work: impl FnOnce() -> T) -> (T, u32) {
    let over = AtomicBool::new(false);
    let (result, counts) = std::thread::scope(|scope| {
        let streams: Vec<_> = streams
            .iter()
            .map(|stream| scope.spawn(|| go_on(*stream, &over)))
            .collect();
        // The streams must end when the work fails, or its panic would wait for them for ever.
        let ending = Ending(&over);
        let result = work();
        drop(ending);
        let counts: Vec<_> = streams
            .into_iter()
            .map(|stream| stream.join().expect("no panic inside"))
            .collect();
        (result, counts)
    });
    for (stream, (sent, lost)) in streams.iter().zip(&counts) {
        let Stream {
            address, target, ..
        } = stream;
        assert!(
            *sent > 0 && *lost == 0,
            "{address} -> {target}: {lost} of {sent} echoes lost"
        );
    }
    (result, counts.iter().map(|(sent, _)| sent).sum())
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn go_on(stream: Stream<'_>, over: &AtomicBool) -> (u32, u32) {
    let question = Ping {
        target: stream.target,
        source: None,
        count: 1,
        timeout: ANSWER,
    };
    let (mut sent, mut lost) = (0, 0);
    // At least one more after the end: what the work did last must not have hurt either.
    let mut last = false;
    while !last {
        last = over.load(Ordering::Relaxed);
        let pinged = ping_from(stream.from, question)
            .unwrap_or_else(|error| panic!("{} -> {}: {error}", stream.address, stream.target));
        sent += 1;
        lost += u32::from(!pinged.all_arrived());
        std::thread::park_timeout(PACE);
    }
    (sent, lost)
}
