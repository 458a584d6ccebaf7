//! When an EC2 action may be tried (again): a bucket of tokens per action, and back-off after failures with jitter from
//! the machine's seed.
//!
//! Must not: know what the action is for.

use crate::bucket::{Bucket, Lane};
use model::call::Action;
use model::error::{CallError, Class};
use model::time::{Duration, Instant};
use std::collections::BTreeMap;

/// Exponential back-off without jitter: `base × 2^failures`, at most `cap`.
pub(crate) fn backoff(base: Duration, cap: Duration, failures: u32) -> Duration {
    base.saturating_mul(1u32 << failures.min(16)).min(cap)
}

/// The machine's only source of randomness (SplitMix64): the same seed and events give the same effects.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between half of the duration and all of it.
    pub(crate) fn jitter(&mut self, duration: Duration) -> Duration {
        let millis = u64::try_from(duration.as_millis())
            .unwrap_or(u64::MAX)
            .max(2);
        Duration::from_millis(millis / 2 + self.next() % (millis / 2 + 1))
    }
}

/// Why an action is not tried now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub(crate) until: Instant,
    pub(crate) error: CallError,
}

/// Tokens and back-off of every action.
#[derive(Debug, Clone, Default)]
pub(crate) struct Budget {
    buckets: BTreeMap<Action, Bucket>,
    actions: BTreeMap<Action, (u32, Blocked)>,
}

impl Budget {
    /// Whether the action may be sent now. Whoever is refused for want of a token finds the time of the next one among
    /// [`Budget::retries`].
    pub(crate) fn allows(&mut self, action: Action, lane: Lane, now: Instant) -> bool {
        self.blocked(action, now).is_none() && self.bucket(action, now).has_for(lane, now)
    }

    /// The action is sent.
    pub(crate) fn sent(&mut self, action: Action, now: Instant) {
        self.bucket(action, now).take(now);
    }

    fn bucket(&mut self, action: Action, now: Instant) -> &mut Bucket {
        self.buckets
            .entry(action)
            .or_insert_with(|| Bucket::full(now))
    }

    /// Whether no action backs off.
    pub(crate) fn blocks_nothing(&self, now: Instant) -> bool {
        self.actions
            .values()
            .all(|(_, blocked)| blocked.until <= now)
    }

    /// Why and until when the action may not be sent.
    pub(crate) fn blocked(&self, action: Action, now: Instant) -> Option<&Blocked> {
        self.actions
            .get(&action)
            .map(|(_, blocked)| blocked)
            .filter(|blocked| blocked.until > now)
    }

    /// How the action ended the last time, unless it was done: the pause after it may be over.
    pub(crate) fn last_failure(&self, action: Action) -> Option<&Blocked> {
        self.actions.get(&action).map(|(_, blocked)| blocked)
    }

    /// The action was done.
    pub(crate) fn succeeded(&mut self, action: Action, now: Instant) {
        self.bucket(action, now).answered(now);
        self.actions.remove(&action);
    }

    /// The action failed: returns how long it is not tried.
    pub(crate) fn failed(
        &mut self,
        action: Action,
        now: Instant,
        error: &CallError,
        random: &mut Random,
    ) -> Duration {
        let failures = self
            .actions
            .get(&action)
            .map_or(0, |(failures, _)| *failures);
        if matches!(error, CallError::Refused(refusal) if refusal.class == Class::Throttled) {
            self.bucket(action, now).throttled(now);
        }
        let (base, cap) = pace(error);
        let delay = random
            .jitter(backoff(base, cap, failures))
            .max(Duration::from_millis(1));
        self.actions.insert(
            action,
            (
                failures + 1,
                Blocked {
                    until: now.after(delay),
                    error: error.clone(),
                },
            ),
        );
        delay
    }

    /// Ends of all back-offs, and when the tokens come that somebody wanted.
    pub(crate) fn retries(&self) -> impl Iterator<Item = Instant> {
        let tokens = self.buckets.values().filter_map(Bucket::wake);
        self.actions
            .values()
            .map(|(_, blocked)| blocked.until)
            .chain(tokens)
    }
}

/// First and longest pause after an error of this kind.
fn pace(error: &CallError) -> (Duration, Duration) {
    let (base_millis, cap_secs) = match error {
        CallError::Unknown(_) => (1_000, 30),
        CallError::Refused(refusal) => match refusal.class {
            Class::Throttled => (1_000, 60),
            Class::InUse | Class::WrongState | Class::Transient | Class::NotFound => (500, 15),
            // Upstream's pause after exhaustion is 120 s (ipamd.md §4.4); addresses come back one by one, so ask earlier first.
            Class::SubnetFull | Class::SubnetFragmented => (15_000, 120),
            // Costs EC2 nothing, and a fresh machine's clock and credentials come within seconds.
            Class::Expired => (1_000, 15),
            Class::Denied | Class::Quota | Class::ConfigurationMissing => (15_000, 300),
            // None longer than a refresh: what somebody cures is used soon.
            Class::EniLimit | Class::AddressesAboveType => (60_000, 300),
            Class::AddressLimit
            | Class::AlreadyAssigned
            | Class::TokenMismatch
            | Class::Invalid => (5_000, 300),
        },
    };
    (
        Duration::from_millis(base_millis),
        Duration::from_secs(cap_secs),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::error::classify;

    #[test]
    fn pauses_grow_and_end_with_success() {
        let (mut budget, mut random) = (Budget::default(), Random::new(7));
        let error = classify("RequestLimitExceeded", "", 503);
        let action = Action::CreateNetworkInterface;
        let first = budget.failed(action, Instant(0), &error, &mut random);
        assert!(
            first >= Duration::from_millis(500) && first <= Duration::from_secs(1),
            "{first:?}"
        );
        assert!(!budget.allows(action, Lane::Warm, Instant(0)));
        assert!(
            budget.allows(Action::AttachNetworkInterface, Lane::Warm, Instant(0)),
            "other actions are not concerned"
        );
        assert!(budget.allows(action, Lane::Warm, Instant(0).after(first)));
        let mut last = first;
        for _ in 0..20 {
            last = budget.failed(action, Instant(0), &error, &mut random);
        }
        assert!(
            last >= Duration::from_secs(30) && last <= Duration::from_secs(60),
            "{last:?}"
        );
        budget.succeeded(action, Instant(600_000));
        assert!(budget.allows(action, Lane::Warm, Instant(600_000)));
    }
}
