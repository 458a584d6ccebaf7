//! The client of a node's container runtime: each call of the CRI that kubelet makes, from an ordinary thread.
//! Driven by `kubelet`, tests and `vpc-lab`. Must not: decide what to run, retry, outlive its call.
//!
//! Each call connects anew, so that it may come from any thread, be given up in the middle and survive a restart of the
//! runtime.

pub mod watch;

use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    ContainerConfig, ContainerStatus, ContainerStatusRequest, CreateContainerRequest,
    ExecSyncRequest, ExecSyncResponse, ListPodSandboxRequest, PodSandbox, PodSandboxConfig,
    PodSandboxStatusRequest, PodSandboxStatusResponse, RemoveContainerRequest,
    RemovePodSandboxRequest, RunPodSandboxRequest, RuntimeCondition, StartContainerRequest,
    StatusRequest, StopContainerRequest, StopPodSandboxRequest, VersionRequest,
};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

/// How long a call may take unless it says otherwise: kubelet's `runtimeRequestTimeout`.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// kubelet gives RunPodSandbox twice that.
pub const SANDBOX_PATIENCE: Duration = Duration::from_secs(240);

/// Why a call had no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
pub enum CriError {
    /// No thread of execution for the call.
    #[error("prepare {call}")]
    Prepare {
        /// The call.
        call: &'static str,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The runtime's socket does not answer.
    #[error("connect to the container runtime at {path}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Cause.
        #[source]
        source: tonic::transport::Error,
    },
    /// The caller gave up; what the runtime had begun it ends by itself.
    #[error("{call} was given up after {after:?}")]
    GivenUp {
        /// The call.
        call: &'static str,
        /// When.
        after: Duration,
    },
    /// The runtime's own words.
    #[error("{call}: {said}", said = status.message())]
    Refused {
        /// The call.
        call: &'static str,
        /// The answer.
        status: Box<Status>,
    },
    /// An answer without what it must contain.
    #[error("the answer to {call} lacks {what}")]
    Lacks {
        /// The call.
        call: &'static str,
        /// What.
        what: &'static str,
    },
}

impl CriError {
    /// Whether the object was not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status.code() == Code::NotFound)
    }
}

/// A container runtime by its socket.
#[derive(Debug, Clone)]
pub struct Cri {
    socket: PathBuf,
}

