//! P6: after every event the next deadline lies in the future, and the node neither spins nor floods.

use super::{Check, Invariant, violated};
use model::time::{Duration, Instant};

/// Counting window.
const WINDOW: Duration = Duration::from_secs(10);
/// Timers in a window: many requests may have deadlines of their own, hence not fewer.
const TIMERS: u32 = 400;
/// EC2 calls in a window.
const CALLS: u32 = 200;
/// Effects of a single event.
const EFFECTS: usize = 2_000;

/// How much the node does per window.
#[derive(Debug, Clone)]
pub struct Pace {
    window: Instant,
    timers: u32,
    calls: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            window: Instant(0),
            timers: 0,
            calls: 0,
        }
    }
}

impl Pace {
    /// After an event.
    pub fn check_handled(now: Instant, deadline: Option<Instant>, effects: usize) -> Check {
        if deadline.is_some_and(|deadline| deadline <= now) {
            return violated(
                Invariant::Deadline,
                format!(
                    "after an event at {now} the next deadline is {}",
                    deadline.unwrap_or(now)
                ),
            );
        }
        if effects > EFFECTS {
            return violated(
                Invariant::Deadline,
                format!("one event caused {effects} effects"),
            );
        }
        Ok(())
    }

    /// A timer is delivered.
    pub fn timer(&mut self, now: Instant) -> Check {
        self.turn(now);
        self.timers += 1;
        self.check(self.timers > TIMERS, "timers")
    }

    /// A call leaves.
    pub fn call(&mut self, now: Instant) -> Check {
        self.turn(now);
        self.calls += 1;
        self.check(self.calls > CALLS, "EC2 calls")
    }

    fn turn(&mut self, now: Instant) {
        if now.since(self.window) >= WINDOW {
            *self = Self {
                window: now,
                ..Self::default()
            };
        }
    }

    fn check(&self, storm: bool, what: &str) -> Check {
        if storm {
            return violated(
                Invariant::Deadline,
                format!(
                    "more {what} than are reasonable in the 10 s from {}",
                    self.window
                ),
            );
        }
        Ok(())
    }
}
