//! `ipamd health`: asks the running daemon how it is, for kubelet's probes and for people.
//!
//! Owns: the one line that is said and the exit code, which are grpc-health-probe's (datapath.md §6.4). Must not: read the
//! configuration or write a log: it runs every ten seconds on every node. Driven by: `main`.

use crate::arguments::Question;
use crate::serve::health::WAITING_FOR;
use rpc::client::ConnectError;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tonic::{Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// What came of asking; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Outcome {
    Serving = 0,
    BadArguments = 1,
    NotConnected = 2,
    NotAnswered = 3,
    NotServing = 4,
}

/// Asks, says what came of it, and ends.
#[expect(clippy::print_stdout, reason = "the line is this program's output")]
pub fn run(question: &Question) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let (outcome, line) = match runtime {
        Ok(runtime) => runtime.block_on(ask(question)),
        Err(error) => (Outcome::NotConnected, in_short(&error)),
    };
    // The empty name stands for the daemon as a whole.
    let service = match question.service.as_str() {
        "" => "ipamd",
        name => name,
    };
    println!("{service}: {line}");
    ExitCode::from(outcome as u8)
}

async fn ask(question: &Question) -> (Outcome, String) {
    let within = Duration::from_secs(question.timeout);
    let deadline = Instant::now() + within;
    let channel = match rpc::client::channel(&question.socket, within).await {
        Ok(channel) => channel,
        Err(error @ ConnectError::Path(_)) => return (Outcome::BadArguments, in_short(&error)),
        Err(error) => return (Outcome::NotConnected, in_short(&error)),
    };
    let mut client = HealthClient::new(channel);
    let request = HealthCheckRequest {
        service: question.service.clone(),
    };
    match timeout_at(deadline, client.check(request)).await {
        Ok(answer) => judge(answer),
        Err(_) => {
            let line = format!("the daemon accepts but does not answer within {within:?}");
            (Outcome::NotAnswered, line)
        }
    }
}

fn judge(answer: Result<Response<HealthCheckResponse>, Status>) -> (Outcome, String) {
    let answer = match answer {
        Ok(answer) => answer,
        Err(status) => {
            let line = format!("no answer: {:?}: {}", status.code(), status.message());
            return (Outcome::NotAnswered, line);
        }
    };
    let status = answer.get_ref().status();
    let outcome = match status {
        ServingStatus::Serving => Outcome::Serving,
        _ => Outcome::NotServing,
    };
    let why = answer.metadata().get(WAITING_FOR);
    let line = match why.and_then(|why| why.to_str().ok()) {
        Some(why) => format!("{}, waiting for {why}", status.as_str_name()),
        None => status.as_str_name().to_owned(),
    };
    (outcome, line)
}

/// What was tried and the cause of all causes: those between, of the transport, repeat it.
fn in_short<'a>(error: &'a (dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error: &&'a (dyn Error + 'static)| {
        (*error).source()
    });
    match causes.last() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: ServingStatus, why: Option<&'static str>) -> Response<HealthCheckResponse> {
        let mut answer = Response::new(HealthCheckResponse {
            status: status.into(),
        });
        if let Some(why) = why {
            let value = tonic::metadata::MetadataValue::from_static(why);
            answer.metadata_mut().insert(WAITING_FOR, value);
        }
        answer
    }

    #[test]
    fn the_line_says_the_status_and_what_is_waited_for() {
        for (answered, outcome, line) in [
            (
                Ok(answer(ServingStatus::Serving, None)),
                Outcome::Serving,
                "SERVING",
            ),
            (
                Ok(answer(ServingStatus::NotServing, Some("EC2"))),
                Outcome::NotServing,
                "NOT_SERVING, waiting for EC2",
            ),
            (
                Ok(answer(ServingStatus::NotServing, None)),
                Outcome::NotServing,
                "NOT_SERVING",
            ),
            (
                Ok(answer(ServingStatus::ServiceUnknown, None)),
                Outcome::NotServing,
                "SERVICE_UNKNOWN",
            ),
            (
                Err(Status::not_found("no such service")),
                Outcome::NotAnswered,
                "no answer: NotFound: no such service",
            ),
        ] {
            assert_eq!(judge(answered), (outcome, line.to_owned()));
        }
    }
}
