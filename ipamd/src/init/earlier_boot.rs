//! After a reboot the network configuration on the disk calls a node ready that has no daemon yet: it goes, once per boot.
//!
//! Owns: what counts as a reboot, and the marker by which the next init knows this boot. Must not: remove the file for any
//! other reason: without it a node that serves pods is not ready, and its runtime can delete none.

use super::say;
use crate::conflist;
use crate::place;
use crate::restore::{this_boot, with_causes};
use config::Config;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The marker in the daemon's directory: the kernel's boot id.
const MARKER: &str = "boot_id";

/// What the daemon's directory tells.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Traces {
    /// Whether there is a directory. Who runs the image mounts it; without it nothing is known and nothing can be kept.
    folder: bool,
    /// What the marker says.
    marker: Option<String>,
    /// A file that a daemon, ours or upstream's, makes and that a reboot usually takes away.
    daemon: Option<PathBuf>,
}

/// What they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// An init of ours was here in this boot.
    Same,
    /// No init of ours was here, but a daemon was: a switch while pods run.
    Served(PathBuf),
    /// The first init of this boot.
    New,
    /// Not to be told.
    Unknown,
}

fn judge(traces: Traces, boot: &str) -> Verdict {
    match traces {
        Traces { folder: false, .. } => Verdict::Unknown,
        Traces {
            marker: Some(marker),
            ..
        } if marker == boot => Verdict::Same,
        Traces {
            marker: Some(_), ..
        } => Verdict::New,
        Traces {
            daemon: Some(trace),
            ..
        } => Verdict::Served(trace),
        Traces { daemon: None, .. } => Verdict::New,
    }
}

/// Removes an earlier boot's network configuration, and says what was found. Nothing of this keeps a node from starting.
pub(super) fn clear(config: &Config) -> anyhow::Result<()> {
    let folder = Path::new(rpc::socket::PATH)
        .parent()
        .expect("the socket's path is absolute");
    let boot = this_boot()?.0;
    let list = config.installed.network_configuration.join(conflist::NAME);
    let traces = observe(folder, &config.process.backing_store);
    say(&act(judge(traces, &boot), (folder, &boot), &list));
    Ok(())
}

fn observe(folder: &Path, checkpoint: &Path) -> Traces {
    let marker = fs::read_to_string(folder.join(MARKER)).unwrap_or_default();
    let made_by_daemons = [
        Path::new(rpc::socket::PATH)
            .file_name()
            .map(|name| folder.join(name))
            .unwrap_or_default(),
        folder.join("ipam.json"),
        checkpoint.to_owned(),
    ];
    Traces {
        folder: folder.is_dir(),
        marker: Some(marker.trim().to_owned()).filter(|marker| !marker.is_empty()),
        daemon: made_by_daemons
            .into_iter()
            .find(|path| fs::symlink_metadata(path).is_ok()),
    }
}

/// Does what the verdict asks for; a line that says what was done. The marker comes first: a file that is removed twice in
/// one boot would be the daemon's.
fn act(verdict: Verdict, (folder, boot): (&Path, &str), list: &Path) -> String {
    let kept = format!("{} stays", list.display());
    let why = match &verdict {
        Verdict::Same => return format!("not the first start of this boot: {kept}"),
        Verdict::Unknown => {
            let folder = folder.display();
            return format!("no directory {folder}, so this may be the same boot: {kept}");
        }
        Verdict::Served(trace) => format!("a daemon was here in this boot ({})", trace.display()),
        Verdict::New => "first start of this boot".to_owned(),
    };
    let marker = folder.join(MARKER);
    if let Err(error) = place::ensure(&marker, format!("{boot}\n").as_bytes(), 0o644) {
        let problem = with_causes(&error);
        return format!("{why}, but it cannot be marked: {kept}: {problem}");
    }
    if verdict != Verdict::New {
        return format!("{why}: {kept}");
    }
    match fs::remove_file(list) {
        Ok(()) => format!(
            "{why}: removed the earlier one's {}; the daemon writes it anew",
            list.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            format!("{why}: there is no {}", list.display())
        }
        Err(error) => format!("{why}, but {kept}: {error}"),
    }
}

#[cfg(test)]
mod tests;
