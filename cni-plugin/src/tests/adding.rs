//! ADD.

use super::fixture::{Done, FakeKernel, Running, Script, allocation, granted, invocation, plugin};
use cni::dispatch::Plugin;
use cni::error::{CniError, Code};
use cni::result::AddResult;
use model::reason::Reason;
use rpc::reason::refuse_add;
use rpc::wire::AddNetworkReply;
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tonic::Status;

const NETNS: &str = "/run/netns/x";

fn add(running: &Running, kernel: FakeKernel) -> (Result<AddResult, CniError>, Vec<Done>) {
    let plugin = running.plugin(kernel);
    let result = plugin.add(&invocation(json!({})), Path::new(NETNS));
    (result, plugin.kernel.done.take())
}

fn answering(replies: impl IntoIterator<Item = Result<AddNetworkReply, Status>>) -> Running {
    Running::with(Script {
        adds: replies.into_iter().collect(),
        ..Script::default()
    })
}

#[test]
fn a_granted_address_is_wired_and_printed() {
    let running = answering([Ok(granted())]);
    let (result, done) = add(&running, FakeKernel::default());
    let result = result.unwrap();
    assert_eq!(result.host_link, "eni0761ccbeace");
    assert_eq!(
        (result.pod_link.as_str(), result.netns.as_str()),
        ("eth0", NETNS)
    );
    assert_eq!(
        (result.address.to_string(), result.table.0, result.device.0),
        ("10.0.1.121".into(), 2, 1)
    );
    let [Done::Opened(netns), Done::Wired(wiring)] = done.as_slice() else {
        panic!("{done:?}")
    };
    assert_eq!(netns, Path::new(NETNS));
    assert_eq!(wiring.pod.to_string(), "default/web-1");
    assert_eq!(
        (
            wiring.veth_prefix.as_str(),
            wiring.container_ifname.as_str(),
            wiring.mtu
        ),
        ("eni", "eth0", 9001)
    );
    assert_eq!(
        (wiring.address.to_string(), wiring.table.0),
        ("10.0.1.121".into(), 2)
    );
    let script = running.script.lock().unwrap();
    assert_eq!(script.asked_del, []);
    let asked = &script.asked_add[0];
    assert_eq!(
        (
            asked.k8s_pod_namespace.as_str(),
            asked.k8s_pod_name.as_str()
        ),
        ("default", "web-1")
    );
    assert_eq!(
        (
            asked.container_id.as_str(),
            asked.k8s_pod_infra_container_id.as_str()
        ),
        ("0abc", "0abc")
    );
    assert_eq!(
        (
            asked.network_name.as_str(),
            asked.if_name.as_str(),
            asked.netns.as_str()
        ),
        ("aws-cni", "eth0", NETNS)
    );
    assert_eq!(
        (
            asked.client_version.as_str(),
            asked.requires_multi_nic_attachment
        ),
        ("", false)
    );
}

#[test]
fn a_pod_without_a_name_is_refused_before_anything_happens() {
    let running = answering([]);
    let plugin = running.plugin(FakeKernel::default());
    for missing in ["namespace", "name", "both"] {
        let mut call = invocation(json!({}));
        if missing != "name" {
            call.args.pod.namespace.clear();
        }
        if missing != "namespace" {
            call.args.pod.name.clear();
        }
        let error = plugin.add(&call, Path::new(NETNS)).unwrap_err();
        assert!(
            error.code == Code::Environment && error.msg.contains("CNI_ARGS"),
            "{missing}: {error:?}"
        );
    }
    assert_eq!(plugin.kernel.done.take(), []);
    assert_eq!(running.script.lock().unwrap().asked_add, []);
}

#[test]
fn a_path_that_is_no_namespace_costs_no_address() {
    let running = answering([]);
    let (result, done) = add(
        &running,
        FakeKernel {
            refuses_open: true,
            ..FakeKernel::default()
        },
    );
    let error = result.unwrap_err();
    assert!(
        error.code == Code::Environment && error.msg.starts_with("CNI_NETNS: "),
        "{error:?}"
    );
    assert_eq!(done, [Done::Opened(PathBuf::from(NETNS))]);
    assert_eq!(running.script.lock().unwrap().asked_add, []);
}

#[test]
fn a_pod_that_cannot_be_wired_gives_its_address_back_once() {
    let running = answering([Ok(granted())]);
    let (result, _) = add(
        &running,
        FakeKernel {
            refuses_add: true,
            ..FakeKernel::default()
        },
    );
    let error = result.unwrap_err();
    assert_eq!(error.code, Code::Wiring);
    assert!(
        error.msg.contains("failed to setup network for 10.0.1.121"),
        "{error}"
    );
    let script = running.script.lock().unwrap();
    assert_eq!(script.asked_del.len(), 1);
    assert_eq!(
        (
            script.asked_del[0].reason.as_str(),
            script.asked_del[0].k8s_pod_uid.as_str()
        ),
        ("SetupNSFailed", "u1")
    );
}

