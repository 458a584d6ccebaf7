//! The lock of one line, which is never waited for longer than a moment. Must not: know what is done under it.

use std::fs::{File, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any number of processes needs for a line each; short beside the start of a pod.
const PATIENCE: Duration = Duration::from_millis(200);
/// A line takes some ten microseconds.
const PAUSE: Duration = Duration::from_micros(100);

/// Whether this process has the file for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Until it is released, or the file closed. Also on a file system that knows no locks: then it is best effort.
    Taken,
    /// Somebody keeps it.
    Missed,
}

/// Takes the file's lock unless somebody keeps it.
pub(crate) fn take(file: &File) -> Lock {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) | Err(TryLockError::Error(_)) => return Lock::Taken,
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {
                thread::park_timeout(PAUSE);
            }
            Err(TryLockError::WouldBlock) => return Lock::Missed,
        }
    }
}

/// Gives the lock back.
pub(crate) fn release(file: &File, lock: Lock) {
    if lock == Lock::Taken {
        // A lock that cannot be given back goes with the file.
        let _ = file.unlock();
    }
}
