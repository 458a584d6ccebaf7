//! Makes the kernel equal to the newest desired state, and again whenever somebody changed it.
//!
//! Owns: when the kernel is looked at and how often a failure is tried again. Must not: know how a link is configured
//! (`datapath` does) or what a report means (the machine does). Driven by: `app`; told by `watch` and by the owner.

pub mod kernel;

use crate::inbox::Events;
use crate::run::Desired;
use ipam::effect::HostDesired;
use ipam::event::{Event, HostReport, LinkView};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The machine wants the links at least this often.
const PERIOD: Duration = Duration::from_secs(30);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// The host's network stack. Both functions block.
pub trait Kernel: Send + Sync + 'static {
    /// What links there are.
    fn links(&self) -> Result<LinkView, String>;
    /// Makes the host equal to `desired`, as far as it can be.
    fn ensure(&self, desired: &HostDesired) -> Applied;
}

/// What one attempt achieved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Per ENI.
    pub report: HostReport,
    /// What else failed: node-wide rules, the primary link, left-over rules.
    pub failed: Vec<String>,
    /// How many objects were changed.
    pub changes: usize,
}

/// The task's connections.
pub struct Host {
    /// The network stack.
    pub kernel: Arc<dyn Kernel>,
    /// The newest desired state.
    pub desired: watch::Receiver<Desired>,
    /// Counts changes that others made.
    pub changed: watch::Receiver<u64>,
    /// Where observations go.
    pub events: Events,
}

/// What one look gave.
struct Look {
    links: Result<LinkView, String>,
    applied: Option<(u64, Applied)>,
}

impl Host {
    /// Runs until the owner is gone.
    pub async fn run_forever(mut self) {
        let mut pace = Pace::default();
        let mut last = None;
        loop {
            let look = self.look().await;
            let now = Instant::now();
            let result = look
                .as_ref()
                .map_or(Seen::Failure, |look| look.seen(last.as_ref()));
            if let Some(look) = look {
                self.tell(look, &mut last);
            }
            let (notice_events_at, again_at) = pace.after(now, result);
            let foreign_change = async {
                tokio::time::sleep_until(notice_events_at).await;
                self.changed.changed().await
            };
            tokio::select! {
                biased;
                new = self.desired.changed() => if new.is_err() { return },
                Ok(()) = foreign_change => {}
                () = tokio::time::sleep_until(again_at) => {}
            }
        }
    }

    /// Observes and applies on a thread that may block; `None` when that thread panicked.
    async fn look(&mut self) -> Option<Look> {
        self.changed.borrow_and_update();
        let desired = self.desired.borrow_and_update().clone();
        let kernel = Arc::clone(&self.kernel);
        let look = tokio::task::spawn_blocking(move || Look {
            applied: desired.map(|(version, desired)| (version, kernel.ensure(&desired))),
            links: kernel.links(),
        });
        look.await
            .inspect_err(|error| tracing::error!(%error, "setting up the host ended abnormally"))
            .ok()
    }

    /// Links each time; the state of the ENIs when it is news.
    fn tell(&self, look: Look, last: &mut Option<(u64, Applied)>) {
        match look.links {
            Ok(links) => self.events.send(Event::Links(links)),
            Err(error) => tracing::warn!(error, "the host's links cannot be read"),
        }
        let Some((version, applied)) = look.applied else {
            return;
        };
        if applied.changes > 0 {
            tracing::info!(
                version,
                changes = applied.changes,
                "host network changed to the desired state"
            );
        }
        let known = last
            .as_ref()
            .is_some_and(|(seen, old)| *seen == version && old.report == applied.report);
        if !known {
            self.events
                .send(Event::HostState(version, applied.report.clone()));
        }
        if last
            .as_ref()
            .is_none_or(|(_, old)| old.failed != applied.failed)
        {
            for error in &applied.failed {
                tracing::warn!(error, "host network is not as desired; trying again");
            }
        }
        *last = Some((version, applied));
    }
}

impl Look {
    fn seen(&self, last: Option<&(u64, Applied)>) -> Seen {
        let Some((version, applied)) = &self.applied else {
            return if self.links.is_ok() {
                Seen::Well
            } else {
                Seen::Failure
            };
        };
        if self.links.is_err() || !applied.failed.is_empty() || !applied.report.failed.is_empty() {
            Seen::Failure
        } else if applied.changes > 0 && last.is_some_and(|(seen, _)| seen == version) {
            Seen::Repair
        } else {
            Seen::Well
        }
    }
}

/// What a look means for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Well,
    /// Something is not (yet) as desired.
    Failure,
    /// Something that we had made was changed by others and has been put back.
    Repair,
}

/// When the kernel is looked at again: a failure is tried again with back-off, and so is a repair, because a program that
/// insists on the contrary would otherwise keep both busy.
#[derive(Debug, Default)]
struct Pace {
    failures: u32,
    repairs: u32,
    repaired_at: Option<Instant>,
}

impl Pace {
    /// From when on foreign changes are reacted to, and when to look without one. A new desired state waits for neither.
    fn after(&mut self, now: Instant, seen: Seen) -> (Instant, Instant) {
        self.failures = if seen == Seen::Failure {
            self.failures.saturating_add(1)
        } else {
            0
        };
        if seen == Seen::Repair {
            self.repairs = self.repairs.saturating_add(1);
            self.repaired_at = Some(now);
        } else if self
            .repaired_at
            .is_some_and(|at| now.duration_since(at) >= PERIOD)
        {
            self.repairs = 0;
        }
        let events = if seen == Seen::Repair {
            back_off(self.repairs)
        } else {
            Duration::ZERO
        };
        let again = if self.failures > 0 {
            back_off(self.failures)
        } else {
            PERIOD
        };
        (now + events, now + again)
    }
}

fn back_off(attempts: u32) -> Duration {
    FIRST_RETRY
        .saturating_mul(1 << attempts.saturating_sub(1).min(16))
        .min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests;
