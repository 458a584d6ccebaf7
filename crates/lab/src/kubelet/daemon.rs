//! A pod of the DaemonSet: volumes, init containers in their order, the main container kept alive and probed. Must not:
//! know what the containers are; the manifest says everything.

use super::container::{Around, config};
use super::keeper::{Keeper, Kept};
use super::probe::Schedule;
use super::sandbox::{Network, PodRequest};
use super::{Kubelet, KubeletError, of_pod, volume};
use crate::cri::{Cri, SANDBOX_PATIENCE};
use crate::namespace::Namespaces;
use k8s_cri::v1::{ContainerState, PodSandboxConfig};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use super::keeper::{PodState, ProbeRecord};
pub use super::probe::Kind;

/// How long an init container may run.
const INIT_LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at one.
const LOOK: Duration = Duration::from_millis(20);
/// What Kubernetes grants when a pod says nothing.
const GRACE: Duration = Duration::from_secs(30);

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The manifest's DaemonSet.
    pub set: &'a DaemonSet,
    /// The image that stands for the manifest's.
    pub image: &'a str,
    /// Tells this pod from the others that the DaemonSet made on the node.
    pub number: u32,
    /// Variables beside the manifest's; they win.
    pub extra: &'a [(&'a str, &'a str)],
}

/// A running pod of a DaemonSet; dropping it ends the care for it, not its processes.
#[derive(Debug)]
pub struct DaemonPod {
    name: String,
    sandbox: String,
    keeper: Keeper,
    cri: Cri,
    node: Arc<Namespaces>,
    grace: Duration,
}

impl DaemonPod {
    /// Runs it: every init container must succeed, then the main container is started and kept.
    pub fn start(kubelet: &Kubelet, wanted: Wanted<'_>) -> Result<Self, KubeletError> {
        let pod = Pod::plan(kubelet, wanted)?;
        let sandbox = kubelet
            .cri
            .run_sandbox(&pod.config, SANDBOX_PATIENCE)
            .map_err(of_pod(&pod.name))?;
        for container in pod.spec.init_containers.iter().flatten() {
            pod.run_init(kubelet, &sandbox, container)?;
        }
        let [main] = pod.spec.containers.as_slice() else {
            let value = pod.spec.containers.len().to_string();
            return Err(KubeletError::Unsupported {
                pod: pod.name,
                what: "the number of containers",
                value,
            });
        };
        let kept = Kept {
            cri: kubelet.cri.clone(),
            sandbox: (sandbox.clone(), pod.config.clone()),
            config: pod.container(kubelet, main)?,
            probes: Schedule::of(main),
        };
        let keeper = Keeper::start(kept).map_err(of_pod(&pod.name))?;
        let asked = pod
            .spec
            .termination_grace_period_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        let grace = asked.map_or(GRACE, Duration::from_secs);
        Ok(Self {
            name: pod.name,
            sandbox,
            keeper,
            cri: kubelet.cri.clone(),
            node: Arc::clone(&kubelet.namespaces),
            grace,
        })
    }

    /// How it is now.
    pub fn state(&self) -> PodState {
        self.keeper.state()
    }

    /// Kills its main container as the kernel does when memory is short; the keeper starts another.
    pub fn kill(&self) -> Result<(), KubeletError> {
        let container = self.state().container;
        self.cri
            .stop_container(&container, Duration::ZERO)
            .map_err(of_pod(&self.name))
    }

    /// SIGTERM to its main container, SIGKILL when its grace is over; the keeper starts another.
    pub fn terminate(&self) -> Result<(), KubeletError> {
        let container = self.state().container;
        self.cri
            .stop_container(&container, self.grace)
            .map_err(of_pod(&self.name))
    }

    /// A file of /proc of its main container's first process, read on the node.
    pub fn proc_file(&self, name: &str) -> Result<String, KubeletError> {
        let pid = self
            .cri
            .pid_of(&self.state().container)
            .map_err(of_pod(&self.name))?;
        let path = format!("/proc/{pid}/{name}");
        let read = self.node.run(|| fs::read_to_string(&path))?;
        read.map_err(|source| KubeletError::Prepare {
            path: path.into(),
            source,
        })
    }

    /// Deletes it: SIGTERM, its grace, SIGKILL, and the sandbox goes. How it was at the end.
    pub fn delete(self) -> Result<PodState, KubeletError> {
        let failed = of_pod(&self.name);
        let state = self.keeper.end();
        self.cri
            .stop_container(&state.container, self.grace)
            .map_err(&failed)?;
        self.cri.stop_sandbox(&self.sandbox).map_err(&failed)?;
        self.cri.remove_sandbox(&self.sandbox).map_err(&failed)?;
        Ok(state)
    }
}

