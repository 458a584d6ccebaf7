//! The questions to the node daemon, each bounded in time; the runtime that polls them lives only as long as one question.
//! Must not: touch the kernel's network, or interpret a refusal (`refusal` does).

use cni::dispatch::Invocation;
use rpc::client::{Client, ConnectError, connect, is_broken_connection};
use rpc::wire::{AddNetworkReply, AddNetworkRequest, DelNetworkReply, DelNetworkRequest};
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

/// Why a pod's address is given back; upstream's words, which are label values of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The runtime deletes the pod.
    PodDeleted,
    /// The pod could not be wired.
    SetupFailed,
}

/// Where the daemon is and how long a DEL waits for it. An ADD's limit comes with its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// The socket.
    pub socket: PathBuf,
    /// How long a DEL tries to connect.
    pub del_connect: Duration,
    /// How long a DEL waits for the answer.
    pub del_answer: Duration,
}

/// A question without a usable answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// This process could not even begin.
    #[error("start to ask the node daemon")]
    Runtime(#[source] std::io::Error),
    /// There is no daemon.
    #[error("the node daemon does not answer on {} (waited {} s)", socket.display(), waited.as_secs())]
    Absent {
        /// The socket.
        socket: PathBuf,
        /// For how long it was tried.
        waited: Duration,
        /// The last attempt.
        #[source]
        last: ConnectError,
    },
    /// The socket is there and cannot be used.
    #[error(transparent)]
    Connect(ConnectError),
    /// The daemon refused, or the connection broke.
    #[error("rpc error: code = {:?} desc = {}", .0.code(), .0.message())]
    Status(Status),
}

impl Daemon {
    /// The daemon on `socket`.
    pub fn at(socket: &Path) -> Self {
        let (del_connect, del_answer) = (Duration::from_secs(1), Duration::from_secs(5));
        Self {
            socket: socket.to_owned(),
            del_connect,
            del_answer,
        }
    }

    /// Asks for an address until it comes, is refused, or `within` has passed. A daemon that is not there (yet), breaks
    /// off or says `Unavailable` is asked again: an ADD asked twice gets the same address.
    pub fn add(
        &self,
        question: &AddNetworkRequest,
        within: Duration,
    ) -> Result<AddNetworkReply, AskError> {
        block_on(async {
            let began = Instant::now();
            for attempt in 0.. {
                let left = within.saturating_sub(began.elapsed());
                let failure = match self.add_once(question.clone(), left).await {
                    Ok(reply) => return Ok(reply),
                    Err(failure) => failure,
                };
                let pause = pause(attempt, random());
                if !failure.is_passing() || began.elapsed() + pause >= within {
                    return Err(failure.after(began.elapsed()));
                }
                sleep(pause).await;
            }
            unreachable!("the loop ends by its limit of time")
        })
    }

    async fn add_once(
        &self,
        question: AddNetworkRequest,
        left: Duration,
    ) -> Result<AddNetworkReply, AskError> {
        let began = Instant::now();
        let mut client = self.connect(left).await?;
        let left = left.saturating_sub(began.elapsed());
        client.add(question, left).await.map_err(AskError::Status)
    }

    /// Gives an address back. Only the connection is tried more than once.
    pub fn del(&self, question: DelNetworkRequest) -> Result<DelNetworkReply, AskError> {
        block_on(async {
            let mut client = self.connect_repeatedly().await?;
            client
                .del(question, self.del_answer)
                .await
                .map_err(AskError::Status)
        })
    }

    async fn connect_repeatedly(&self) -> Result<Client, AskError> {
        let began = Instant::now();
        for attempt in 0.. {
            let left = self.del_connect.saturating_sub(began.elapsed());
            let failure = match self.connect(left).await {
                Ok(client) => return Ok(client),
                Err(failure) => failure,
            };
            let pause = pause(attempt, random());
            if !failure.is_passing() || began.elapsed() + pause >= self.del_connect {
                return Err(failure.after(began.elapsed()));
            }
            sleep(pause).await;
        }
        unreachable!("the loop ends by its limit of time")
    }

