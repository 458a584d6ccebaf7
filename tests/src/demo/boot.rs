//! Makes a node ready for pods: the plugin, its network configuration, the daemon. Driven by `demo` and `bench`.
//! Must not: know what pods there will be.

use crate::progress::Progress;
use crate::stage::UNREAD;
use anyhow::{Context, bail};
use lab::node::Node;
use lab::runtime::conflist::Conflist;
use lab::scene::Scene;
use lab::task::Task;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What upstream's entrypoint writes on an IPv4 cluster with default variables, without the chained plugins, which are
/// not part of this repository.
const CONFLIST: &str = r#"{"cniVersion": "0.4.0", "name": "aws-cni", "disableCheck": true, "plugins": [
  {"name": "aws-cni", "type": "aws-cni", "vethPrefix": "eni", "mtu": "9001", "podSGEnforcingMode": "strict",
   "pluginLogFile": "/var/log/aws-routed-eni/plugin.log", "pluginLogLevel": "DEBUG"}]}
"#;
/// How long a daemon may take from its start to warm addresses.
const BOOT_LIMIT: Duration = Duration::from_secs(30);

/// The programs under test and the lab's own.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `aws-cni`
    pub plugin: PathBuf,
    /// `ipamd`
    pub daemon: PathBuf,
    /// `vpc-lab`
    pub lab: PathBuf,
}

impl Programs {
    /// Those in one directory; fails naming the first that is missing.
    pub fn in_directory(directory: &Path) -> anyhow::Result<Self> {
        let find = |name: &str| {
            let path = directory.join(name);
            match path.is_file() {
                true => Ok(path),
                false => bail!("no {name} in {}: run `make build`", directory.display()),
            }
        };
        Ok(Self {
            plugin: find("aws-cni")?,
            daemon: find("ipamd")?,
            lab: find("vpc-lab")?,
        })
    }

    /// Those that were built with the running program.
    pub fn beside_this_one() -> anyhow::Result<Self> {
        let this = std::env::current_exe().context("find this program")?;
        Self::in_directory(this.parent().context("this program has a directory")?)
    }
}

/// Puts the plugin and its configuration where a runtime looks for them.
pub fn install(node: &Node, plugin: &Path) -> anyhow::Result<Conflist> {
    node.install_plugin(plugin)?;
    let directory = node.folder().join("etc-cni/net.d");
    let write = fs::create_dir_all(&directory)
        .and_then(|()| fs::write(directory.join("10-aws.conflist"), CONFLIST));
    write.with_context(|| {
        format!(
            "write the network configuration into {}",
            directory.display()
        )
    })?;
    Ok(Conflist::of_node(node)?)
}

/// Starts the daemon with its default environment and where EC2 is; its log goes to the evidence, its network
/// configuration out of the way, instead of the host directories that a DaemonSet mounts.
pub fn start_daemon(
    scene: &Scene,
    index: usize,
    (daemon, extra): (&Path, &[(&str, &str)]),
) -> anyhow::Result<Task> {
    let mut environment = vec![
        ("AWS_VPC_K8S_CNI_LOG_FILE", "stdout"),
        ("HOST_CNI_CONFDIR_PATH", UNREAD),
    ];
    environment.extend(extra);
    Ok(scene.spawn(index, daemon, &environment)?)
}

/// Waits until the daemon has given the node's primary ENI its secondary addresses.
pub fn await_warm(
    progress: &Progress,
    scene: &Scene,
    (index, daemon): (usize, &mut Task),
) -> anyhow::Result<usize> {
    let (name, instance) = (scene.node(index).name(), &scene.nodes()[index].instance);
    let warm = progress.watch(BOOT_LIMIT, || {
        if let Some(status) = daemon.ended()? {
            bail!("ipamd on {name} ended: {status}");
        }
        let enis = super::account::enis(scene, instance)?;
        let addresses: usize = enis.iter().map(|eni| eni.secondary.len()).sum();
        Ok((addresses > 0).then_some(addresses))
    })?;
    warm.with_context(|| {
        format!(
            "ipamd on {name} has no warm addresses after {} s",
            BOOT_LIMIT.as_secs()
        )
    })
}
