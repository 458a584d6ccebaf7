//! The network configuration by which a container runtime finds the plugin, and by which the node becomes ready.
//!
//! Owns: its text, and that it is on the node from the first address on. Must not: remove, empty or rename it, whatever
//! happens; `init` removes that of an earlier boot, nobody else does. Driven by: `daemon`.

use crate::owner::Progress;
use crate::restore::with_causes;
use config::InstallSettings;
use ledger::file::FileError;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;

/// The file's name: upstream's (operations.md §1.4).
pub const NAME: &str = "10-aws.conflist";
/// For whom the file is: any reader on the node.
const MODE: u32 = 0o644;
/// How often it is looked whether the file is still as it was written.
const LOOK: Duration = Duration::from_secs(10);
/// How soon it is tried again to write it.
const AGAIN: Duration = Duration::from_secs(1);

/// What belongs where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflist {
    path: PathBuf,
    text: String,
}

impl Conflist {
    /// The configuration that the settings ask for.
    pub fn new(settings: &InstallSettings) -> Self {
        Self {
            path: settings.configurations.join(NAME),
            text: format!("{:#}\n", list(settings)),
        }
    }

    /// Makes the file as it should be; whether it was not.
    fn ensure(&self) -> Result<bool, FileError> {
        if ledger::file::read(&self.path)?.as_deref() == Some(self.text.as_bytes()) {
            return Ok(false);
        }
        ledger::file::write_for(&self.path, self.text.as_bytes(), MODE)?;
        Ok(true)
    }
}

/// Fields as other programs know them: operations.md §1.4. `egress-cni` is not built and so not in the chain.
fn list(settings: &InstallSettings) -> Value {
    let mut plugins = vec![
        json!({
            "name": "aws-cni",
            "type": "aws-cni",
            "vethPrefix": settings.veth_prefix,
            "mtu": settings.mtu.to_string(),
            "podSGEnforcingMode": settings.security_group_mode,
            "pluginLogFile": settings.plugin_log_file,
            "pluginLogLevel": settings.plugin_log_level,
            "capabilities": {"io.kubernetes.cri.pod-annotations": true},
        }),
        json!({"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}),
    ];
    if settings.bandwidth {
        plugins.push(json!({"type": "bandwidth", "capabilities": {"bandwidth": true}}));
    }
    if settings.without_ipv6 {
        let off = ["all", "default", "lo"].map(|link| {
            (
                format!("net.ipv6.conf.{link}.disable_ipv6"),
                Value::from("1"),
            )
        });
        let sysctl = serde_json::Map::from_iter(off);
        plugins.push(json!({"name": "disable-ipv6", "type": "tuning", "sysctl": sysctl}));
    }
    json!({"cniVersion": "0.4.0", "name": "aws-cni", "disableCheck": true, "plugins": plugins})
}

/// Writes the file when the first address for a pod is in hand, and again whenever it is found otherwise. `trouble` says
/// what keeps the node from being ready once start-up has finished.
pub async fn keep_forever(
    conflist: Conflist,
    mut progress: watch::Receiver<Progress>,
    trouble: watch::Sender<Option<String>>,
) {
    loop {
        let seen = progress.borrow_and_update().clone();
        if seen.serving && seen.addressed {
            break;
        }
        if seen.serving {
            tell(&trouble, Some("the first address for a pod".to_owned()));
        }
        if progress.changed().await.is_err() {
            return;
        }
    }
    loop {
        let (one, path) = (conflist.clone(), conflist.path.display());
        let wait = match tokio::task::spawn_blocking(move || one.ensure()).await {
            Ok(Ok(written)) => {
                if written {
                    tracing::info!(%path, "network configuration written, the node can run pods");
                }
                tell(&trouble, None);
                LOOK
            }
            Ok(Err(error)) => {
                let error = with_causes(&error);
                if tell(
                    &trouble,
                    Some(format!("the network configuration: {error}")),
                ) {
                    tracing::error!(%path, error, "network configuration not written; trying again");
                }
                AGAIN
            }
            // The runtime ends.
            Err(_) => return,
        };
        tokio::time::sleep(wait).await;
    }
}

/// Whether that is news.
fn tell(trouble: &watch::Sender<Option<String>>, what: Option<String>) -> bool {
    trouble.send_if_modified(|told| {
        let is_news = *told != what;
        *told = what;
        is_news
    })
}

/// Where the file is below a directory of configurations.
pub(crate) fn path_in(configurations: &Path) -> PathBuf {
    configurations.join(NAME)
}

#[cfg(test)]
mod tests;
