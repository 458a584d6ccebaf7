//! The daemon's socket: gRPC services over one listener.
//!
//! Owns: which services there are and how they end. Must not: know what they do. Driven by: `app`.

pub mod grpc;
pub mod health;

use rpc::wire::cni_backend_server::CniBackendServer;
use rpc::wire::config_server_backend_server::ConfigServerBackendServer;
use std::future::Future;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic_health::pb::health_server::{Health, HealthServer};

/// Why the socket is not served (any more).
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors compiled into this program are not usable: a defect of ours.
    #[error("prepare server reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The transport ended.
    #[error("serve the daemon's socket")]
    Transport(#[source] tonic::transport::Error),
}

/// Serves until `stop` is over and the calls in flight then have been answered.
pub async fn serve(
    listener: UnixListener,
    api: grpc::Api,
    health: HealthServer<impl Health>,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    Server::builder()
        .add_service(CniBackendServer::new(api.clone()))
        .add_service(ConfigServerBackendServer::new(api))
        .add_service(health)
        .add_service(reflection(tonic_reflection::server::Builder::build_v1)?)
        .add_service(reflection(
            tonic_reflection::server::Builder::build_v1alpha,
        )?)
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop)
        .await
        .map_err(ServeError::Transport)
}

/// Older tools know only the alpha version of the reflection service.
fn reflection<S>(
    build: impl FnOnce(
        tonic_reflection::server::Builder<'static>,
    ) -> Result<S, tonic_reflection::server::Error>,
) -> Result<S, ServeError> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(rpc::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    build(builder).map_err(ServeError::Reflection)
}
