//! P6: after every event the next deadline lies in the future, and the node does not spin.

use super::{Check, Invariant, violated};
use model::time::{Duration, Instant};

/// Counting window.
const WINDOW: Duration = Duration::from_secs(10);
/// Timers in a window: many requests may have deadlines of their own, hence not fewer.
const TIMERS: u32 = 400;
/// Effects of a single event.
const EFFECTS: usize = 2_000;

/// How much the node does per window.
#[derive(Debug, Clone)]
pub struct Pace {
    window: Instant,
    timers: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            window: Instant(0),
            timers: 0,
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
        if self.timers > TIMERS {
            return violated(
                Invariant::Deadline,
                format!(
                    "more timers than are reasonable in the 10 s from {}",
                    self.window
                ),
            );
        }
        Ok(())
    }

    fn turn(&mut self, now: Instant) {
        if now.since(self.window) >= WINDOW {
            *self = Self {
                window: now,
                ..Self::default()
            };
        }
    }
}
