//! The two clocks, read together. Owns: the only reading of time in the daemon. Must not: decide anything with it.
//! Driven by: the owner (once per event) and the gRPC handlers (a request's deadline).

use model::time::{Instant, Now, WallTime};
use nix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// What time it is on both clocks.
pub fn now() -> Now {
    Now {
        boot: boot(),
        wall: wall(),
    }
}

/// The boot clock: counts suspend, never steps.
pub fn boot() -> Instant {
    let time =
        clock_gettime(ClockId::CLOCK_BOOTTIME).expect("CLOCK_BOOTTIME exists since Linux 2.6.39");
    let secs = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
    Instant(secs * 1000 + nanos / 1_000_000)
}

/// The wall clock, for formats only.
pub fn wall() -> WallTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    WallTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