impl Cri {
    /// The runtime that listens at `socket`, as seen from here.
    pub fn at(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Name and version of the runtime.
    pub fn version(&self, within: Duration) -> Result<String, CriError> {
        let answer = self.call("Version", within, async |mut runtime| {
            runtime
                .version(VersionRequest {
                    version: "v1".to_owned(),
                })
                .await
        })?;
        Ok(format!(
            "{} {}",
            answer.runtime_name, answer.runtime_version
        ))
    }

    /// The conditions that make a node Ready: `RuntimeReady` and `NetworkReady`.
    pub fn conditions(&self, within: Duration) -> Result<Vec<RuntimeCondition>, CriError> {
        let answer = self.call("Status", within, async |mut runtime| {
            runtime.status(StatusRequest { verbose: false }).await
        })?;
        answer
            .status
            .map(|status| status.conditions)
            .ok_or(CriError::Lacks {
                call: "Status",
                what: "a status",
            })
    }

    /// Whether the runtime has a network for pods; why not.
    pub fn network_ready(&self, within: Duration) -> Result<(bool, String), CriError> {
        let conditions = self.conditions(within)?;
        let network = conditions
            .into_iter()
            .find(|condition| condition.r#type == "NetworkReady");
        let network = network.ok_or(CriError::Lacks {
            call: "Status",
            what: "NetworkReady",
        })?;
        Ok((network.status, network.message))
    }

    /// Makes a pod's sandbox; its id. Giving up closes the call, as kubelet's deadline does.
    pub fn run_sandbox(
        &self,
        config: &PodSandboxConfig,
        within: Duration,
    ) -> Result<String, CriError> {
        let request = RunPodSandboxRequest {
            config: Some(config.clone()),
            runtime_handler: String::new(),
        };
        let answer = self.call("RunPodSandbox", within, async |mut runtime| {
            runtime.run_pod_sandbox(request).await
        })?;
        Ok(answer.pod_sandbox_id)
    }

    /// Ends a sandbox: its processes and its network.
    pub fn stop_sandbox(&self, id: &str) -> Result<(), CriError> {
        let request = StopPodSandboxRequest {
            pod_sandbox_id: id.to_owned(),
        };
        self.call("StopPodSandbox", PATIENCE, async |mut runtime| {
            runtime.stop_pod_sandbox(request).await
        })
        .map(drop)
    }

    /// Forgets a sandbox.
    pub fn remove_sandbox(&self, id: &str) -> Result<(), CriError> {
        let request = RemovePodSandboxRequest {
            pod_sandbox_id: id.to_owned(),
        };
        self.call("RemovePodSandbox", PATIENCE, async |mut runtime| {
            runtime.remove_pod_sandbox(request).await
        })
        .map(drop)
    }

    /// All sandboxes, whatever their state.
    pub fn sandboxes(&self) -> Result<Vec<PodSandbox>, CriError> {
        let request = ListPodSandboxRequest { filter: None };
        let answer = self.call("ListPodSandbox", PATIENCE, async |mut runtime| {
            runtime.list_pod_sandbox(request).await
        })?;
        Ok(answer.items)
    }

    /// A sandbox with what the runtime knows of its process and namespaces.
    pub fn sandbox(&self, id: &str) -> Result<PodSandboxStatusResponse, CriError> {
        let request = PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: true,
        };
        self.call("PodSandboxStatus", PATIENCE, async |mut runtime| {
            runtime.pod_sandbox_status(request).await
        })
    }

    /// Makes a container in a sandbox; its id.
    pub fn create_container(
        &self,
        sandbox: (&str, &PodSandboxConfig),
        config: ContainerConfig,
    ) -> Result<String, CriError> {
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox.0.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox.1.clone()),
        };
        let answer = self.call("CreateContainer", PATIENCE, async |mut runtime| {
            runtime.create_container(request).await
        })?;
        Ok(answer.container_id)
    }

    /// Starts a container.
    pub fn start_container(&self, id: &str) -> Result<(), CriError> {
        let request = StartContainerRequest {
            container_id: id.to_owned(),
        };
        let started = self.call("StartContainer", PATIENCE, async |mut runtime| {
            runtime.start_container(request).await
        });
        started.map(drop)
    }

    /// How a container is.
    pub fn container(&self, id: &str) -> Result<ContainerStatus, CriError> {
        let request = ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: false,
        };
        let answer = self.call("ContainerStatus", PATIENCE, async |mut runtime| {
            runtime.container_status(request).await
        })?;
        answer.status.ok_or(CriError::Lacks {
            call: "ContainerStatus",
            what: "a status",
        })
    }

    /// Number of a container's first process, as the node sees it.
    pub fn pid_of(&self, id: &str) -> Result<u32, CriError> {
        let request = ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: true,
        };
        let answer = self.call("ContainerStatus", PATIENCE, async |mut runtime| {
            runtime.container_status(request).await
        })?;
        let info: Option<Value> = answer
            .info
            .get("info")
            .and_then(|text| serde_json::from_str(text).ok());
        let pid = info.and_then(|info| u32::try_from(info["pid"].as_u64()?).ok());
        pid.ok_or(CriError::Lacks {
            call: "ContainerStatus",
            what: "a process number",
        })
    }

    /// Runs a command in a container, as an exec probe does.
    pub fn exec(
        &self,
        container: &str,
        command: &[String],
        within: Duration,
    ) -> Result<ExecSyncResponse, CriError> {
        let timeout = i64::try_from(within.as_secs()).unwrap_or(i64::MAX);
        let request = ExecSyncRequest {
            container_id: container.to_owned(),
            cmd: command.to_vec(),
            timeout,
        };
        self.call("ExecSync", PATIENCE, async |mut runtime| {
            runtime.exec_sync(request).await
        })
    }

    /// Ends a container: SIGTERM, and SIGKILL when `grace` is over.
    pub fn stop_container(&self, id: &str, grace: Duration) -> Result<(), CriError> {
        let timeout = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let request = StopContainerRequest {
            container_id: id.to_owned(),
            timeout,
        };
        self.call("StopContainer", PATIENCE, async |mut runtime| {
            runtime.stop_container(request).await
        })
        .map(drop)
    }

    /// Forgets a container.
    pub fn remove_container(&self, id: &str) -> Result<(), CriError> {
        let request = RemoveContainerRequest {
            container_id: id.to_owned(),
        };
        self.call("RemoveContainer", PATIENCE, async |mut runtime| {
            runtime.remove_container(request).await
        })
        .map(drop)
    }

    fn call<T>(
        &self,
        call: &'static str,
        within: Duration,
        ask: impl AsyncFnOnce(RuntimeServiceClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, CriError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|source| CriError::Prepare { call, source })?;
        let connect = |source| CriError::Connect {
            path: self.socket.clone(),
            source,
        };
        let attempt = async {
            let endpoint = Endpoint::from_shared(format!("unix://{}", self.socket.display()))
                .map_err(connect)?;
            let channel = endpoint.connect().await.map_err(connect)?;
            let answer = ask(RuntimeServiceClient::new(channel)).await;
            answer
                .map(Response::into_inner)
                .map_err(|status| CriError::Refused {
                    call,
                    status: Box::new(status),
                })
        };
        let bounded = async { tokio::time::timeout(within, attempt).await };
        runtime.block_on(bounded).unwrap_or(Err(CriError::GivenUp {
            call,
            after: within,
        }))
    }
}
