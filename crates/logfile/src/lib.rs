//! A log file of bounded size that many processes append to: the plugin's (one process per call) and the daemon's.
//!
//! Owns: that a line is whole or not there, that a full file becomes a numbered backup and how many of them are kept, that
//! a file which was moved or deleted is made again. Must not: know the format of a line, wait for anybody, follow a
//! link, log. Driven by: `cni-plugin` and `ipamd`.
//!
//! Whoever writes holds the lock of the file that the path names, for the time of one line. So a file is turned over by one
//! process, between two lines, and a line never goes to a file that is about to be dropped. A lock that somebody keeps (a
//! stopped process) costs a moment and the turning over, not the line.
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod backups;
mod lock;
mod opened;

use lock::Lock;
use opened::{Kind, Opened};
use std::io;
use std::path::{Path, PathBuf};

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Bytes at which a file is turned over; a file is larger only when a single line is.
    pub file: u64,
    /// How many full files are kept beside the one that is written: `<name>.1` is the newest.
    pub backups: u32,
}

/// What each of our logs may take on a node: 192 MiB.
pub const BOUND: Bound = Bound {
    file: 32 << 20,
    backups: 5,
};

/// Where a path may lead before it is given up: each turn somebody else has turned the file over in between.
const TURNS: u32 = 16;

/// What could not be done with a log file.
#[derive(Debug, thiserror::Error)]
#[error("{attempt} {}", path.display())]
pub struct LogError {
    attempt: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A log file, opened when the first line is written.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    bound: Bound,
    opened: Option<Opened>,
}

impl LogFile {
    /// A log at `path`; nothing is touched yet.
    pub fn new(path: &Path, bound: Bound) -> Self {
        Self {
            path: path.to_owned(),
            bound,
            opened: None,
        }
    }

    /// Appends one line (with its newline) in one piece; makes file and folder when they are not there. After an error
    /// nothing of the line is in the file, and the next call tries everything again.
    pub fn append(&mut self, line: &[u8]) -> Result<(), LogError> {
        for _ in 0..TURNS {
            let opened = match self.opened.take() {
                Some(opened) => opened,
                None => Opened::at(&self.path).map_err(self.failed("open log"))?,
            };
            if !opened.is_at(&self.path) {
                continue;
            }
            if opened.kind == Kind::Stream {
                opened
                    .write(line, Lock::Missed)
                    .map_err(self.failed("write to log"))?;
                self.opened = Some(opened);
                return Ok(());
            }
            let lock = lock::take(&opened.file);
            let ready = opened.is_at(&self.path) && self.has_room(&opened, line, lock)?;
            let written = ready.then(|| opened.write(line, lock));
            lock::release(&opened.file, lock);
            match written {
                Some(Ok(())) => {
                    self.opened = Some(opened);
                    return Ok(());
                }
                Some(Err(error)) => return Err(self.failed("append to log")(error)),
                None => {}
            }
        }
        let source = io::Error::other("the file changes all the time");
        Err(self.failed("append to log")(source))
    }

    /// Whether the line fits; if not, the file has been turned over and the path leads to another one. A file that
    /// cannot be turned over grows to twice its bound and is then emptied: the newest lines are worth more.
    fn has_room(&self, opened: &Opened, line: &[u8], lock: Lock) -> Result<bool, LogError> {
        let size = opened.size().map_err(self.failed("look at log"))?;
        let wanted = size.saturating_add(line.len() as u64);
        if size == 0 || wanted <= self.bound.file {
            return Ok(true);
        }
        if lock == Lock::Taken && backups::turn_over(&self.path, self.bound.backups).is_ok() {
            return Ok(false);
        }
        if wanted <= self.bound.file.saturating_mul(2) {
            return Ok(true);
        }
        match lock {
            Lock::Taken => opened.empty().map_err(self.failed("empty log"))?,
            Lock::Missed => {
                let source = io::Error::other("it is full and another process keeps it locked");
                return Err(self.failed("turn over log")(source));
            }
        }
        Ok(true)
    }

    fn failed(&self, attempt: &'static str) -> impl FnOnce(io::Error) -> LogError {
        let path = self.path.clone();
        move |source| LogError {
            attempt,
            path,
            source,
        }
    }
}
