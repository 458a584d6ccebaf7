//! T-01: a fault that ends needs no restart: the pool reaches its target by itself, within one reconcile.

use e2e::expect::{eventually, when};
use e2e::stage::Stage;
use lab::vpc::{Action, Chance, Code, Delay, Error, Verdict};
use std::time::Duration;

/// One reconcile, as upstream counts: it compares its pool with EC2 every minute.
const RECONCILE: Duration = Duration::from_secs(60);

/// From the start all calls that bring addresses end like this, until some have failed; then EC2 is well again.
fn recovers(test: &str, verdict: Verdict) {
    let stage = Stage::one(test, "m5.large");
    for action in [
        Action::AssignPrivateIpAddresses,
        Action::CreateNetworkInterface,
        Action::AttachNetworkInterface,
    ] {
        let chance = Chance {
            action: Some(action),
            permille: 1000,
            verdict: verdict.clone(),
            before: Delay::default(),
            after: Delay::default(),
        };
        stage.vpc().faults_mut().add(chance);
    }
    // Nine warm addresses and one ENI more.
    let mut daemon = stage.daemon(0, &[("WARM_ENI_TARGET", "2")]);
    eventually("calls fail", RECONCILE, || {
        let failed = daemon.lines("EC2 call failed").len();
        when(failed, |count| *count >= 3)
    });
    let addresses = |stage: &Stage| -> usize {
        let enis = stage.enis(0);
        enis.iter().map(|eni| eni.addresses.len() - 1).sum()
    };
    assert_eq!(addresses(&stage), 0);
    stage.vpc().faults_mut().clear();
    eventually("the pool reaches its target", RECONCILE, || {
        when(addresses(&stage), |count| *count == 18)
    });
    daemon.has_usable(2);
    assert!(daemon.runs());
    assert_eq!(daemon.lines(e2e::daemon::SERVING).len(), 1, "no restart");
    let created = stage
        .journal()
        .count(|record| record.action == "CreateNetworkInterface" && record.outcome == "ok");
    assert_eq!(created, 1, "and nothing twice");
}

fn refused(code: Code) -> Verdict {
    Verdict::refused(Error::new(code, "laboratory: a fault"))
}

#[test]
fn t01_after_throttling() {
    recovers(
        "wire/recovery-throttled",
        refused(Code::RequestLimitExceeded),
    );
}

#[test]
fn t01_after_errors_of_ec2() {
    recovers(
        "wire/recovery-unavailable",
        refused(Code::ServiceUnavailable),
    );
}
