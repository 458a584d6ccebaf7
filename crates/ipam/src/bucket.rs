//! One action's tokens: how often a node asks EC2, and who goes first when tokens are few.
//!
//! EC2's buckets are shared by everything in an account and Region (peers-and-ec2.md §10.4: at least 50 calls, 5 a
//! second), so one node keeps to a fraction of them. Must not: know what the action is for.

use model::time::{Duration, Instant};

/// Calls of one action that may follow each other at once.
const SIZE: u64 = 20;
/// One more call every so many seconds, while EC2 doesn't throttle. A whole number of them: a thousandth of a token then
/// takes a whole number of milliseconds, and refilling is exact.
const INTERVAL_SECS: u64 = 1;
/// The longest interval, however often EC2 throttles.
const LONGEST_SECS: u64 = 8;

/// Who wants a call. Later ones leave tokens to earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// An ADD waits for what comes of it.
    Waiting,
    /// The pool is refilled.
    Warm,
    /// Something is given back.
    CleanUp,
}

impl Lane {
    /// Tokens that a caller of this lane leaves in the bucket.
    fn leaves(self) -> u64 {
        match self {
            Self::Waiting => 0,
            Self::Warm => SIZE / 5,
            Self::CleanUp => SIZE / 5 * 2,
        }
    }
}

/// Tokens of one action. Full until first used.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    millitokens: u64,
    /// Until when time has been turned into tokens.
    at: Instant,
    interval_secs: u64,
    /// When somebody who was refused may try again.
    wake: Option<Instant>,
}

impl Bucket {
    pub(crate) fn full(now: Instant) -> Self {
        Self {
            millitokens: SIZE * 1000,
            at: now,
            interval_secs: INTERVAL_SECS,
            wake: None,
        }
    }

    /// Whether a caller of this lane may take a token; if not, [`Bucket::wake`] says when.
    pub(crate) fn has_for(&mut self, lane: Lane, now: Instant) -> bool {
        self.refill(now);
        let wanted = (lane.leaves() + 1) * 1000;
        if self.millitokens >= wanted {
            return true;
        }
        let missing = wanted - self.millitokens;
        let wait = Duration::from_millis(missing.saturating_mul(self.interval_secs));
        let at = self.at.after(wait);
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
        false
    }

    pub(crate) fn take(&mut self, now: Instant) {
        self.refill(now);
        self.millitokens = self.millitokens.saturating_sub(1000);
    }

    /// EC2 throttled: half is left, and tokens come half as fast.
    pub(crate) fn throttled(&mut self, now: Instant) {
        self.refill(now);
        self.millitokens /= 2;
        self.interval_secs = (self.interval_secs * 2).min(LONGEST_SECS);
    }

    /// EC2 answered: one step back to the usual pace.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.refill(now);
        self.interval_secs = (self.interval_secs - INTERVAL_SECS).max(INTERVAL_SECS);
    }

    pub(crate) fn wake(&self) -> Option<Instant> {
        self.wake
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let gained = elapsed / self.interval_secs;
        self.at = self
            .at
            .after(Duration::from_millis(gained * self.interval_secs));
        self.millitokens = self.millitokens.saturating_add(gained).min(SIZE * 1000);
        self.wake = self.wake.filter(|wake| *wake > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many calls of a lane go out when there is always another one to make.
    fn drained(bucket: &mut Bucket, lane: Lane, now: Instant) -> u64 {
        let mut taken = 0;
        while bucket.has_for(lane, now) {
            bucket.take(now);
            taken += 1;
        }
        taken
    }

    #[test]
    fn clean_up_leaves_tokens_to_warm_refills_and_both_to_waiting_adds() {
        let mut bucket = Bucket::full(Instant(0));
        assert_eq!(drained(&mut bucket, Lane::CleanUp, Instant(0)), 12);
        assert_eq!(drained(&mut bucket, Lane::Warm, Instant(0)), 4);
        assert_eq!(drained(&mut bucket, Lane::Waiting, Instant(0)), 4);
    }

    #[test]
    fn whoever_is_refused_is_told_when_a_token_has_come() {
        let mut bucket = Bucket::full(Instant(0));
        drained(&mut bucket, Lane::Waiting, Instant(0));
        assert_eq!(bucket.wake(), Some(Instant(1_000)));
        assert!(!bucket.has_for(Lane::Waiting, Instant(999)));
        assert!(bucket.has_for(Lane::Waiting, Instant(1_000)));
        assert_eq!(bucket.wake(), None, "nobody waits for it any more");
    }

    #[test]
    fn a_throttled_action_slows_down_and_recovers_step_by_step() {
        let mut bucket = Bucket::full(Instant(0));
        bucket.throttled(Instant(0));
        assert_eq!(drained(&mut bucket, Lane::CleanUp, Instant(0)), 2);
        for _ in 0..40 {
            bucket.throttled(Instant(0));
        }
        assert!(!bucket.has_for(Lane::Waiting, Instant(7_999)));
        assert!(
            bucket.has_for(Lane::Waiting, Instant(8_000)),
            "never slower than one in 8 s"
        );
        bucket.take(Instant(8_000));
        for _ in 0..7 {
            bucket.answered(Instant(8_000));
        }
        assert!(bucket.has_for(Lane::Waiting, Instant(9_000)));
    }

    #[test]
    fn no_window_sees_more_calls_than_the_bucket_and_its_refill() {
        let mut bucket = Bucket::full(Instant(0));
        let sent: u64 = (0..60_000)
            .step_by(10)
            .map(|at| drained(&mut bucket, Lane::Waiting, Instant(at)))
            .sum();
        assert_eq!(sent, 20 + 59);
    }
}
