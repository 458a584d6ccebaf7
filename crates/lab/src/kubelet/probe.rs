//! When a probe is due and what its results mean: kubelet's arithmetic. Pure. Must not: run a probe.

use k8s_openapi::api::core::v1::{Container, Probe};
use std::time::Duration;

/// What a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Whether the container must be restarted.
    Liveness,
    /// Whether the pod is ready.
    Readiness,
}

/// A probe that runs a command.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    pub(super) kind: Kind,
    pub(super) command: Vec<String>,
    pub(super) timeout: Duration,
    initial_delay: Duration,
    period: Duration,
    failure_threshold: u32,
    success_threshold: u32,
}

/// What a run of results has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not enough results of one kind.
    Undecided,
    /// It counts as successful.
    Good,
    /// It counts as failed.
    Bad,
}

/// The results so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    good: u32,
    bad: u32,
}

impl Schedule {
    /// The exec probes of a container; a probe of another kind has no schedule.
    pub(super) fn of(container: &Container) -> Vec<Self> {
        let both = [
            (Kind::Liveness, &container.liveness_probe),
            (Kind::Readiness, &container.readiness_probe),
        ];
        both.into_iter()
            .filter_map(|(kind, probe)| Self::new(kind, probe.as_ref()?))
            .collect()
    }

    /// Defaults are Kubernetes'.
    fn new(kind: Kind, probe: &Probe) -> Option<Self> {
        let seconds = |value: Option<i32>, default: u64| {
            Duration::from_secs(
                value
                    .and_then(|value| u64::try_from(value).ok())
                    .unwrap_or(default),
            )
        };
        let count = |value: Option<i32>, default: u32| {
            value
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or(default)
        };
        Some(Self {
            kind,
            command: probe.exec.as_ref()?.command.clone()?,
            timeout: seconds(probe.timeout_seconds, 1),
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            failure_threshold: count(probe.failure_threshold, 3),
            success_threshold: count(probe.success_threshold, 1),
        })
    }

    /// How long after the container's start the n-th run (from 0) is due.
    pub(super) fn due(&self, n: u32) -> Duration {
        self.initial_delay + self.period * n
    }

    /// What one more result makes of a run.
    pub(super) fn judge(&self, run: &mut Run, good: bool) -> Verdict {
        if good {
            (run.good, run.bad) = (run.good + 1, 0);
        } else {
            (run.good, run.bad) = (0, run.bad + 1);
        }
        if run.bad >= self.failure_threshold {
            Verdict::Bad
        } else if run.good >= self.success_threshold {
            Verdict::Good
        } else {
            Verdict::Undecided
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ExecAction;

    fn schedule() -> Schedule {
        let probe = Probe {
            exec: Some(ExecAction {
                command: Some(vec!["true".to_owned()]),
            }),
            initial_delay_seconds: Some(60),
            timeout_seconds: Some(10),
            ..Probe::default()
        };
        Schedule::new(Kind::Liveness, &probe).unwrap()
    }

    #[test]
    fn a_probe_runs_every_ten_seconds_after_its_initial_delay() {
        let schedule = schedule();
        assert_eq!(
            (schedule.due(0).as_secs(), schedule.due(3).as_secs()),
            (60, 90)
        );
        assert_eq!(schedule.timeout.as_secs(), 10);
    }

    #[test]
    fn three_failures_in_a_row_are_bad_and_one_success_is_good() {
        let (schedule, mut run) = (schedule(), Run::default());
        let verdicts: Vec<_> = [false, false, true, false, false, false]
            .map(|good| schedule.judge(&mut run, good))
            .to_vec();
        use Verdict::{Bad, Good, Undecided};
        assert_eq!(
            verdicts,
            [Undecided, Undecided, Good, Undecided, Undecided, Bad]
        );
    }
}
