//! T-12: a restart inside a cooldown keeps the cooldown's end.

use crate::home::looked_after;
use crate::truth::{boot_clock_ms, file, settled};
use e2e::daemon::PATIENCE;
use e2e::expect::eventually;
use e2e::stage::Stage;
use serde_json::Value;
use std::net::Ipv4Addr;

/// One ENI with one address for a pod: who comes next must get the same one.
const VARIABLES: &[(&str, &str)] = &[("IP_COOLDOWN_PERIOD", "3"), ("MAX_ENI", "1")];

/// The address that cools and its end, as the checkpoint has them.
fn cooling(stage: &Stage) -> Option<(Ipv4Addr, u64)> {
    let entries = file(stage, 0, "ipam.json")
        .pointer("/extension/cooling")
        .cloned();
    let entry = entries.as_ref().and_then(|entries| entries.get(0))?;
    let address = entry["ipv4"].as_str()?.parse().ok()?;
    Some((address, entry["until"].as_u64()?))
}

#[test]
fn t12_restart_inside_cooldown_keeps_its_end_and_the_address_is_not_given_before() {
    let stage = Stage::one("chaos/cooldown", "t3.nano");
    let first = stage.launch(0, VARIABLES);
    looked_after((&stage, 0), VARIABLES, first, |home| {
        let [pod] = home.pods(["a"]);
        let address = pod.address;
        let before = boot_clock_ms();
        home.stop(pod);
        let after = boot_clock_ms();
        let (cools, until) = cooling(&stage).expect("the address cools");
        assert_eq!(cools, address);
        // The kernel prints hundredths of a second.
        let release = until - 3_000;
        assert!(
            (before - 10..=after + 10).contains(&release),
            "{before} {release} {after}"
        );
        home.kill();
        home.serves();
        let restored = file(&stage, 0, "ipam.json");
        assert_eq!(cooling(&stage), Some((address, until)), "{restored}");
        let [next] = home.pods(["b"]);
        assert_eq!(next.address, address, "there is no other");
        let given = boot_clock_ms();
        assert!(given + 10 >= until, "given at {given}, cools until {until}");
        let entry = eventually("the checkpoint has the pod", PATIENCE, || {
            let held = file(&stage, 0, "ipam.json")["allocations"][0].clone();
            if held.is_null() {
                Err(Value::Null)
            } else {
                Ok(held)
            }
        });
        assert_eq!(entry["metadata"]["k8sPodName"], "b");
        settled(&stage, 0, &[&next], 1);
    });
}
