//! The daemon's socket as its callers use it: ADD and DEL, health, reflection. Must not: judge an answer.

use e2e::daemon::Daemon;
use rpc::wire::cni_backend_client::CniBackendClient;
use rpc::wire::{AddNetworkReply, AddNetworkRequest, DelNetworkRequest};
use std::future::Future;
use std::time::Duration;
use tokio_stream::StreamExt;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

/// Asks for an address for pod `default/<name>`.
pub(crate) fn add(
    daemon: &Daemon,
    name: &str,
    within: Duration,
) -> Result<AddNetworkReply, Status> {
    block_on(async {
        let connected = rpc::client::connect(daemon.socket(), Duration::from_secs(5)).await;
        let mut client = connected.expect("the daemon accepts");
        client.add(question(name), within).await
    })
}

/// Asks for an address; when the daemon has the question, `work` is done. No limit of time is given.
pub(crate) fn add_while(
    daemon: &Daemon,
    name: &str,
    work: impl FnOnce(),
) -> Result<AddNetworkReply, Status> {
    block_on(async {
        let channel = channel(daemon).await;
        let mut backend = CniBackendClient::new(channel.clone());
        let mut health = HealthClient::new(channel);
        // On one connection questions arrive in order: a health check that was answered came after the ADD.
        let (answer, ()) = tokio::join!(backend.add_network(question(name)), async {
            health
                .check(HealthCheckRequest::default())
                .await
                .expect("health is served");
            work();
        });
        answer.map(Response::into_inner)
    })
}

/// Asks for addresses for all these pods at once, each on a connection of its own, and does `work` meanwhile.
pub(crate) fn add_all_while(
    daemon: &Daemon,
    names: &[&str],
    within: Duration,
    work: impl FnOnce() + Send,
) -> Vec<Result<AddNetworkReply, Status>> {
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            block_on(async {
                let adds = names.iter().map(|name| add_later(daemon, name, within));
                let mut tasks: Vec<_> = adds.map(tokio::spawn).collect();
                let mut answers = Vec::new();
                for task in tasks.drain(..) {
                    answers.push(task.await.expect("no panic inside"));
                }
                answers
            })
        });
        work();
        asking.join().expect("no panic inside")
    })
}

/// Connects as soon as the daemon listens, then asks.
fn add_later(
    daemon: &Daemon,
    name: &str,
    within: Duration,
) -> impl Future<Output = Result<AddNetworkReply, Status>> + Send + 'static {
    let (socket, question) = (daemon.socket().clone(), question(name));
    async move {
        loop {
            match rpc::client::connect(&socket, within).await {
                Ok(mut client) => return client.add(question, within).await,
                Err(error) if error.is_retryable() => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Gives back the addresses of all these pods, one after the other; each DEL must find its address.
pub(crate) fn del_all(daemon: &Daemon, names: &[&str]) {
    block_on(async {
        let connected = rpc::client::connect(daemon.socket(), Duration::from_secs(5)).await;
        let mut client = connected.expect("the daemon accepts");
        for name in names {
            let asked = question(name);
            let released = client.del(
                DelNetworkRequest {
                    k8s_pod_name: asked.k8s_pod_name,
                    k8s_pod_namespace: asked.k8s_pod_namespace,
                    if_name: asked.if_name,
                    network_name: asked.network_name,
                    container_id: asked.container_id,
                    ..DelNetworkRequest::default()
                },
                Duration::from_secs(5),
            );
            assert!(released.await.expect("it is released").success);
        }
    });
}

fn question(name: &str) -> AddNetworkRequest {
    AddNetworkRequest {
        k8s_pod_name: name.to_owned(),
        k8s_pod_namespace: "default".to_owned(),
        netns: "/var/run/netns/cni-0".to_owned(),
        if_name: "eth0".to_owned(),
        network_name: "aws-cni".to_owned(),
        container_id: format!("container-{name}"),
        ..AddNetworkRequest::default()
    }
}

/// The status of a health service; `NotFound` when there is no such service.
pub(crate) fn health(daemon: &Daemon, service: &str) -> Result<ServingStatus, Status> {
    block_on(async {
        let mut client = HealthClient::new(channel(daemon).await);
        let service = service.to_owned();
        let answer = client.check(HealthCheckRequest { service }).await?;
        Ok(answer.into_inner().status())
    })
}

/// Names of the services that server reflection lists, sorted.
pub(crate) fn services(daemon: &Daemon) -> Vec<String> {
    block_on(async {
        let mut grpc = Grpc::new(channel(daemon).await);
        grpc.ready().await.expect("the channel is connected");
        let question = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let path =
            PathAndQuery::from_static("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
        let codec =
            tonic_prost::ProstCodec::<ServerReflectionRequest, ServerReflectionResponse>::default();
        let stream = Request::new(tokio_stream::once(question));
        let answers = grpc
            .streaming(stream, path, codec)
            .await
            .expect("reflection is served");
        let first = answers
            .into_inner()
            .next()
            .await
            .expect("one answer")
            .expect("no error");
        let Some(MessageResponse::ListServicesResponse(list)) = first.message_response else {
            panic!("{first:?}");
        };
        let mut names: Vec<_> = list
            .service
            .into_iter()
            .map(|service| service.name)
            .collect();
        names.sort();
        names
    })
}

async fn channel(daemon: &Daemon) -> Channel {
    let path = daemon.socket().display();
    let endpoint = Endpoint::from_shared(format!("unix://{path}")).expect("a path is an address");
    endpoint.connect().await.expect("the daemon accepts")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime can be made").block_on(future)
}
