//! Client, server code and socket file together, over a socket in a temporary folder.

use crate::client::{ConnectError, connect, is_broken_connection};
use crate::reason::{refusal, refuse_add, unknown_pod};
use crate::socket::{answering, bind};
use crate::wire::cni_backend_server::{CniBackend, CniBackendServer};
use crate::wire::{
    AddNetworkReply, AddNetworkRequest, DelNetworkReply, DelNetworkRequest, RefusalKind,
};
use model::reason::Reason;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};

const LONG: Duration = Duration::from_secs(30);

/// Refuses "refused", never answers "silent", grants everybody else and puts the caller's limit into the policy mode.
struct Daemon;

#[tonic::async_trait]
impl CniBackend for Daemon {
    async fn add_network(
        &self,
        request: Request<AddNetworkRequest>,
    ) -> Result<Response<AddNetworkReply>, Status> {
        let timeout = request
            .metadata()
            .get("grpc-timeout")
            .map(|value| value.to_str().unwrap().to_owned());
        match request.into_inner().k8s_pod_name.as_str() {
            "refused" => Err(refuse_add(&Reason::NodeLimit {
                limit: 12,
                held: 12,
                cooling: 0,
            })),
            "silent" => std::future::pending().await,
            _ => {
                let network_policy_mode = timeout.unwrap_or_default();
                Ok(Response::new(AddNetworkReply {
                    success: true,
                    network_policy_mode,
                    ..AddNetworkReply::default()
                }))
            }
        }
    }

    async fn del_network(
        &self,
        _: Request<DelNetworkRequest>,
    ) -> Result<Response<DelNetworkReply>, Status> {
        Err(unknown_pod())
    }
}

fn serve(path: &Path) {
    let listener = bind(path).unwrap();
    let server = Server::builder().add_service(CniBackendServer::new(Daemon));
    tokio::spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
}

fn named(pod: &str) -> AddNetworkRequest {
    AddNetworkRequest {
        k8s_pod_name: pod.to_owned(),
        ..AddNetworkRequest::default()
    }
}

#[tokio::test]
async fn the_daemon_is_told_how_long_the_caller_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ipamd.sock");
    serve(&path);
    let mut client = connect(&path, LONG).await.unwrap();
    let reply = client
        .add(named("web-1"), Duration::from_secs(90))
        .await
        .unwrap();
    assert_eq!(reply.network_policy_mode, "90000000u");
}

#[tokio::test]
async fn a_refusal_arrives_with_code_text_and_typed_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ipamd.sock");
    serve(&path);
    let mut client = connect(&path, LONG).await.unwrap();
    let status = client.add(named("refused"), LONG).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status
            .message()
            .starts_with("failed to assign an IP address to container: node limit 12"),
        "{status}"
    );
    assert_eq!(refusal(&status).unwrap().kind(), RefusalKind::NodeLimit);
    assert!(!is_broken_connection(&status));
    let status = client
        .del(DelNetworkRequest::default(), LONG)
        .await
        .unwrap_err();
    assert!(status.message().contains("datastore: unknown pod"));
    assert!(!is_broken_connection(&status));
}

#[tokio::test]
async fn a_silent_daemon_costs_the_limit_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ipamd.sock");
    serve(&path);
    let mut client = connect(&path, LONG).await.unwrap();
    let asked = client.add(named("silent"), Duration::from_millis(50));
    let status = tokio::time::timeout(LONG, asked)
        .await
        .expect("bounded")
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(!is_broken_connection(&status));
}

#[tokio::test]
async fn a_daemon_that_dies_while_asked_is_told_from_one_that_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ipamd.sock");
    let listener = bind(&path).unwrap();
    let death = tokio::spawn(async move { drop(listener.accept().await.unwrap()) });
    let mut client = connect(&path, LONG).await.unwrap();
    let status = client.add(named("web-1"), LONG).await.unwrap_err();
    assert!(is_broken_connection(&status), "{status:?}");
    death.await.unwrap();
}

#[tokio::test]
async fn an_absent_daemon_may_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let missing = connect(&folder.path().join("missing"), LONG)
        .await
        .unwrap_err();
    assert!(missing.is_retryable(), "{missing:?}");
    let path = folder.path().join("ipamd.sock");
    drop(bind(&path).unwrap());
    let refused = connect(&path, LONG).await.unwrap_err();
    assert!(refused.is_retryable(), "{refused:?}");
    let impossible = connect(Path::new(""), LONG).await.unwrap_err();
    assert!(
        matches!(impossible, ConnectError::Path(_)) && !impossible.is_retryable(),
        "{impossible:?}"
    );
}

#[tokio::test]
async fn a_daemon_that_accepts_nobody_just_now_answers_and_can_be_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ipamd.sock");
    let socket = tokio::net::UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let _listener = socket.listen(1).unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::net::UnixStream::connect(&path).await {
        queued.push(stream);
        assert!(queued.len() < 10, "the backlog is never full");
    }
    let full = connect(&path, LONG).await.unwrap_err();
    assert!(full.is_retryable(), "{full:?}");
    let seen = answering(&path).await.unwrap();
    assert!(seen.is_some_and(|who| who.pid.is_none()));
}

#[tokio::test]
async fn a_plain_file_and_a_dead_socket_make_room_for_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/aws-node/ipamd.sock");
    let first = bind(&path).unwrap();
    assert!(answering(&path).await.unwrap().is_some());
    drop(first);
    assert_eq!(answering(&path).await.unwrap(), None);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(answering(&path).await.unwrap(), None);
    std::fs::write(&path, "stale").unwrap();
    assert_eq!(answering(&path).await.unwrap(), None);
    let _second = bind(&path).unwrap();
    assert!(answering(&path).await.unwrap().is_some());
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o660
    );
    let parent = std::fs::metadata(path.parent().unwrap()).unwrap();
    assert_eq!(
        parent.permissions().mode() & 0o022,
        0,
        "nobody else may replace the socket"
    );
}

#[tokio::test]
async fn what_cannot_be_bound_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = bind(folder.path()).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("remove the stale socket {}", folder.path().display())
    );
}

#[test]
fn reflection_has_every_service() {
    let text = String::from_utf8_lossy(crate::FILE_DESCRIPTOR_SET);
    for name in [
        "CNIBackend",
        "NPBackend",
        "ConfigServerBackend",
        "google/protobuf/empty.proto",
    ] {
        assert!(text.contains(name), "{name}");
    }
}