/// A pod before it runs.
struct Pod<'a> {
    name: String,
    namespace: String,
    spec: &'a PodSpec,
    config: PodSandboxConfig,
    volumes: BTreeMap<String, String>,
    image: &'a str,
    extra: Vec<(String, String)>,
    last_words: String,
    host_network: bool,
}

impl<'a> Pod<'a> {
    fn plan(kubelet: &Kubelet, wanted: Wanted<'a>) -> Result<Self, KubeletError> {
        let metadata = &wanted.set.metadata;
        let owner = metadata.name.clone().unwrap_or_default();
        let name = format!("{owner}-{:05}", wanted.number);
        let lacks = |what| KubeletError::Unsupported {
            pod: name.clone(),
            what,
            value: "nothing".to_owned(),
        };
        let spec = wanted.set.spec.as_ref().ok_or_else(|| lacks("spec"))?;
        let spec = spec
            .template
            .spec
            .as_ref()
            .ok_or_else(|| lacks("spec.template.spec"))?;
        let mut volumes = BTreeMap::new();
        for one in spec.volumes.iter().flatten() {
            volumes.insert(
                one.name.clone(),
                volume::ensure(&kubelet.namespaces, &name, one)?,
            );
        }
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let uid = format!("uid-of-{name}");
        let last_words = format!("/var/lib/kubelet/pods/{uid}/termination-log");
        let host_network = spec.host_network.unwrap_or_default();
        let request = PodRequest {
            namespace: namespace.clone(),
            name: name.clone(),
            uid,
            attempt: 0,
            network: if host_network {
                Network::Node
            } else {
                Network::Pod
            },
            ports: Vec::new(),
        };
        kubelet
            .namespaces
            .run(|| make_file(&last_words))?
            .map_err(|source| KubeletError::Prepare {
                path: last_words.clone().into(),
                source,
            })?;
        let given = wanted
            .extra
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let extra = kubelet.environment.iter().cloned().chain(given).collect();
        let mut config = request.config(&kubelet.control_group);
        let context = config
            .linux
            .as_mut()
            .and_then(|linux| linux.security_context.as_mut());
        if let Some(context) = context {
            context.privileged = has_privileged(spec);
        }
        Ok(Self {
            name,
            namespace,
            spec,
            config,
            volumes,
            image: wanted.image,
            extra,
            last_words,
            host_network,
        })
    }

    /// A container of the pod for any start: its attempt is filled in by who starts it.
    fn container(
        &self,
        kubelet: &Kubelet,
        container: &Container,
    ) -> Result<k8s_cri::v1::ContainerConfig, KubeletError> {
        let around = Around {
            pod: &self.name,
            namespace: &self.namespace,
            node: &kubelet.node,
            volumes: &self.volumes,
            image: self.image,
            extra: &self.extra,
            last_words: &self.last_words,
            host_network: self.host_network,
        };
        config(container, &around, 0)
    }

    fn run_init(
        &self,
        kubelet: &Kubelet,
        sandbox: &str,
        container: &Container,
    ) -> Result<(), KubeletError> {
        let failed = of_pod(&self.name);
        let planned = self.container(kubelet, container)?;
        let id = kubelet
            .cri
            .create_container((sandbox, &self.config), planned)
            .map_err(&failed)?;
        kubelet.cri.start_container(&id).map_err(&failed)?;
        let began = Instant::now();
        loop {
            let status = kubelet.cri.container(&id).map_err(&failed)?;
            if status.state() == ContainerState::ContainerExited {
                return match status.exit_code {
                    0 => Ok(()),
                    exit => Err(KubeletError::Init {
                        pod: self.name.clone(),
                        container: container.name.clone(),
                        exit,
                        log: format!("{}/{}/0.log", self.config.log_directory, container.name),
                    }),
                };
            }
            if began.elapsed() > INIT_LIMIT {
                let (pod, container) = (self.name.clone(), container.name.clone());
                return Err(KubeletError::InitRuns {
                    pod,
                    container,
                    seconds: INIT_LIMIT.as_secs(),
                });
            }
            std::thread::park_timeout(LOOK);
        }
    }
}

/// A sandbox must have what any container of it has.
fn has_privileged(spec: &PodSpec) -> bool {
    let all = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let contexts = all.filter_map(|container| container.security_context.as_ref());
    contexts
        .into_iter()
        .any(|context| context.privileged == Some(true))
}

fn make_file(path: &str) -> std::io::Result<()> {
    if let Some(folder) = std::path::Path::new(path).parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, "")
}
