//! Keeps a container running and runs its probes when they are due, on a thread of its own, as kubelet does.
//! Must not: start the pod or end it.

use super::probe::{Kind, Run, Schedule, Verdict};
use crate::cri::{Cri, CriError};
use k8s_cri::v1::{ContainerConfig, ContainerState, PodSandboxConfig};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Between two looks whether the container runs.
const LOOK: Duration = Duration::from_millis(100);
/// kubelet starts a container again at once, then after ten seconds, doubled each time.
const FIRST_BACK_OFF: Duration = Duration::from_secs(10);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
/// A container that a liveness probe condemns gets this time to end.
const GRACE: Duration = Duration::from_secs(10);

/// What is kept.
pub(super) struct Kept {
    pub(super) cri: Cri,
    pub(super) sandbox: (String, PodSandboxConfig),
    pub(super) config: ContainerConfig,
    pub(super) probes: Vec<Schedule>,
}

impl Kept {
    fn create(&self) -> Result<String, CriError> {
        let (sandbox, config) = &self.sandbox;
        self.cri
            .create_container((sandbox, config), self.config.clone())
    }
}

/// One run of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRecord {
    /// What it asked.
    pub kind: Kind,
    /// Exit code of its command; none when it did not end in time.
    pub exit: Option<i32>,
    /// What the command said, or why there is no exit code.
    pub said: String,
    /// How long it took.
    pub took: Duration,
}

/// How a kept container is.
#[derive(Debug, Clone, Default)]
pub struct PodState {
    /// Its id at the runtime.
    pub container: String,
    /// When the runtime was asked to start it.
    pub started: Option<SystemTime>,
    /// How often it was started again.
    pub restarts: u32,
    /// How often because a liveness probe asked for it.
    pub condemned: u32,
    /// Whether the readiness probe counts as successful.
    pub ready: bool,
    /// Every run of a probe.
    pub probes: Vec<ProbeRecord>,
    /// What the runtime refused, the last time.
    pub trouble: Option<String>,
}

