//! Many ADDs that wait at once do not get in the way of anything else.

use crate::grpc;
use e2e::stage::Stage;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tonic_health::pb::health_check_response::ServingStatus;

#[test]
fn thirty_adds_wait_in_parallel_and_health_answers_at_once() {
    let stage = Stage::one("wire/waiting", "m5.xlarge");
    stage
        .vpc()
        .faults_mut()
        .fail_imds("placement/availability-zone", 503);
    let daemon = stage.launch(0, &[]);
    daemon.says("start-up waits", |_| true);
    let names: Vec<_> = (0..30).map(|n| format!("web-{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let answers = grpc::add_all_while(&daemon, &names, Duration::from_secs(40), || {
        for name in &names {
            daemon.has_received(&format!("default/{name}"), 1);
        }
        let began = Instant::now();
        assert_eq!(grpc::health(&daemon, "").unwrap(), ServingStatus::Serving);
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(daemon.lines("address given to a pod").len(), 0);
        stage.vpc().faults_mut().clear();
    });
    let addresses: BTreeSet<_> = answers
        .into_iter()
        .map(|answer| answer.unwrap().ip_allocation_metadata[0].i_pv4_addr.clone())
        .collect();
    assert_eq!(addresses.len(), 30);
}
