//! A program of ours that is run on a node and ends by itself: what it said and its exit code. Driven by tests.
//! Must not: know what it does.

use crate::daemon::PATIENCE;
use crate::expect::eventually;
use crate::stage::Stage;
use lab::node::Program;
use lab::task::Task;
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A program that was started; dropping it kills it.
#[derive(Debug)]
pub struct Once {
    task: Task,
    log: PathBuf,
}

/// What it came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output and standard error.
    pub output: String,
}

impl Stage {
    /// Starts a program on a node with these arguments; `extra` variables win over those of the scene.
    #[track_caller]
    pub fn begin(
        &self,
        index: usize,
        (program, arguments): (&Path, &[&str]),
        extra: &[(&str, &str)],
    ) -> Once {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = arguments.first().copied().unwrap_or("program");
        let log = self
            .evidence()
            .folder()
            .join(format!("{name}-{number}.log"));
        let mut environment = self.environment(index);
        environment.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        environment.extend(extra.iter().map(owned));
        let program = Program {
            path: program.to_owned(),
            arguments: arguments.iter().map(Into::into).collect(),
            environment,
            log: log.clone(),
        };
        let task = self.node(index).spawn(&program).expect("it starts");
        Once { task, log }
    }

    /// Runs a program on a node to its end.
    #[track_caller]
    pub fn once(&self, index: usize, line: (&Path, &[&str]), extra: &[(&str, &str)]) -> Said {
        self.begin(index, line, extra).ends()
    }
}

impl Once {
    /// What it has said so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.task.ended(), Ok(None))
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        self.task.signal(signal).expect("it runs");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ends(mut self) -> Said {
        let task = &mut self.task;
        let status = eventually("the program ends", PATIENCE, || match task.ended() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        });
        Said {
            code: status.code(),
            output: self.output(),
        }
    }
}
