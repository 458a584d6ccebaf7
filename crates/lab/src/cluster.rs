//! A scene whose nodes run the DaemonSet under a real container runtime, for people: what `vpc-lab up --containerd` raises
//! and what its other commands do there. Must not: know the command line.

use crate::containerd::PAUSE;
use crate::cri::CriError;
use crate::image::{self, Archive, ImageError, Recipe};
use crate::kubelet::daemon::{DaemonPod, Wanted};
use crate::kubelet::sandbox::{PodRequest, Sandbox};
use crate::kubelet::{Kubelet, KubeletError};
use crate::manifest::{Manifest, ManifestError};
use crate::scene::{NodeSummary, Scene};
use k8s_cri::v1::{PodSandbox, PodSandboxState};
use std::path::Path;
use std::time::{Duration, Instant};

/// The image that stands for the manifest's.
const IMAGE: &str = "localhost/vpc-cni:lab";
/// How long a node may take from its daemon's start to a network.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Why there is no such cluster, or something in it failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A pod, or the runtime.
    #[error(transparent)]
    Kubelet(#[from] KubeletError),
    /// A node stays without a network.
    #[error("{node} has no network after {seconds} s: {why}")]
    NotReady {
        /// Which.
        node: String,
        /// How long it has been waited for.
        seconds: u64,
        /// What its runtime says.
        why: String,
    },
    /// No pod of this name.
    #[error("no pod {pod} on {node}")]
    NoPod {
        /// Which.
        pod: String,
        /// Where.
        node: String,
    },
}

/// What a cluster is made from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The sources, with Dockerfile and manifest.
    pub repository: &'a Path,
    /// The directory with `ipamd`, `aws-cni` and `pause`.
    pub programs: &'a Path,
}

/// A running cluster; dropping it ends the care for its pods, the scene ends them.
#[derive(Debug)]
pub struct Cluster {
    _pods: Vec<DaemonPod>,
    _kubelets: Vec<Kubelet>,
}

impl Cluster {
    /// Runs the DaemonSet on every node of the scene and waits until each has a network.
    pub fn raise(scene: &Scene, sources: Sources<'_>) -> Result<Self, ClusterError> {
        let manifest = Manifest::of_repository(sources.repository)?;
        let [pause, ours] = images(scene.folder(), sources, IMAGE)?;
        let (mut kubelets, mut pods) = (Vec::new(), Vec::new());
        for index in 0..scene.nodes().len() {
            let kubelet = Kubelet::start(scene, index, &[&pause, &ours])?;
            let wanted = Wanted {
                set: &manifest.daemon_set,
                image: IMAGE,
                number: 1,
                extra: &[],
            };
            pods.push(DaemonPod::start(&kubelet, wanted)?);
            kubelets.push(kubelet);
        }
        kubelets.iter().try_for_each(await_network)?;
        Ok(Self {
            _pods: pods,
            _kubelets: kubelets,
        })
    }
}

/// The images that a node needs, the sandboxes' and ours under this name, as archives in a folder.
pub fn images(folder: &Path, sources: Sources<'_>, name: &str) -> Result<[Archive; 2], ImageError> {
    let Sources {
        repository,
        programs,
    } = sources;
    let (program, archive) = (programs.join("pause"), folder.join("pause.tar"));
    let pause = image::of_program(PAUSE, &program, &["/pause"], &archive)?;
    let recipe = Recipe {
        repository,
        programs,
        name,
        marker: None,
    };
    Ok([pause, image::build(&recipe, &folder.join("vpc-cni.tar"))?])
}

fn await_network(kubelet: &Kubelet) -> Result<(), ClusterError> {
    let began = Instant::now();
    loop {
        let why = match kubelet.cri().network_ready(READY_LIMIT) {
            Ok((true, _)) => return Ok(()),
            Ok((false, why)) => why,
            Err(error) => error.to_string(),
        };
        if began.elapsed() > READY_LIMIT {
            let (node, seconds) = (kubelet.node().to_owned(), READY_LIMIT.as_secs());
            return Err(ClusterError::NotReady { node, seconds, why });
        }
        std::thread::park_timeout(LOOK);
    }
}