#[test]
fn upstreams_refusals_are_understood() {
    let failure = AddNetworkReply::default();
    let wrong_version = Status::failed_precondition("wrong client version \"\" (!= \"1\")");
    for (reply, code, says) in [
        (Ok(failure), Code::TryAgain, "Success=false"),
        (Err(wrong_version), Code::Refused, "wrong client version"),
        (
            Err(Status::resource_exhausted("later")),
            Code::TryAgain,
            "later",
        ),
    ] {
        let running = answering([reply]);
        let error = add(&running, FakeKernel::default()).0.unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(
            error
                .msg
                .starts_with("failed to assign an IP address to container: "),
            "{error}"
        );
        assert!(error.msg.contains(says), "{error}");
        assert_eq!(running.script.lock().unwrap().asked_del, []);
    }
}

#[test]
fn an_answer_that_cannot_be_used_is_an_error_and_the_address_goes_back() {
    let none = AddNetworkReply {
        success: true,
        ..AddNetworkReply::default()
    };
    let nowhere = AddNetworkReply {
        ip_allocation_metadata: vec![allocation("", 0, 254)],
        ..none.clone()
    };
    let branch = AddNetworkReply {
        pod_vlan_id: 7,
        ..granted()
    };
    for reply in [none, nowhere, branch] {
        let running = answering([Ok(reply)]);
        let (result, done) = add(&running, FakeKernel::default());
        assert_eq!(result.unwrap_err().code, Code::BadAnswer);
        assert_eq!(done.len(), 1, "{done:?}");
        assert_eq!(running.script.lock().unwrap().asked_del.len(), 1);
    }
}

#[test]
fn a_daemon_that_is_starting_or_stopping_is_asked_again() {
    let stopping = || Err(refuse_add(&Reason::Stopping));
    let running = answering([stopping(), stopping(), Ok(granted())]);
    let (result, _) = add(&running, FakeKernel::default());
    assert_eq!(result.unwrap().address.to_string(), "10.0.1.121");
    assert_eq!(running.script.lock().unwrap().asked_add.len(), 3);
}

#[test]
fn a_daemon_that_is_replaced_while_asked_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ipamd.sock");
    let running = answering([Ok(granted())]);
    let successor = running.plugin(FakeKernel::default()).daemon.socket;
    let predecessor = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let death = std::thread::spawn({
        let socket = socket.clone();
        move || {
            drop(predecessor.accept().unwrap());
            drop(predecessor);
            std::fs::remove_file(&socket).unwrap();
            std::os::unix::fs::symlink(successor, &socket).unwrap();
        }
    });
    let result =
        plugin(&socket, FakeKernel::default()).add(&invocation(json!({})), Path::new(NETNS));
    assert_eq!(result.unwrap().address.to_string(), "10.0.1.121");
    death.join().unwrap();
}

#[test]
fn a_daemon_that_always_breaks_off_is_reported_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ipamd.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut call = invocation(json!({}));
    call.config.add_timeout = Duration::from_millis(40);
    let breaking = std::thread::spawn(move || {
        // Only once the connection stands: the client has sent HTTP/2's preface.
        let (mut connection, _) = listener.accept().unwrap();
        connection.read_exact(&mut [0; 24]).unwrap();
    });
    let error = plugin(&socket, FakeKernel::default())
        .add(&call, Path::new(NETNS))
        .unwrap_err();
    breaking.join().unwrap();
    assert_eq!(error.code, Code::TryAgain);
    assert!(
        error
            .msg
            .contains("the connection to the node daemon broke"),
        "{error}"
    );
}

#[test]
fn an_absent_daemon_is_reported_within_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = plugin(&folder.path().join("ipamd.sock"), FakeKernel::default());
    let mut call = invocation(json!({}));
    call.config.add_timeout = Duration::from_millis(300);
    let began = Instant::now();
    let error = plugin.add(&call, Path::new(NETNS)).unwrap_err();
    assert!(
        began.elapsed() >= Duration::from_millis(50),
        "the first attempt must not be the last"
    );
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(error.code, Code::TryAgain);
    assert!(
        error.msg.contains("the node daemon does not answer on"),
        "{error}"
    );
    assert!(error.msg.contains("ipamd.sock"), "{error}");
}