/// A running keeper; dropping it ends it, and leaves the container.
#[derive(Debug)]
pub(super) struct Keeper {
    state: Arc<Mutex<PodState>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the container, then keeps it.
    pub(super) fn start(kept: Kept) -> Result<Self, CriError> {
        let container = kept.create()?;
        let started = Some(SystemTime::now());
        kept.cri.start_container(&container)?;
        let state = Arc::new(Mutex::new(PodState {
            container,
            started,
            ..PodState::default()
        }));
        let (stop, stopped) = channel();
        let mut life = Life::new(kept, Arc::clone(&state));
        let thread = std::thread::Builder::new()
            .name("keeper".into())
            .spawn(move || life.go_on(&stopped))
            .map_err(|source| CriError::Prepare {
                call: "a container's keeper",
                source,
            })?;
        Ok(Self {
            state,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub(super) fn state(&self) -> PodState {
        locked(&self.state).clone()
    }

    /// Stops keeping; the container as it was last.
    pub(super) fn end(mut self) -> PodState {
        self.finish();
        self.state()
    }

    fn finish(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The keeper's own view.
struct Life {
    kept: Kept,
    state: Arc<Mutex<PodState>>,
    started: Instant,
    attempt: u32,
    /// Per probe: runs so far, and what they came to.
    runs: Vec<(u32, Run)>,
    /// When a container that ended is started again.
    again: Option<Instant>,
}

impl Life {
    fn new(kept: Kept, state: Arc<Mutex<PodState>>) -> Self {
        let runs = kept.probes.iter().map(|_| (0, Run::default())).collect();
        Self {
            kept,
            state,
            started: Instant::now(),
            attempt: 0,
            runs,
            again: None,
        }
    }

    fn go_on(&mut self, stopped: &Receiver<()>) {
        while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            let did = self.look();
            let mut state = locked(&self.state);
            if let Err(error) = did {
                // The runtime may be restarting; kubelet asks again as well.
                state.trouble = Some(error.to_string());
            }
        }
    }

    fn look(&mut self) -> Result<(), CriError> {
        let id = locked(&self.state).container.clone();
        let runs = match self.kept.cri.container(&id) {
            Ok(status) => status.state() == ContainerState::ContainerRunning,
            // Removed, and the next one could not be started.
            Err(error) if error.is_not_found() => false,
            Err(error) => return Err(error),
        };
        if runs {
            self.again = None;
            return self.probe(&id);
        }
        let restarts = locked(&self.state).restarts;
        let at = *self
            .again
            .get_or_insert_with(|| Instant::now() + back_off(restarts));
        if Instant::now() < at {
            locked(&self.state).ready = false;
            return Ok(());
        }
        self.restart(&id, restarts + 1)
    }

    fn restart(&mut self, old: &str, restarts: u32) -> Result<(), CriError> {
        self.kept.cri.remove_container(old)?;
        // A number is used once, also when the start fails.
        self.attempt += 1;
        if let Some(metadata) = &mut self.kept.config.metadata {
            metadata.attempt = self.attempt;
        }
        self.kept.config.log_path = replaced(&self.kept.config.log_path, self.attempt);
        let container = self.kept.create()?;
        let started = Some(SystemTime::now());
        self.kept.cri.start_container(&container)?;
        self.started = Instant::now();
        self.again = None;
        self.runs
            .iter_mut()
            .for_each(|run| *run = (0, Run::default()));
        let mut state = locked(&self.state);
        (state.container, state.started) = (container, started);
        (state.restarts, state.ready) = (restarts, false);
        Ok(())
    }

    fn probe(&mut self, id: &str) -> Result<(), CriError> {
        for (schedule, (done, run)) in self.kept.probes.iter().zip(&mut self.runs) {
            if self.started.elapsed() < schedule.due(*done) {
                continue;
            }
            *done += 1;
            let record = probed(&self.kept.cri, id, schedule);
            let verdict = schedule.judge(run, record.exit == Some(0));
            let mut state = locked(&self.state);
            state.probes.push(record);
            match (schedule.kind, verdict) {
                (Kind::Readiness, Verdict::Good) => state.ready = true,
                (Kind::Readiness, Verdict::Bad) => state.ready = false,
                (Kind::Liveness, Verdict::Bad) => {
                    state.condemned += 1;
                    drop(state);
                    return self.kept.cri.stop_container(id, GRACE);
                }
                (_, Verdict::Undecided | Verdict::Good) => {}
            }
        }
        Ok(())
    }
}

fn probed(cri: &Cri, id: &str, schedule: &Schedule) -> ProbeRecord {
    let began = Instant::now();
    let answer = cri.exec(id, &schedule.command, schedule.timeout);
    let (exit, said) = match answer {
        Ok(answer) => (
            Some(answer.exit_code),
            String::from_utf8_lossy(&answer.stdout).trim().to_owned(),
        ),
        Err(error) => (None, error.to_string()),
    };
    ProbeRecord {
        kind: schedule.kind,
        exit,
        said,
        took: began.elapsed(),
    }
}

fn back_off(restarts: u32) -> Duration {
    match restarts {
        0 => Duration::ZERO,
        n => (FIRST_BACK_OFF * 2_u32.saturating_pow(n - 1)).min(LONGEST_BACK_OFF),
    }
}

/// `aws-node/0.log` for the n-th start.
fn replaced(log: &str, attempt: u32) -> String {
    let folder = log.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{attempt}.log")
}

fn locked(state: &Mutex<PodState>) -> MutexGuard<'_, PodState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_started_again_at_once_and_then_ever_later() {
        let seconds: Vec<_> = (0..8)
            .map(|restarts| back_off(restarts).as_secs())
            .collect();
        assert_eq!(seconds, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn each_start_has_a_log_of_its_own() {
        assert_eq!(replaced("aws-node/0.log", 3), "aws-node/3.log");
    }
}
