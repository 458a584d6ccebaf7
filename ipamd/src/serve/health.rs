//! The health service: alive and ready, never capacity.
//!
//! Owns: when the node task counts as stuck. Must not: make the liveness services depend on EC2, IMDS or the pool: a
//! restart cures none of those. Driven by: kubelet's probes; the watching task by `app`.

use crate::clock;
use crate::inbox::Events;
use crate::owner::Progress;
use ipam::event::Event;
use model::time::Instant;
use std::time::Duration;
use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};

/// What upstream's manifests probe, besides the empty name.
pub const ALIVE: &str = "grpc.health.v1.aws-node";
/// Serving when start-up has finished.
pub const READY: &str = "ready";

/// The node task is stuck when it has not turned for this long.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// How often it is poked; poking is a superfluous timer.
const POKE_EVERY: Duration = Duration::from_secs(10);

/// The service, alive and not ready, and what changes it.
pub async fn service() -> (HealthServer<impl Health>, HealthReporter) {
    let (reporter, server) = health_reporter();
    reporter
        .set_service_status("", ServingStatus::Serving)
        .await;
    reporter
        .set_service_status(ALIVE, ServingStatus::Serving)
        .await;
    reporter
        .set_service_status(READY, ServingStatus::NotServing)
        .await;
    (server, reporter)
}

/// Pokes the node task and reports what it does, until that task has ended.
pub async fn watch_forever(
    reporter: HealthReporter,
    mut progress: watch::Receiver<Progress>,
    events: Events,
) {
    let mut poke = tokio::time::interval(POKE_EVERY);
    poke.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = (true, false);
    loop {
        tokio::select! {
            biased;
            changed = progress.changed() => if changed.is_err() { return },
            _ = poke.tick() => events.send(Event::Timer),
        }
        let seen = progress.borrow_and_update().clone();
        let now = (is_alive(seen.turned, clock::boot()), seen.serving);
        if now != told {
            tell(&reporter, now).await;
            told = now;
        }
    }
}

async fn tell(reporter: &HealthReporter, (alive, ready): (bool, bool)) {
    let status = |yes| {
        if yes {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    };
    if !alive {
        tracing::error!(
            seconds = STUCK_AFTER.as_secs(),
            "the node task has not turned; reporting not serving"
        );
    }
    for name in ["", ALIVE] {
        reporter.set_service_status(name, status(alive)).await;
    }
    reporter.set_service_status(READY, status(ready)).await;
}

fn is_alive(turned: Instant, now: Instant) -> bool {
    now.since(turned) < STUCK_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_has_not_turned_for_30_seconds_is_not_alive() {
        assert!(is_alive(Instant(1_000), Instant(30_999)));
        assert!(!is_alive(Instant(1_000), Instant(31_000)));
        assert!(
            is_alive(Instant(9_000), Instant(1_000)),
            "a clock read a little earlier is no age"
        );
    }
}
