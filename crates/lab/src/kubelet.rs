//! What kubelet does on a node, by hand: pods of a manifest and bare sandboxes, run by the node's real containerd.
//! Driven by tests, the bench and `vpc-lab`. Must not: retry what failed unless kubelet would, hide what the runtime said.

mod container;
pub mod daemon;
mod keeper;
mod probe;
pub mod sandbox;
mod volume;

use crate::containerd::{self, Containerd, ContainerdError, control_groups};
use crate::cri::{Cri, CriError};
use crate::image::Archive;
use crate::namespace::{EnterError, Namespaces};
use crate::scene::Scene;
use nix::sys::signal::Signal;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a pod could not be run or ended.
#[derive(Debug, thiserror::Error)]
pub enum KubeletError {
    /// The container runtime itself.
    #[error(transparent)]
    Runtime(#[from] ContainerdError),
    /// A call of the container runtime.
    #[error("pod {pod}")]
    Call {
        /// Which pod.
        pod: String,
        /// What the runtime said.
        #[source]
        source: CriError,
    },
    /// The node could not be entered.
    #[error("enter the node")]
    Enter(#[from] EnterError),
    /// A directory or file of a volume or a namespace.
    #[error("prepare {path}")]
    Prepare {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// An init container failed.
    #[error("init container {container} of pod {pod} exited with {exit}; its log is {log}")]
    Init {
        /// Which pod.
        pod: String,
        /// Which container.
        container: String,
        /// Exit code.
        exit: i32,
        /// Its log, as the node sees it.
        log: String,
    },
    /// An init container does not end.
    #[error("init container {container} of pod {pod} runs still after {seconds} s")]
    InitRuns {
        /// Which pod.
        pod: String,
        /// Which container.
        container: String,
        /// How long it has been waited for.
        seconds: u64,
    },
    /// The manifest asks for something that this kubelet does not do.
    #[error("{what} of pod {pod} is not something the laboratory's kubelet can do: {value}")]
    Unsupported {
        /// Which pod.
        pod: String,
        /// Which part of the manifest.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// The runtime does not tell a sandbox's address or namespace.
    #[error("the runtime tells no {what} of pod {pod}")]
    Untold {
        /// Which pod.
        pod: String,
        /// What is missing.
        what: &'static str,
    },
}

/// A node's kubelet with its container runtime; dropping it kills the runtime, containers go on until the node ends.
#[derive(Debug)]
pub struct Kubelet {
    node: String,
    namespaces: Arc<Namespaces>,
    containerd: Option<Containerd>,
    cri: Cri,
    control_group: String,
    /// What programs of ours need to find the laboratory's AWS.
    environment: Vec<(String, String)>,
}

impl Kubelet {
    /// Starts the node's container runtime and loads images into it.
    pub fn start(scene: &Scene, index: usize, images: &[&Archive]) -> Result<Self, KubeletError> {
        let node = scene.node(index);
        let containerd = Containerd::start(scene, index)?;
        let group = format!("{}/{}", control_groups::parent(scene.key()), node.name());
        let environment = scene
            .environment(index)
            .into_iter()
            .filter(|(name, _)| name.starts_with("AWS_"));
        let kubelet = Self {
            node: node.name().to_owned(),
            namespaces: Arc::clone(node.namespaces()),
            cri: containerd.cri(),
            containerd: Some(containerd),
            control_group: group,
            environment: environment.collect(),
        };
        images.iter().try_for_each(|image| kubelet.load(image))?;
        Ok(kubelet)
    }

    /// The kubelet of a node that another process raised, by its name, the process that made its namespaces, its process
    /// 1, and its scene. The container runtime is not its to end.
    pub fn of_running(
        node: &str,
        (holder, init): (u32, u32),
        scene: &str,
    ) -> Result<Self, KubeletError> {
        Ok(Self {
            node: node.to_owned(),
            namespaces: Arc::new(Namespaces::made_by(holder)?),
            containerd: None,
            cri: Cri::at(&containerd::socket_of(init)),
            control_group: format!("{}/{node}", control_groups::parent(scene)),
            environment: Vec::new(),
        })
    }

    /// The node's container runtime.
    pub fn cri(&self) -> &Cri {
        &self.cri
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Loads one more image.
    pub fn load(&self, image: &Archive) -> Result<(), KubeletError> {
        Ok(containerd::load(&self.namespaces, &self.node, image)?)
    }

    /// Ends the container runtime by a signal and starts it again; its containers go on.
    pub fn restart_runtime(
        &mut self,
        scene: &Scene,
        index: usize,
        signal: Signal,
    ) -> Result<(), KubeletError> {
        if let Some(containerd) = self.containerd.take() {
            containerd.end(signal);
        }
        self.containerd = Some(Containerd::start(scene, index)?);
        Ok(())
    }
}

fn of_pod(pod: &str) -> impl Fn(CriError) -> KubeletError + use<> {
    let pod = pod.to_owned();
    move |source| KubeletError::Call {
        pod: pod.clone(),
        source,
    }
}
