//! Asks a runtime again and again how it is, on a thread of its own, and keeps the worst of it. Driven by tests and
//! `vpc-lab`. Must not: judge.

use super::Cri;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two questions: kubelet asks every ten seconds.
const EVERY: Duration = Duration::from_millis(100);

/// What was seen of a runtime's status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Answers.
    pub answers: usize,
    /// The longest time an answer took.
    pub slowest: Duration,
    /// What was wrong, in order: the network not ready, or no answer.
    pub troubles: Vec<String>,
}

/// A running watch; dropping it ends it.
#[derive(Debug)]
pub struct StatusWatch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Seen>>,
}

impl StatusWatch {
    /// Begins to ask.
    pub fn start(cri: Cri) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let watch = move || {
            let mut seen = Seen::default();
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let began = Instant::now();
                match cri.network_ready(Duration::from_secs(10)) {
                    Ok((true, _)) => {}
                    Ok((false, why)) => seen.troubles.push(format!("NetworkReady=false: {why}")),
                    Err(error) => seen.troubles.push(error.to_string()),
                }
                seen.answers += 1;
                seen.slowest = seen.slowest.max(began.elapsed());
            }
            seen
        };
        let thread = std::thread::Builder::new()
            .name("status".into())
            .spawn(watch)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Ends it; what was seen.
    pub fn end(mut self) -> Seen {
        drop(self.stop.take());
        self.thread
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    }
}

impl Drop for StatusWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
