//! A pod that is only its sandbox: what a CNI plugin sees of any pod. Must not: run containers in it.

use super::{Kubelet, KubeletError, of_pod};
use crate::cri::{Cri, CriError, SANDBOX_PATIENCE};
use crate::namespace::{Namespaces, open_network};
use crate::ping::{Ping, PingError, Pinged, ping};
use k8s_cri::v1::{
    DnsConfig, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption,
    PodSandboxConfig, PodSandboxMetadata, PodSandboxStatusResponse, PortMapping, Protocol,
    SecurityProfile, security_profile::ProfileType,
};
use serde_json::Value;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Whose network a pod has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// One of its own: the runtime calls the CNI plugins.
    Pod,
    /// The node's: no plugin is called.
    Node,
}

/// A pod to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRequest {
    /// Namespace in the cluster.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Unique id; a static pod's is a hash that no API server knows.
    pub uid: String,
    /// How often its sandbox was made before.
    pub attempt: u32,
    /// Whose network.
    pub network: Network,
    /// TCP ports: (of the node, of the pod).
    pub ports: Vec<(u16, u16)>,
}

impl PodRequest {
    /// Pod `default/<name>` with a network of its own.
    pub fn new(name: &str) -> Self {
        Self {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            uid: format!("uid-of-{name}"),
            attempt: 0,
            network: Network::Pod,
            ports: Vec::new(),
        }
    }

    /// The same in the node's network.
    #[must_use]
    pub fn on_host_network(self) -> Self {
        Self {
            network: Network::Node,
            ..self
        }
    }

    /// The same with a port of the node that leads to one of the pod.
    #[must_use]
    pub fn host_port(mut self, node: u16, pod: u16) -> Self {
        self.ports.push((node, pod));
        self
    }

    /// The sandbox that kubelet makes when this one has gone.
    #[must_use]
    pub fn again(self) -> Self {
        Self {
            attempt: self.attempt + 1,
            ..self
        }
    }

    /// As kubelet describes it to a container runtime.
    pub(super) fn config(&self, control_group: &str) -> PodSandboxConfig {
        let Self {
            namespace,
            name,
            uid,
            attempt,
            network,
            ports,
        } = self;
        let mode = match network {
            Network::Pod => NamespaceMode::Pod,
            Network::Node => NamespaceMode::Node,
        };
        let port = |(node, pod): &(u16, u16)| PortMapping {
            protocol: Protocol::Tcp.into(),
            container_port: i32::from(*pod),
            host_port: i32::from(*node),
            host_ip: String::new(),
        };
        let label =
            |name: &str, value: &String| (format!("io.kubernetes.pod.{name}"), value.clone());
        let labels = HashMap::from([
            label("namespace", namespace),
            label("name", name),
            label("uid", uid),
        ]);
        let runtime_default = SecurityProfile {
            profile_type: ProfileType::RuntimeDefault.into(),
            localhost_ref: String::new(),
        };
        let context = LinuxSandboxSecurityContext {
            namespace_options: Some(NamespaceOption {
                network: mode.into(),
                pid: NamespaceMode::Container.into(),
                ipc: mode.into(),
                ..NamespaceOption::default()
            }),
            seccomp: Some(runtime_default),
            ..LinuxSandboxSecurityContext::default()
        };
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.clone(),
                uid: uid.clone(),
                namespace: namespace.clone(),
                attempt: *attempt,
            }),
            hostname: if *network == Network::Pod {
                name.clone()
            } else {
                String::new()
            },
            log_directory: format!("/var/log/pods/{namespace}_{name}_{uid}"),
            dns_config: Some(DnsConfig {
                servers: vec!["10.0.0.2".to_owned()],
                ..DnsConfig::default()
            }),
            port_mappings: ports.iter().map(port).collect(),
            labels,
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("{control_group}/{uid}"),
                security_context: Some(context),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        }
    }
}

