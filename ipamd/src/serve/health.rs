//! The health service: alive and ready, never capacity; and what start-up waits for, in words.
//!
//! Owns: when the node task counts as stuck, and the gRPC health protocol's rules. Must not: make the liveness services
//! depend on EC2, IMDS or the pool: a restart cures none of those. Driven by: kubelet's probes; the watching task by
//! `daemon`.

use crate::clock;
use crate::inbox::Events;
use crate::owner::Progress;
use futures::stream::{self, BoxStream, StreamExt};
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
/// Metadata of the answer that [`READY`] is not serving: what start-up waits for.
pub const WAITING_FOR: &str = "waiting-for";

/// The node task is stuck when it has not turned for this long.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// How often it is poked; poking is a superfluous timer.
const POKE_EVERY: Duration = Duration::from_secs(10);
/// Bytes of text that an answer's metadata carry at most; what answers may carry in all is limited.
const LONGEST: usize = 512;

/// How the daemon is, as far as statuses go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    alive: bool,
    ready: bool,
}

impl Seen {
    fn of(progress: &Progress, now: Instant) -> Self {
        Self {
            alive: is_alive(progress.turned, now),
            ready: progress.serving,
        }
    }

    /// The status of a service; none of one that does not exist.
    fn status(self, service: &str) -> Option<ServingStatus> {
        let serves = match service {
            "" | ALIVE => self.alive,
            READY => self.ready,
            _ => return None,
        };
        Some(if serves {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        })
    }
}

/// The service.
#[derive(Debug)]
pub struct Service {
    progress: watch::Receiver<Progress>,
    seen: watch::Receiver<Seen>,
}

/// What tells those who watch the service; they are let go when it ends.
#[derive(Debug)]
pub struct Reporter(watch::Sender<Seen>);

/// The service over what is known of the node task, and what tells its watchers.
pub fn service(progress: watch::Receiver<Progress>) -> (HealthServer<Service>, Reporter) {
    let now = Seen::of(&progress.borrow(), clock::boot());
    let (told, seen) = watch::channel(now);
    let service = Service { progress, seen };
    (HealthServer::new(service), Reporter(told))
}

#[tonic::async_trait]
impl Health for Service {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        let progress = self.progress.borrow();
        let status = Seen::of(&progress, clock::boot()).status(service);
        let status = status.ok_or_else(|| Status::not_found(unknown(service)))?;
        let mut answer = Response::new(response(status));
        if let (READY, ServingStatus::NotServing, Some(what)) =
            (service.as_str(), status, &progress.waiting_for)
            && let Ok(value) = MetadataValue::try_from(plain(what))
        {
            answer.metadata_mut().insert(WAITING_FOR, value);
        }
        Ok(answer)
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    /// The status now and each time it has changed. A service that does not exist may come to exist, as the protocol has
    /// it: its stream says so and stays open.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        let begin = (self.seen.clone(), None);
        let changes = stream::unfold(begin, move |(mut seen, told)| {
            let service = service.clone();
            async move {
                loop {
                    let status = seen.borrow_and_update().status(&service);
                    let status = status.unwrap_or(ServingStatus::ServiceUnknown);
                    if told != Some(status) {
                        return Some((Ok(response(status)), (seen, Some(status))));
                    }
                    seen.changed().await.ok()?;
                }
            }
        });
        Ok(Response::new(changes.boxed()))
    }
}

/// Pokes the node task and tells those who watch what it does, until that task has ended.
pub async fn watch_forever(
    reporter: Reporter,
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
        let now = Seen::of(&progress.borrow_and_update(), clock::boot());
        let changed = reporter
            .0
            .send_if_modified(|told| std::mem::replace(told, now) != now);
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

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

fn unknown(service: &str) -> String {
    let service: String = service.chars().take(100).collect();
    format!("no health service {service:?}; there are \"\", {ALIVE:?} and {READY:?}")
}

/// What metadata can carry of a text: printable ASCII, not too much of it.
fn plain(text: &str) -> String {
    let plain = |c: char| {
        if c == ' ' || c.is_ascii_graphic() {
            c
        } else {
            '?'
        }
    };
    text.chars().take(LONGEST).map(plain).collect()
}

#[cfg(test)]
mod tests;
