//! `ipamd health`: asks the daemon how it is, as kubelet's probes do. Exit codes are grpc-health-probe's (ipamd.md §0).
//!
//! Owns: what is said of an answer. Must not: read configuration, log, take longer than it was given.
//! Driven by: `main`.

use crate::restore::with_causes;
use crate::serve::health::WAITING_FOR;
use std::path::Path;
use std::time::Duration;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// The daemon is what it was asked for.
const SERVING: u8 = 0;
/// Nobody listens at the socket.
const NOT_CONNECTED: u8 = 2;
/// No answer, or none to this question.
const NO_ANSWER: u8 = 3;
/// The answer is no.
const NOT_SERVING: u8 = 4;

/// Asks for a service; the exit code, and a line for people.
pub async fn probe(socket: &Path, service: &str, within: Duration) -> (u8, String) {
    let name = if service.is_empty() { "alive" } else { service };
    let path = socket.display();
    let asked = async {
        let endpoint = match Endpoint::from_shared(format!("unix://{path}")) {
            Ok(endpoint) => endpoint,
            Err(error) => return (NOT_CONNECTED, format!("{path}: {error}")),
        };
        let channel = match endpoint.connect().await {
            Ok(channel) => channel,
            Err(error) => {
                return (
                    NOT_CONNECTED,
                    format!("connect to {path}: {}", with_causes(&error)),
                );
            }
        };
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = match HealthClient::new(channel).check(request).await {
            Ok(answer) => answer,
            Err(status) if status.code() == Code::NotFound => {
                return (
                    NO_ANSWER,
                    format!("the daemon has no health service {service:?}"),
                );
            }
            Err(status) => {
                return (
                    NO_ANSWER,
                    format!("{:?}: {}", status.code(), status.message()),
                );
            }
        };
        let waiting_for = answer
            .metadata()
            .get(WAITING_FOR)
            .and_then(|what| what.to_str().ok())
            .map(str::to_owned);
        match (answer.into_inner().status(), waiting_for) {
            (ServingStatus::Serving, _) => (SERVING, "SERVING".to_owned()),
            (_, Some(what)) => (NOT_SERVING, format!("NOT_SERVING, waiting for {what}")),
            (status, None) => (NOT_SERVING, status.as_str_name().to_owned()),
        }
    };
    let (code, said) = tokio::time::timeout(within, asked)
        .await
        .unwrap_or_else(|_| {
            (
                NO_ANSWER,
                format!("no answer from {path} within {within:?}"),
            )
        });
    (code, format!("{name}: {said}"))
}
