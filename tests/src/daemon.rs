//! The node daemon as a process: its log, its socket, its end. Driven by `stage` and tests.
//! Must not: link it, or know more of it than an operator.

use crate::expect::eventually;
use lab::task::Task;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// What the daemon logs when ADDs are served.
pub const SERVING: &str = "start-up finished, pods are served";
/// How long a step of it may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running daemon; dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    task: Task,
    log: PathBuf,
    /// The log goes on behind what daemons before it wrote.
    from: usize,
    /// The socket as seen from outside the node.
    socket: PathBuf,
}

impl Daemon {
    pub(crate) fn new(task: Task, log: PathBuf, from: usize, socket: PathBuf) -> Self {
        Self {
            task,
            log,
            from,
            socket,
        }
    }

    /// Its process number outside the node.
    pub fn pid(&self) -> u32 {
        self.task.pid()
    }

    /// Its socket, as seen from outside the node.
    pub fn socket(&self) -> &PathBuf {
        &self.socket
    }

    /// Everything this daemon has written so far.
    pub fn output(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.from..).unwrap_or_default()).into_owned()
    }

    /// The lines of its log with this message.
    pub fn lines(&self, message: &str) -> Vec<Value> {
        let lines = self.output();
        let values = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        values.filter(|line| line["msg"] == message).collect()
    }

    /// Waits for a line of its log that is as wanted.
    #[track_caller]
    pub fn says(&self, message: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("the daemon logs {message:?}"), PATIENCE, || {
            let lines = self.lines(message);
            lines.into_iter().find(&wanted).ok_or_else(|| self.tail())
        })
    }

    /// Waits until ADDs are served.
    #[track_caller]
    pub fn serves(&self) -> Value {
        self.says(SERVING, |_| true)
    }

    /// Waits until this many ENIs can be used for pods, the primary included.
    #[track_caller]
    pub fn has_usable(&self, enis: usize) {
        eventually(&format!("{enis} ENIs are usable"), PATIENCE, || {
            let usable = self.lines("ENI can be used for pods").len();
            if usable >= enis {
                Ok(())
            } else {
                Err(self.tail())
            }
        });
    }

    /// Waits until this many ADDs of a pod have reached it.
    #[track_caller]
    pub fn has_received(&self, pod: &str, adds: usize) {
        eventually(&format!("{adds} ADDs of {pod} arrive"), PATIENCE, || {
            let received = self.lines("ADD received");
            let of_pod = received.iter().filter(|line| line["pod"] == pod).count();
            if of_pod >= adds {
                Ok(())
            } else {
                Err(self.tail())
            }
        });
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        self.task.signal(signal).expect("the daemon runs");
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.task.ended(), Ok(None))
    }

    /// Waits for its end; the exit code, none when a signal ended it.
    #[track_caller]
    pub fn ends(&mut self) -> Option<i32> {
        let task = &mut self.task;
        let status = eventually("the daemon ends", PATIENCE, || match task.ended() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        });
        status.code()
    }

    /// Waits for the end that was asked for; the exit code.
    #[track_caller]
    pub fn stopped(mut self) -> Option<i32> {
        self.ends()
    }

    /// Kills it as the kernel does, and waits.
    #[track_caller]
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.ends();
    }

    /// Stops it as kubelet does; its exit code.
    #[track_caller]
    pub fn stop(self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.stopped()
    }

    fn tail(&self) -> Vec<String> {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        let from = lines.len().saturating_sub(5);
        lines[from..]
            .iter()
            .map(|line| (*line).to_owned())
            .collect()
    }
}