/// A pod of a node as people want to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSummary {
    /// `namespace/name`.
    pub name: String,
    /// Whether its sandbox runs.
    pub runs: bool,
    /// Its address; none in the node's network.
    pub address: Option<String>,
    /// A command that enters its network.
    pub enter: Option<String>,
}

/// A node of a lab that another process raised.
#[derive(Debug)]
pub struct Visit {
    kubelet: Kubelet,
    init: u32,
}

impl Visit {
    /// The node of this summary; `key` is its scene's.
    pub fn node(summary: &NodeSummary, key: &str) -> Result<Self, ClusterError> {
        let kubelet = Kubelet::of_running(&summary.name, (summary.holder, summary.init), key)?;
        Ok(Self {
            kubelet,
            init: summary.init,
        })
    }

    /// Runs a pod.
    pub fn run(&self, request: &PodRequest) -> Result<PodSummary, ClusterError> {
        let sandbox = self.kubelet.run(request)?;
        Ok(self.summary(true, &sandbox))
    }

    /// All pods of the node.
    pub fn pods(&self) -> Result<Vec<PodSummary>, ClusterError> {
        let mut pods = Vec::new();
        for found in self.sandboxes()? {
            let sandbox = self.kubelet.find(&request_of(&found), &found.id);
            pods.push(match sandbox {
                Ok(sandbox) => self.summary(is_running(&found), &sandbox),
                // In the node's network, or between two states.
                Err(_) => PodSummary {
                    name: name_of(&found),
                    runs: is_running(&found),
                    address: None,
                    enter: None,
                },
            });
        }
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pods)
    }

    /// Stops and removes every sandbox of a pod.
    pub fn stop(&self, namespace: &str, name: &str) -> Result<(), ClusterError> {
        let wanted = format!("{namespace}/{name}");
        let found: Vec<_> = self
            .sandboxes()?
            .into_iter()
            .filter(|one| name_of(one) == wanted)
            .collect();
        if found.is_empty() {
            return Err(ClusterError::NoPod {
                pod: wanted,
                node: self.kubelet.node().to_owned(),
            });
        }
        let cri = self.kubelet.cri();
        let end = |id: &str| cri.stop_sandbox(id).and_then(|()| cri.remove_sandbox(id));
        found
            .iter()
            .try_for_each(|one| end(&one.id))
            .map_err(|source| self.failed(&wanted, source))
    }

    fn sandboxes(&self) -> Result<Vec<PodSandbox>, ClusterError> {
        self.kubelet
            .cri()
            .sandboxes()
            .map_err(|source| self.failed("of any name", source))
    }

    fn failed(&self, pod: &str, source: CriError) -> ClusterError {
        KubeletError::Call {
            pod: pod.to_owned(),
            source,
        }
        .into()
    }

    fn summary(&self, runs: bool, sandbox: &Sandbox) -> PodSummary {
        let PodRequest {
            namespace, name, ..
        } = &sandbox.request;
        let enter = |netns: &Path| {
            format!(
                "nsenter -t {} -a nsenter --net={}",
                self.init,
                netns.display()
            )
        };
        PodSummary {
            name: format!("{namespace}/{name}"),
            runs,
            address: sandbox.address.map(|address| address.to_string()),
            enter: sandbox.netns().map(enter).filter(|_| runs),
        }
    }
}

fn is_running(sandbox: &PodSandbox) -> bool {
    sandbox.state() == PodSandboxState::SandboxReady
}

fn name_of(sandbox: &PodSandbox) -> String {
    let request = request_of(sandbox);
    format!("{}/{}", request.namespace, request.name)
}

fn request_of(sandbox: &PodSandbox) -> PodRequest {
    let metadata = sandbox.metadata.clone().unwrap_or_default();
    PodRequest {
        namespace: metadata.namespace,
        uid: metadata.uid,
        attempt: metadata.attempt,
        ..PodRequest::new(&metadata.name)
    }
}
