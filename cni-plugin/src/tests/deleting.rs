//! DEL.

use super::fixture::{
    FakeKernel, Running, Script, allocation, invocation, plugin, released, removed, removed_of,
};
use crate::del::{Report, del};
use cni::dispatch::Invocation;
use cni::error::Code;
use rpc::reason::unknown_pod;
use rpc::wire::DelNetworkReply;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tonic::Status;

fn answering(reply: Result<DelNetworkReply, Status>) -> Running {
    Running::with(Script {
        dels: [reply].into(),
        ..Script::default()
    })
}

fn previous(mac: &str, device: &str) -> Value {
    json!({"prevResult": {
        "cniVersion": "0.4.0",
        "interfaces": [
            {"name": "eni0761ccbeace"},
            {"name": "eth0", "mac": mac, "sandbox": "/run/netns/x"},
            {"name": "dummy0761ccbeace", "mac": "0", "sandbox": device},
        ],
        "ips": [{"version": "4", "interface": 1, "address": "10.0.1.121/32"}],
    }})
}

/// A plugin without any daemon.
fn alone(kernel: FakeKernel, call: &Invocation) -> (Report, FakeKernel) {
    let folder = tempfile::tempdir().unwrap();
    let plugin = plugin(&folder.path().join("ipamd.sock"), kernel);
    (del(&plugin.daemon, &plugin.kernel, call), plugin.kernel)
}

#[test]
fn what_the_daemon_released_is_removed() {
    let running = answering(Ok(released()));
    let plugin = running.plugin(FakeKernel::default());
    let mut call = invocation(json!({}));
    call.netns = None;
    let report = del(&plugin.daemon, &plugin.kernel, &call);
    assert_eq!(report.outcome, Ok(()));
    assert_eq!(report.notes, [] as [String; 0]);
    assert_eq!(plugin.kernel.done.take(), [removed(2)]);
    let script = running.script.lock().unwrap();
    let asked = &script.asked_del[0];
    assert_eq!(
        (asked.reason.as_str(), asked.k8s_pod_uid.as_str()),
        ("PodDeleted", "u1")
    );
    assert_eq!(
        (asked.network_name.as_str(), asked.container_id.as_str()),
        ("aws-cni", "0abc")
    );
}

#[test]
fn a_pod_that_the_daemon_does_not_know_is_deleted_already() {
    let upstreams = Status::unknown("1 error occurred:\n\t* datastore: unknown pod\n\n");
    for status in [unknown_pod(), upstreams] {
        let running = answering(Err(status));
        let plugin = running.plugin(FakeKernel::default());
        let report = del(
            &plugin.daemon,
            &plugin.kernel,
            &invocation(previous("2", "1")),
        );
        assert_eq!(report.outcome, Ok(()));
        assert_eq!(
            plugin.kernel.done.take(),
            [],
            "the address may be another pod's by now"
        );
    }
}

#[test]
fn without_a_daemon_the_previous_result_says_what_to_remove() {
    for (mac, device, table) in [("2", "1", 2), ("", "5", 6), ("254", "0", 254)] {
        let (report, kernel) = alone(FakeKernel::default(), &invocation(previous(mac, device)));
        assert_eq!(report.outcome, Ok(()));
        assert_eq!(kernel.done.take(), [removed_of(table)]);
        assert_eq!(report.notes.len(), 1, "{:?}", report.notes);
    }
}

#[test]
fn without_a_daemon_an_address_that_another_pod_has_by_now_is_left_alone() {
    let kernel = FakeKernel {
        taken_over: true,
        ..FakeKernel::default()
    };
    let (report, kernel) = alone(kernel, &invocation(previous("2", "1")));
    assert_eq!(report.outcome, Ok(()));
    assert_eq!(report.removed, [] as [std::net::Ipv4Addr; 0]);
    assert_eq!(kernel.done.take(), [removed_of(2)]);
    let note = report.notes.last().unwrap();
    assert!(
        note.starts_with("10.0.1.121 is not routed to eni0761ccbeace"),
        "{note}"
    );
}

#[test]
fn without_a_daemon_the_delete_succeeds_whatever_it_knows_and_soon() {
    let broken = json!({"prevResult": {"interfaces": 7}});
    let foreign = json!({"prevResult": {"interfaces": [{"name": "eth0"}]}});
    for more in [
        json!({}),
        broken,
        foreign,
        previous("nonsense", "1"),
        previous("2", "nonsense"),
    ] {
        let mut call = invocation(more.clone());
        call.netns = None;
        let began = Instant::now();
        let (report, kernel) = alone(FakeKernel::default(), &call);
        assert_eq!(report.outcome, Ok(()), "{more}");
        assert_eq!(kernel.done.take(), [], "{more}");
        assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn the_limits_of_a_delete_add_up_to_less_than_seven_seconds() {
    let daemon = crate::ask::Daemon::at("/nonexistent".as_ref());
    assert!(daemon.del_connect + daemon.del_answer < Duration::from_secs(7));
}

#[test]
fn a_daemon_that_fails_keeps_no_pod_from_being_deleted() {
    let running = answering(Err(Status::internal("some error")));
    let plugin = running.plugin(FakeKernel {
        refuses_del: true,
        ..FakeKernel::default()
    });
    let report = del(
        &plugin.daemon,
        &plugin.kernel,
        &invocation(previous("2", "1")),
    );
    assert_eq!(report.outcome, Ok(()));
    assert_eq!(plugin.kernel.done.take(), [removed_of(2)]);
    assert!(
        report.notes[0].contains("some error") && report.notes[1].contains("failed on tear down"),
        "{report:?}"
    );
}

#[test]
fn a_daemon_that_did_not_release_makes_the_runtime_try_again() {
    let running = answering(Ok(DelNetworkReply::default()));
    let plugin = running.plugin(FakeKernel::default());
    let report = del(
        &plugin.daemon,
        &plugin.kernel,
        &invocation(previous("2", "1")),
    );
    assert_eq!(report.outcome.unwrap_err().code, Code::TryAgain);
    assert_eq!(plugin.kernel.done.take(), [removed_of(2)]);
}

#[test]
fn every_released_address_is_removed_although_one_fails() {
    let mut reply = released();
    reply
        .ip_allocation_metadata
        .push(allocation("10.0.2.9", 2, 3));
    reply.ip_allocation_metadata.push(allocation("", 0, 0));
    let running = answering(Ok(reply));
    let plugin = running.plugin(FakeKernel {
        refuses_del: true,
        ..FakeKernel::default()
    });
    let report = del(&plugin.daemon, &plugin.kernel, &invocation(json!({})));
    let error = report.outcome.unwrap_err();
    assert!(
        error.code == Code::Unwiring && error.msg.contains("failed on tear down pod network"),
        "{error:?}"
    );
    assert_eq!(plugin.kernel.done.take().len(), 2);
    assert_eq!(report.notes.len(), 1, "{:?}", report.notes);
}
