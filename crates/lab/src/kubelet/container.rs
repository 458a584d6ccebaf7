//! From a container of a manifest to what a container runtime is asked for, as kubelet translates it. Pure.
//! Must not: start it.

use super::KubeletError;
use k8s_cri::v1::{
    Capability, ContainerConfig, ContainerMetadata, ImageSpec, KeyValue, LinuxContainerConfig,
    LinuxContainerResources, LinuxContainerSecurityContext, Mount, MountPropagation, NamespaceMode,
    NamespaceOption, SecurityProfile, security_profile::ProfileType,
};
use k8s_openapi::api::core::v1::{Container, EnvVar, SecurityContext, VolumeMount};
use std::collections::{BTreeMap, HashMap};

/// What a container without privileges does not see, as kubelet tells every runtime.
const MASKED: [&str; 10] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];
/// What it may not write.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];
/// Processor shares of a container that asks for nothing, and of one that asks for a whole one.
const LEAST_SHARES: i64 = 2;
const SHARES: i64 = 1024;

/// What is known of the pod around a container.
#[derive(Debug, Clone)]
pub(super) struct Around<'a> {
    /// Pod name, for messages and `metadata.name`.
    pub(super) pod: &'a str,
    /// Pod namespace.
    pub(super) namespace: &'a str,
    /// `spec.nodeName`.
    pub(super) node: &'a str,
    /// Paths on the node by the names of volumes.
    pub(super) volumes: &'a BTreeMap<String, String>,
    /// The image that stands for the manifest's.
    pub(super) image: &'a str,
    /// Variables beside the manifest's; they win.
    pub(super) extra: &'a [(String, String)],
    /// The file behind /dev/termination-log.
    pub(super) last_words: &'a str,
    /// Whether the pod is in the node's network.
    pub(super) host_network: bool,
}

/// The container for its n-th start.
pub(super) fn config(
    container: &Container,
    around: &Around<'_>,
    attempt: u32,
) -> Result<ContainerConfig, KubeletError> {
    let words = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        mounts.push(volume_mount(mount, around)?);
    }
    let path = container
        .termination_message_path
        .as_deref()
        .unwrap_or("/dev/termination-log");
    mounts.push(Mount {
        container_path: path.to_owned(),
        host_path: around.last_words.to_owned(),
        ..Mount::default()
    });
    Ok(ContainerConfig {
        metadata: Some(ContainerMetadata {
            name: container.name.clone(),
            attempt,
        }),
        image: Some(ImageSpec {
            image: around.image.to_owned(),
            ..ImageSpec::default()
        }),
        command: words(&container.command),
        args: words(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: environment(container, around)?,
        mounts,
        labels: HashMap::from([(
            "io.kubernetes.container.name".to_owned(),
            container.name.clone(),
        )]),
        log_path: format!("{}/{attempt}.log", container.name),
        linux: Some(LinuxContainerConfig {
            resources: Some(LinuxContainerResources {
                cpu_shares: shares(container),
                ..LinuxContainerResources::default()
            }),
            security_context: Some(security(container.security_context.as_ref(), around)),
        }),
        ..ContainerConfig::default()
    })
}

fn volume_mount(mount: &VolumeMount, around: &Around<'_>) -> Result<Mount, KubeletError> {
    let unsupported = |what, value: &str| KubeletError::Unsupported {
        pod: around.pod.to_owned(),
        what,
        value: value.to_owned(),
    };
    let host = around
        .volumes
        .get(&mount.name)
        .ok_or_else(|| unsupported("a mount without a volume", &mount.name))?;
    if let Some(path) = &mount.sub_path {
        return Err(unsupported("subPath", path));
    }
    let propagation = match mount.mount_propagation.as_deref() {
        None | Some("None") => MountPropagation::PropagationPrivate,
        Some("HostToContainer") => MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => MountPropagation::PropagationBidirectional,
        Some(other) => return Err(unsupported("mountPropagation", other)),
    };
    Ok(Mount {
        container_path: mount.mount_path.clone(),
        host_path: host.clone(),
        readonly: mount.read_only.unwrap_or_default(),
        propagation: propagation.into(),
        ..Mount::default()
    })
}

fn environment(container: &Container, around: &Around<'_>) -> Result<Vec<KeyValue>, KubeletError> {
    let mut all = BTreeMap::new();
    for variable in container.env.iter().flatten() {
        all.insert(variable.name.clone(), value(variable, around)?);
    }
    all.extend(around.extra.iter().cloned());
    Ok(all
        .into_iter()
        .map(|(key, value)| KeyValue { key, value })
        .collect())
}

fn value(variable: &EnvVar, around: &Around<'_>) -> Result<String, KubeletError> {
    let Some(source) = &variable.value_from else {
        return Ok(variable.value.clone().unwrap_or_default());
    };
    let field = source
        .field_ref
        .as_ref()
        .map(|field| field.field_path.as_str());
    match field {
        Some("spec.nodeName") => Ok(around.node.to_owned()),
        Some("metadata.name") => Ok(around.pod.to_owned()),
        Some("metadata.namespace") => Ok(around.namespace.to_owned()),
        other => Err(KubeletError::Unsupported {
            pod: around.pod.to_owned(),
            what: "a variable's source",
            value: format!("{}: {}", variable.name, other.unwrap_or("no field")),
        }),
    }
}

fn security(
    context: Option<&SecurityContext>,
    around: &Around<'_>,
) -> LinuxContainerSecurityContext {
    let context = context.cloned().unwrap_or_default();
    let privileged = context.privileged.unwrap_or_default();
    let capabilities = context.capabilities.unwrap_or_default();
    let network = if around.host_network {
        NamespaceMode::Node
    } else {
        NamespaceMode::Pod
    };
    let confined = context
        .seccomp_profile
        .as_ref()
        .is_some_and(|profile| profile.type_ == "RuntimeDefault");
    let profile = if confined {
        ProfileType::RuntimeDefault
    } else {
        ProfileType::Unconfined
    };
    let paths = |paths: &[&str]| match privileged {
        true => Vec::new(),
        false => paths.iter().map(|path| (*path).to_owned()).collect(),
    };
    LinuxContainerSecurityContext {
        capabilities: Some(Capability {
            add_capabilities: capabilities.add.unwrap_or_default(),
            drop_capabilities: capabilities.drop.unwrap_or_default(),
            ..Capability::default()
        }),
        privileged,
        namespace_options: Some(NamespaceOption {
            network: network.into(),
            pid: NamespaceMode::Container.into(),
            ipc: network.into(),
            ..NamespaceOption::default()
        }),
        readonly_rootfs: context.read_only_root_filesystem.unwrap_or_default(),
        no_new_privs: context.allow_privilege_escalation == Some(false),
        masked_paths: paths(&MASKED),
        readonly_paths: paths(&READ_ONLY),
        seccomp: Some(SecurityProfile {
            profile_type: profile.into(),
            localhost_ref: String::new(),
        }),
        ..LinuxContainerSecurityContext::default()
    }
}

/// `25m` is 25 shares of 1024 for a thousand.
fn shares(container: &Container) -> i64 {
    let requests = container
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.as_ref());
    let asked = requests
        .and_then(|requests| requests.get("cpu"))
        .map(|quantity| quantity.0.as_str());
    let milli = asked.and_then(|text| match text.strip_suffix('m') {
        Some(milli) => milli.parse::<i64>().ok(),
        None => text.parse::<i64>().ok().map(|whole| whole * 1000),
    });
    milli.map_or(LEAST_SHARES, |milli| {
        (milli * SHARES / 1000).max(LEAST_SHARES)
    })
}
