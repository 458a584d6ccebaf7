//! When recurring things are due: reads of EC2 that nothing else asks for, releases, small steps after a full subnet.
//!
//! Must not: do any of them (`refresh` and `plan` do).

use crate::refresh::ORPHAN_VISIBLE;
use crate::truth::APART;
use model::id::EniId;
use model::time::{Duration, Instant};
use std::collections::BTreeSet;

/// How often EC2 is asked what this instance has though nothing is in doubt; with jitter, half of it at least: one read
/// an hour (T-14).
pub(crate) const REFRESH: Duration = Duration::from_secs(7200);
/// The first time that an address is asked for which is held on an ENI that EC2 has not listed at start.
pub(crate) const HOMELESS: Duration = Duration::from_secs(15);
/// When recurring things are due.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace {
    pub(crate) serving_since: Option<Instant>,
    pub(crate) refresh_at: Option<Instant>,
    /// When EC2 is asked for ENIs made for this instance: each time has its own reason, an earlier look doesn't replace a
    /// later one.
    orphans_at: BTreeSet<Instant>,
    pub(crate) release_at: Option<Instant>,
    /// The subnet refused a larger request: ask for at most this many addresses at once, until then.
    pub(crate) cap: Option<(u32, Instant)>,
    not_ready_told: BTreeSet<EniId>,
}

impl Pace {
    pub(crate) fn serving_since(&mut self, now: Instant) {
        self.serving_since = Some(now);
        self.refresh_by(now.after(REFRESH));
        self.orphans_by(now.after(ORPHAN_VISIBLE));
    }

    /// What is attached is asked for at this time at the latest.
    pub(crate) fn refresh_by(&mut self, at: Instant) {
        self.refresh_at = Some(self.refresh_at.map_or(at, |planned| planned.min(at)));
    }

    /// ENIs that nobody knows are looked for at this time too.
    pub(crate) fn orphans_by(&mut self, at: Instant) {
        self.orphans_at.insert(at);
    }

    /// Whether the subnet has refused a larger request lately: it is asked for little, one call after the other.
    pub(crate) fn is_careful(&self, now: Instant) -> bool {
        self.cap.is_some_and(|(_, until)| until > now)
    }

    /// Whether a read that began then shows everything an earlier process did.
    pub(crate) fn is_settled(&self, began: Instant) -> bool {
        self.serving_since
            .is_some_and(|since| since.after(APART) <= began)
    }

    /// When an address that is held on an ENI which EC2 has not listed is asked for: soon, and once it cannot be lag.
    pub(crate) fn seek_homeless(&mut self, now: Instant) {
        let Some(since) = self.serving_since else {
            return;
        };
        let next = [HOMELESS, APART]
            .into_iter()
            .map(|pause| since.after(pause))
            .find(|at| *at > now);
        if let Some(at) = next {
            self.refresh_by(at);
        }
    }

    /// Whether it is time to look for them.
    pub(crate) fn take_orphan_look(&mut self, now: Instant) -> bool {
        let later = self.orphans_at.split_off(&Instant(now.0 + 1));
        let due = !self.orphans_at.is_empty();
        self.orphans_at = later;
        due
    }

    /// Whether it is time to ask what is attached; then the next time is planned.
    pub(crate) fn take_refresh(&mut self, now: Instant, next: Instant) -> bool {
        let due = self.refresh_at.is_some_and(|at| at <= now);
        if due {
            self.refresh_at = Some(next);
        }
        due
    }

    pub(crate) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let cap = self.cap.map(|(_, until)| until);
        let settled = self.serving_since.map(|since| since.after(APART));
        [
            self.refresh_at,
            self.orphans_at.first().copied(),
            self.release_at,
            cap,
            settled,
        ]
        .into_iter()
        .flatten()
    }

    /// True when it was told before; remembers that it is told now.
    pub(crate) fn told_not_ready(&mut self, eni: &EniId) -> bool {
        !self.not_ready_told.insert(eni.clone())
    }
}
