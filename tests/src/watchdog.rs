//! Ends a scene that lives too long: tests have no time limit of their own. Driven by `stage`. Must not: say why.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Kills the nodes of a scene that lives too long: whatever the test waits for then fails.
pub(crate) struct Watchdog {
    pub(crate) life: Duration,
    stop: Option<Sender<()>>,
    pub(crate) barked: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub(crate) fn start(holders: Vec<u32>, life: Duration) -> Self {
        let (stop, stopped) = channel();
        let barked = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&barked);
        let watch = move || {
            if stopped.recv_timeout(life) == Err(RecvTimeoutError::Timeout) {
                told.store(true, Ordering::Relaxed);
                let pids = holders.iter().filter_map(|pid| i32::try_from(*pid).ok());
                for pid in pids {
                    // It may have ended by itself.
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("watchdog".into())
            .spawn(watch);
        Self {
            life,
            stop: Some(stop),
            barked,
            thread: Some(thread.expect("a thread can be started")),
        }
    }

    pub(crate) fn sleep(&self) {
        let _ = self.stop.as_ref().map(|stop| stop.send(()));
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