    async fn connect(&self, within: Duration) -> Result<Client, AskError> {
        connect(&self.socket, within)
            .await
            .map_err(|last| match last.is_retryable() {
                true => AskError::Absent {
                    socket: self.socket.clone(),
                    waited: Duration::ZERO,
                    last,
                },
                false => AskError::Connect(last),
            })
    }
}

impl AskError {
    /// Whether asking again a moment later may help. A daemon that is replaced is gone for well under a second.
    fn is_passing(&self) -> bool {
        match self {
            Self::Absent { .. } => true,
            Self::Runtime(_) | Self::Connect(_) => false,
            Self::Status(status) => {
                status.code() == Code::Unavailable || is_broken_connection(status)
            }
        }
    }

    fn after(self, waited: Duration) -> Self {
        match self {
            Self::Absent { socket, last, .. } => Self::Absent {
                socket,
                waited,
                last,
            },
            other => other,
        }
    }
}

/// The question of an ADD. The version is empty as in upstream's releases: its daemon compares it byte by byte.
pub fn add_question(call: &Invocation, netns: &Path) -> AddNetworkRequest {
    AddNetworkRequest {
        k8s_pod_name: call.args.pod.name.clone(),
        k8s_pod_namespace: call.args.pod.namespace.clone(),
        k8s_pod_infra_container_id: call.args.infra_container.clone(),
        netns: netns.display().to_string(),
        if_name: call.ifname.clone(),
        network_name: call.config.network.clone(),
        container_id: call.container.clone(),
        client_version: String::new(),
        requires_multi_nic_attachment: call.config.wants_every_card,
    }
}

/// The question of a DEL, or of an ADD that failed.
pub fn del_question(call: &Invocation, release: Release) -> DelNetworkRequest {
    let reason = match release {
        Release::PodDeleted => "PodDeleted",
        Release::SetupFailed => "SetupNSFailed",
    };
    DelNetworkRequest {
        k8s_pod_name: call.args.pod.name.clone(),
        k8s_pod_namespace: call.args.pod.namespace.clone(),
        k8s_pod_infra_container_id: call.args.infra_container.clone(),
        reason: reason.to_owned(),
        if_name: call.ifname.clone(),
        network_name: call.config.network.clone(),
        container_id: call.container.clone(),
        client_version: String::new(),
        k8s_pod_uid: call.args.uid.clone(),
    }
}

/// Polls on this thread; when it returns, nothing is polled any more.
fn block_on<T>(question: impl Future<Output = Result<T, AskError>>) -> Result<T, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    runtime.map_err(AskError::Runtime)?.block_on(question)
}

/// 50 to 500 ms, longer from attempt to attempt, spread so that a burst of pods does not return as a burst.
fn pause(attempt: u32, random: u64) -> Duration {
    const LEAST: u64 = 50;
    const MOST: u64 = 500;
    let top = (LEAST << (attempt + 1).min(4)).min(MOST);
    Duration::from_millis(LEAST + random % (top - LEAST + 1))
}

/// The standard library seeds its hash maps from the kernel's randomness.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_50_to_500_ms_and_are_spread() {
        let range = |attempt| {
            (
                pause(attempt, 0).as_millis(),
                pause(attempt, top(attempt)).as_millis(),
            )
        };
        fn top(attempt: u32) -> u64 {
            [50, 150, 350, 450][attempt.min(3) as usize]
        }
        assert_eq!(
            [0, 1, 2, 3].map(range),
            [(50, 100), (50, 200), (50, 400), (50, 500)]
        );
        assert_eq!(range(u32::MAX - 1), (50, 500));
        for random in 0..2_000 {
            assert!((50..=500).contains(&pause(9, random).as_millis()));
        }
    }
}
