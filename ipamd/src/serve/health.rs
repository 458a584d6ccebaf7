//! The health service: alive and ready, never capacity; when not ready, what start-up waits for.
//!
//! Owns: when the node task counts as stuck, what a check answers. Must not: make the liveness services depend on EC2, IMDS
//! or the pool: a restart cures none of those. Driven by: kubelet's probes (`probe`); the watching task by `daemon`.

use crate::clock;
use crate::inbox::Events;
use crate::owner::Progress;
use futures::StreamExt;
use futures::stream::BoxStream;
use ipam::event::Event;
use model::time::Instant;
use std::time::Duration;
use tokio::sync::watch;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// What upstream's manifests probe, besides the empty name.
pub const ALIVE: &str = "grpc.health.v1.aws-node";
/// Serving when start-up has finished.
pub const READY: &str = "ready";
/// Beside the answer that start-up has not finished: what it waits for, as printable ASCII of at most
/// [`LONGEST_REASON`] characters.
pub const WAITING_FOR: &str = "waiting-for";
/// Headers are small.
const LONGEST_REASON: usize = 512;

/// The node task is stuck when it has not turned for this long.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// How often it is poked; poking is a superfluous timer.
const POKE_EVERY: Duration = Duration::from_secs(10);

/// What the services say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    alive: bool,
    ready: bool,
}

impl Told {
    fn of(self, service: &str) -> Option<ServingStatus> {
        let serving = match service {
            "" | ALIVE => self.alive,
            READY => self.ready,
            _ => return None,
        };
        Some(if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        })
    }
}

/// Answers from what was told last.
#[derive(Debug, Clone)]
pub struct Service {
    told: watch::Receiver<Told>,
    progress: watch::Receiver<Progress>,
}

/// The service, alive and not ready, and what changes it.
pub fn service(
    progress: watch::Receiver<Progress>,
) -> (HealthServer<Service>, watch::Sender<Told>) {
    let (tell, told) = watch::channel(Told {
        alive: true,
        ready: false,
    });
    (HealthServer::new(Service { told, progress }), tell)
}

#[tonic::async_trait]
impl Health for Service {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        let status = self.told.borrow().of(&service);
        let Some(status) = status else {
            return Err(Status::not_found(format!("no service {service:?}")));
        };
        let mut response = Response::new(answer(status));
        if service == READY && status == ServingStatus::NotServing {
            let waiting_for = self.progress.borrow().waiting_for.clone();
            let value = waiting_for.and_then(|what| MetadataValue::try_from(printable(&what)).ok());
            if let Some(value) = value {
                response.metadata_mut().insert(WAITING_FOR, value);
            }
        }
        Ok(response)
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        let begin = (self.told.clone(), None);
        let changes = futures::stream::unfold(begin, move |(mut told, said)| {
            let service = service.clone();
            async move {
                loop {
                    let status = told.borrow_and_update().of(&service);
                    let status = status.unwrap_or(ServingStatus::ServiceUnknown);
                    if said != Some(status) {
                        return Some((Ok(answer(status)), (told, Some(status))));
                    }
                    // Nobody tells any more: the daemon ends.
                    told.changed().await.ok()?;
                }
            }
        });
        Ok(Response::new(changes.boxed()))
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

/// What a header may carry.
fn printable(text: &str) -> String {
    let kept = text.chars().map(|c| match c {
        ' '..='~' => c,
        _ => '?',
    });
    kept.take(LONGEST_REASON).collect()
}

/// Pokes the node task and tells what it does, until that task has ended.
pub async fn watch_forever(
    tell: watch::Sender<Told>,
    mut progress: watch::Receiver<Progress>,
    events: Events,
) {
    let mut poke = tokio::time::interval(POKE_EVERY);
    poke.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            changed = progress.changed() => if changed.is_err() { return },
            _ = poke.tick() => events.send(Event::Timer),
        }
        let seen = progress.borrow_and_update().clone();
        let now = Told {
            alive: is_alive(seen.turned, clock::boot()),
            ready: seen.serving,
        };
        let changed = tell.send_if_modified(|told| std::mem::replace(told, now) != now);
        if changed && !now.alive {
            tracing::error!(
                seconds = STUCK_AFTER.as_secs(),
                "the node task has not turned; reporting not serving"
            );
        }
    }
}

fn is_alive(turned: Instant, now: Instant) -> bool {
    now.since(turned) < STUCK_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_fits_a_header() {
        assert_eq!(printable("EC2: “no”\nsuch"), "EC2: ?no??such");
        assert_eq!(printable(&"x".repeat(600)).len(), LONGEST_REASON);
    }

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
