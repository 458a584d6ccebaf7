//! Waiting for what will be true: a value is polled until it is accepted or a deadline passes. Driven by tests.
//! Must not: know what is waited for, or wait for a length of time and hope.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Between two looks: short enough to be no part of a measured time.
const LOOK: Duration = Duration::from_millis(10);

/// Asks `probe` until it is `Ok`; panics with `what` and the last thing seen when `within` has passed.
///
/// # Panics
/// When time is over.
#[track_caller]
pub fn eventually<T, Seen: Debug>(
    what: &str,
    within: Duration,
    mut probe: impl FnMut() -> Result<T, Seen>,
) -> T {
    let began = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(seen) => assert!(
                began.elapsed() < within,
                "{what}: not within {within:?}; seen last: {seen:#?}"
            ),
        }
        std::thread::park_timeout(LOOK);
    }
}

/// `Ok` when the observation is as wanted, otherwise the observation: for [`eventually`].
pub fn when<T>(seen: T, wanted: impl FnOnce(&T) -> bool) -> Result<T, T> {
    if wanted(&seen) { Ok(seen) } else { Err(seen) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_accepted_value_is_returned() {
        let mut count = 0;
        let mut next = || {
            count += 1;
            count
        };
        let found = eventually("three", Duration::from_secs(5), || {
            when(next(), |n| *n == 3)
        });
        assert_eq!(found, 3);
    }

    #[test]
    #[should_panic(expected = "seen last: 7")]
    fn a_deadline_that_passes_tells_what_was_seen_last() {
        eventually("never", Duration::ZERO, || when(7, |_| false));
    }
}
