//! The asking side of the wire, with a time limit on every step.
//! Must not: retry (the caller knows what is idempotent and how long it may take) or interpret an answer.

use crate::wire::cni_backend_client::CniBackendClient;
use crate::wire::{AddNetworkReply, AddNetworkRequest, DelNetworkReply, DelNetworkRequest};
use std::error::Error;
use std::future::Future;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

/// A connection to the daemon that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The path cannot be written as an address (not UTF-8, or empty).
    #[error("{} cannot be the path of a socket", .0.display())]
    Path(PathBuf),
    /// Nobody accepted in time.
    #[error("connect to {} within {within:?}", path.display())]
    Timeout {
        /// The socket.
        path: PathBuf,
        /// The limit.
        within: Duration,
    },
    /// The kernel refused.
    #[error("connect to {}", path.display())]
    Transport {
        /// The socket.
        path: PathBuf,
        /// What the kernel said is in its chain of sources.
        #[source]
        source: tonic::transport::Error,
    },
}

impl ConnectError {
    /// Whether the daemon may be there a moment later: it restarts (no file, nobody listening, gone before the connection
    /// stood) or its backlog is full.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Path(_) => false,
            Self::Timeout { .. } => true,
            Self::Transport { source, .. } => matches!(
                io_kind(source),
                Some(
                    ErrorKind::NotFound
                        | ErrorKind::ConnectionRefused
                        | ErrorKind::WouldBlock
                        | ErrorKind::ConnectionReset
                        | ErrorKind::ConnectionAborted
                        | ErrorKind::BrokenPipe
                        | ErrorKind::NotConnected
                        | ErrorKind::UnexpectedEof
                )
            ),
        }
    }
}

/// One connection to the daemon.
#[derive(Debug)]
pub struct Client {
    backend: CniBackendClient<Channel>,
}

/// Connects to the socket at `path`.
pub async fn connect(path: &Path, within: Duration) -> Result<Client, ConnectError> {
    let channel = channel(path, within).await?;
    Ok(Client {
        backend: CniBackendClient::new(channel),
    })
}

/// The connection alone, for other services than ours on the same socket.
pub async fn channel(path: &Path, within: Duration) -> Result<Channel, ConnectError> {
    let invalid = || ConnectError::Path(path.to_owned());
    let text = path
        .to_str()
        .filter(|text| !text.is_empty())
        .ok_or_else(invalid)?;
    let endpoint = Endpoint::from_shared(format!("unix://{text}")).map_err(|_| invalid())?;
    match tokio::time::timeout(within, endpoint.connect()).await {
        Err(_) => Err(ConnectError::Timeout {
            path: path.to_owned(),
            within,
        }),
        Ok(Err(source)) => Err(ConnectError::Transport {
            path: path.to_owned(),
            source,
        }),
        Ok(Ok(channel)) => Ok(channel),
    }
}

impl Client {
    /// Asks for an address. The daemon is told `within`, so that it can answer with a reason before it ends.
    pub async fn add(
        &mut self,
        question: AddNetworkRequest,
        within: Duration,
    ) -> Result<AddNetworkReply, Status> {
        bounded(within, self.backend.add_network(timed(question, within))).await
    }

    /// Gives an address back.
    pub async fn del(
        &mut self,
        question: DelNetworkRequest,
        within: Duration,
    ) -> Result<DelNetworkReply, Status> {
        bounded(within, self.backend.del_network(timed(question, within))).await
    }
}

/// Whether `status` was made on this side because the connection broke, rather than sent by the daemon. What the daemon
/// did with the question is then unknown, and asking the same again is right.
pub fn is_broken_connection(status: &Status) -> bool {
    status.code() != Code::DeadlineExceeded && status.source().is_some()
}

fn timed<T>(question: T, within: Duration) -> Request<T> {
    let mut request = Request::new(question);
    request.set_timeout(within);
    request
}

/// The transport also watches the limit, but only until the head of the answer has come, and says `Cancelled`.
async fn bounded<T>(
    within: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    let expired =
        || Status::deadline_exceeded(format!("the node daemon did not answer within {within:?}"));
    match tokio::time::timeout(within, call).await {
        Err(_) => Err(expired()),
        Ok(Err(status)) if chain(&status).any(|error| error.is::<tonic::TimeoutExpired>()) => {
            Err(expired())
        }
        Ok(answer) => answer.map(Response::into_inner),
    }
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    chain(error)
        .find_map(|error| error.downcast_ref::<std::io::Error>())
        .map(std::io::Error::kind)
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        (*error).source()
    })
}
