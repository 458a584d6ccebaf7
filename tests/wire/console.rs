//! What a person sees of a start with upstream's log file: standard output alone. Must not: read the log.

use e2e::daemon::{Daemon, PATIENCE};
use e2e::expect::eventually;
use e2e::stage::Stage;
use std::time::Duration;

/// The log is a file, so that standard output is what `kubectl logs` shows with upstream's manifest.
pub(crate) const IN_FILE: (&str, &str) = ("AWS_VPC_K8S_CNI_LOG_FILE", "/var/log/ipamd.log");
/// T-16: how soon what is missing must be named.
const SOON: Duration = Duration::from_secs(10);
const WAITING: &str = "ipamd: waiting for ";
const SERVED: &str = "ipamd: start-up finished, pods are served";

/// Starts the daemon with its log in a file.
#[track_caller]
pub(crate) fn launch(stage: &Stage, extra: &[(&str, &str)]) -> Daemon {
    let mut variables = vec![IN_FILE];
    variables.extend(extra);
    stage.launch(0, &variables)
}

/// Waits until standard output names what is missing, within ten seconds; the line.
#[track_caller]
pub(crate) fn names(daemon: &Daemon, what: &str) -> String {
    eventually(&format!("stdout names {what:?}"), SOON, || {
        let output = daemon.output();
        let mut lines = output.lines();
        let found = lines.find(|line| line.starts_with(WAITING) && line.contains(what));
        found.map(str::to_owned).ok_or(output.clone())
    })
}

/// Waits until standard output says that waiting is over.
#[track_caller]
pub(crate) fn serves(daemon: &Daemon) {
    eventually("stdout says that pods are served", PATIENCE, || {
        let output = daemon.output();
        let said = output.lines().any(|line| line == SERVED);
        if said { Ok(()) } else { Err(output) }
    });
}