/// A running sandbox. It does not end by itself when dropped; the node's end takes it.
#[derive(Debug)]
pub struct Sandbox {
    /// Its id at the runtime, which is the plugin's container id.
    pub id: String,
    /// What was asked for.
    pub request: PodRequest,
    /// Its address; none in the node's network.
    pub address: Option<Ipv4Addr>,
    netns: Option<PathBuf>,
    node: Arc<Namespaces>,
    cri: Cri,
}

impl Kubelet {
    /// RunPodSandbox as kubelet calls it.
    pub fn run(&self, request: &PodRequest) -> Result<Sandbox, KubeletError> {
        self.run_within(request, SANDBOX_PATIENCE)
    }

    /// The same given up after some time: what a kubelet that restarts does to its runtime.
    pub fn run_within(
        &self,
        request: &PodRequest,
        within: Duration,
    ) -> Result<Sandbox, KubeletError> {
        let failed = of_pod(&request.name);
        let id = self
            .cri
            .run_sandbox(&request.config(&self.control_group), within)
            .map_err(&failed)?;
        self.find(request, &id)
    }

    /// A sandbox that runs already.
    pub fn find(&self, request: &PodRequest, id: &str) -> Result<Sandbox, KubeletError> {
        let status = self.cri.sandbox(id).map_err(of_pod(&request.name))?;
        let (address, netns) = (address_of(&status), netns_of(&status));
        let untold = |what| KubeletError::Untold {
            pod: request.name.clone(),
            what,
        };
        if request.network == Network::Pod {
            address.ok_or_else(|| untold("address"))?;
            netns.as_ref().ok_or_else(|| untold("network namespace"))?;
        }
        Ok(Sandbox {
            id: id.to_owned(),
            request: request.clone(),
            address,
            netns,
            node: Arc::clone(&self.namespaces),
            cri: self.cri.clone(),
        })
    }
}

impl Sandbox {
    /// Its address.
    ///
    /// # Panics
    /// In the node's network.
    pub fn ip(&self) -> Ipv4Addr {
        self.address
            .expect("a pod with a network of its own has an address")
    }

    /// Its namespaces. Dropped soon: an open namespace stays, with its links, when the sandbox goes.
    pub fn namespaces(&self) -> Result<Namespaces, KubeletError> {
        let Some(netns) = &self.netns else {
            return Err(KubeletError::Untold {
                pod: self.request.name.clone(),
                what: "network namespace",
            });
        };
        let prepare = |source| KubeletError::Prepare {
            path: netns.clone(),
            source,
        };
        let opened = self.node.run(|| open_network(netns))?.map_err(prepare)?;
        self.node.with_network(&opened).map_err(prepare)
    }

    /// Path of its network namespace inside the node.
    pub fn netns(&self) -> Option<&Path> {
        self.netns.as_deref()
    }

    /// Sends echoes from the pod.
    pub fn ping(&self, question: Ping) -> Result<Result<Pinged, PingError>, KubeletError> {
        Ok(ping(&self.namespaces()?, question))
    }

    /// StopPodSandbox: the runtime sends DEL with the namespace, then the namespace goes.
    pub fn stop(&self) -> Result<(), CriError> {
        self.cri.stop_sandbox(&self.id)
    }

    /// RemovePodSandbox: the runtime sends DEL once more, without a namespace.
    pub fn remove(&self) -> Result<(), CriError> {
        self.cri.remove_sandbox(&self.id)
    }

    /// Both, as when a pod is deleted.
    pub fn delete(&self) -> Result<(), CriError> {
        self.stop().and_then(|()| self.remove())
    }
}

fn address_of(status: &PodSandboxStatusResponse) -> Option<Ipv4Addr> {
    status.status.as_ref()?.network.as_ref()?.ip.parse().ok()
}

/// From the specification that the runtime made of the sandbox.
fn netns_of(status: &PodSandboxStatusResponse) -> Option<PathBuf> {
    let info: Value = serde_json::from_str(status.info.get("info")?).ok()?;
    let namespaces = info["runtimeSpec"]["linux"]["namespaces"].as_array()?;
    let network = namespaces
        .iter()
        .find(|namespace| namespace["type"] == "network")?;
    network["path"]
        .as_str()
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}
