//! `ipamd health` as kubelet's probes run it: one line, and grpc-health-probe's exit codes.

use crate::console::launch;
use e2e::binaries;
use e2e::daemon::PATIENCE;
use e2e::expect::{eventually, when};
use e2e::once::Said;
use e2e::stage::Stage;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

/// T-16: how soon what is missing must be named.
const SOON: Duration = Duration::from_secs(10);

#[track_caller]
fn health(stage: &Stage, arguments: &[&str]) -> Said {
    let mut line = vec!["health"];
    line.extend(arguments);
    stage.once(0, (&binaries::ipamd(), &line), &[])
}

fn said(code: i32, output: &str) -> Said {
    Said {
        code: Some(code),
        output: format!("{output}\n"),
    }
}

/// Waits until the daemon is not ready because of what begins like this; the line.
#[track_caller]
fn waits_for(stage: &Stage, what: &str, within: Duration) -> String {
    let begins = format!("ready: NOT_SERVING, waiting for {what}");
    let seen = eventually(&format!("health says {begins:?}"), within, || {
        when(health(stage, &["--service", "ready"]), |said| {
            said.code == Some(4) && said.output.starts_with(&begins)
        })
    });
    assert_eq!(seen.output.lines().count(), 1, "{seen:?}");
    seen.output.trim_end().to_owned()
}

#[track_caller]
fn becomes_ready(stage: &Stage) {
    eventually("it is ready", PATIENCE, || {
        when(health(stage, &["--service", "ready"]), |seen| {
            *seen == said(0, "ready: SERVING")
        })
    });
}

#[test]
fn t16_health_says_which_part_of_imds_start_up_waits_for_and_the_daemon_is_alive() {
    let stage = Stage::one("wire/probe-imds", "m5.large");
    stage.vpc().faults_mut().fail_imds("/vpc-id", 404);
    let mut daemon = launch(&stage, &[]);
    let line = waits_for(&stage, "the instance metadata service: IMDS has no ", SOON);
    assert!(line.ends_with("/vpc-id"), "{line}");
    assert_eq!(health(&stage, &[]), said(0, "ipamd: SERVING"));
    let alive = "grpc.health.v1.aws-node";
    assert_eq!(
        health(&stage, &["--service", alive]),
        said(0, &format!("{alive}: SERVING"))
    );
    assert!(daemon.runs());
    stage.vpc().faults_mut().clear();
    becomes_ready(&stage);
}

#[test]
fn t16_health_says_which_call_of_ec2_start_up_waits_for() {
    let stage = Stage::one("wire/probe-ec2", "m5.large");
    // Nobody listens there.
    let _daemon = launch(&stage, &[("AWS_EC2_ENDPOINT", "http://169.254.169.250:9")]);
    waits_for(&stage, "EC2 Describe", SOON);
}

#[test]
fn every_way_not_to_get_an_answer_has_its_exit_code() {
    let stage = Stage::one("wire/probe-codes", "m5.large");
    for wrong in [
        &["--port", "1"][..],
        &["--timeout", "0"],
        &["--socket", ""],
        &["now"],
    ] {
        assert_eq!(health(&stage, wrong).code, Some(1), "{wrong:?}");
    }
    let nobody = health(&stage, &[]);
    assert_eq!(nobody.code, Some(2), "{nobody:?}");
    assert_eq!(
        nobody.output,
        "ipamd: connect to /var/run/aws-node/ipamd.sock: No such file or directory (os error 2)\n"
    );
    let silent = stage.node(0).root().join("run/silent.sock");
    let _silent = UnixListener::bind(silent).unwrap();
    let began = Instant::now();
    let unanswered = health(&stage, &["--socket", "/run/silent.sock", "--timeout", "1"]);
    assert_eq!(unanswered.code, Some(3), "{unanswered:?}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    let _daemon = stage.daemon(0, &[]);
    let unknown = health(&stage, &["--service", "nobody"]);
    assert_eq!(unknown.code, Some(3), "{unknown:?}");
    assert!(
        unknown.output.starts_with("nobody: no answer: NotFound: "),
        "{unknown:?}"
    );
}
