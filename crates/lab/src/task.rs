//! A program that was started on a node. Must not: outlive its scene.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::process::{Child, ExitStatus};

/// A running program; dropping it kills it.
#[derive(Debug)]
pub struct Task {
    child: Child,
}

impl Task {
    pub(crate) fn new(child: Child) -> Self {
        Self { child }
    }

    /// Its number outside the node.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        let pid = i32::try_from(self.child.id()).map_err(|_| Errno::ESRCH)?;
        kill(Pid::from_raw(pid), signal)
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
