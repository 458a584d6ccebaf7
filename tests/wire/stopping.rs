//! SIGTERM on a node that is drained: what the node has stays its own, and who asks is answered.

use crate::grpc;
use e2e::stage::Stage;
use lab::vpc::{Action, Verdict};
use std::time::Duration;

#[test]
fn t17_sigterm_takes_nothing_away_and_who_waits_is_told_at_once() {
    let stage = Stage::one("wire/drained", "m5.large");
    let daemon = stage.daemon(0, &[("WARM_IP_TARGET", "12")]);
    daemon.has_usable(2);
    let pod = grpc::add(&daemon, "web-0", Duration::from_secs(10)).unwrap();
    assert!(pod.success);
    let before: Vec<_> = stage
        .enis(0)
        .iter()
        .map(|eni| eni.addresses.len())
        .collect();
    assert_eq!(before.len(), 2);
    assert_eq!(daemon.stop(), Some(0));

    // Now 20 addresses are far too many; and the first call to take some away is held on its way.
    let slow = Verdict {
        before: Duration::from_secs(4),
        ..Verdict::default()
    };
    for action in [
        Action::UnassignPrivateIpAddresses,
        Action::DetachNetworkInterface,
    ] {
        stage.vpc().faults_mut().plan_next(action, slow.clone());
    }
    let daemon = stage.daemon(0, &[("WARM_IP_TARGET", "1")]);
    assert_eq!(daemon.stop(), Some(0));
    let taken: Vec<_> = stage
        .journal()
        .records()
        .into_iter()
        .filter(|record| {
            ["DetachNetworkInterface", "DeleteNetworkInterface"].contains(&record.action.as_str())
        })
        .collect();
    assert_eq!(taken.len(), 0, "{taken:?}");
    assert_eq!(stage.enis(0).len(), 2, "both are attached still");
}
