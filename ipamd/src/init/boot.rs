//! Whether this is the first start since the machine booted: then the network configuration on disk is the last boot's.
//! Must not: remove it.
//!
//! The marker is in the run directory, which is empty after a reboot on most hosts. A node that is switched over from
//! upstream, or from a release of ours without a marker, has none either; there the files of a daemon that ran in this
//! boot tell the difference.

use crate::restore::BOOT_ID;
use anyhow::Context;
use ledger::file::{self, FileError};
use std::fs;
use std::path::Path;

/// The marker's name in the run directory: it holds the kernel's boot id.
const MARKER: &str = "boot_id";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Boot {
    current: String,
    marked: Option<String>,
    /// Whether a daemon, anybody's, has left a file in the run directory.
    used: bool,
}

impl Boot {
    pub(super) fn observe(folder: &Path, checkpoint: &Path) -> anyhow::Result<Self> {
        let current = fs::read_to_string(BOOT_ID).with_context(|| format!("read {BOOT_ID}"))?;
        // A marker that cannot be read marks nothing.
        let marked = fs::read_to_string(folder.join(MARKER)).ok();
        Ok(Self {
            current: current.trim().to_owned(),
            marked: marked.map(|text| text.trim().to_owned()),
            used: checkpoint.exists() || rpc::socket::exists_in(folder),
        })
    }

    pub(super) fn is_new(&self) -> bool {
        match &self.marked {
            Some(marked) => *marked != self.current,
            None => !self.used,
        }
    }

    /// Also called when there is no marker though the boot is not new: not needed then, the files stay.
    pub(super) fn remember(&self, folder: &Path) -> Result<(), FileError> {
        file::write(&folder.join(MARKER), self.current.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn boot(marked: Option<&str>, used: bool) -> Boot {
        Boot {
            current: "this".to_owned(),
            marked: marked.map(str::to_owned),
            used,
        }
    }

    #[test]
    fn t20_a_boot_is_new_without_its_marker_unless_a_daemon_has_run_in_it() {
        assert!(boot(None, false).is_new(), "an empty run directory");
        assert!(
            boot(Some("other"), true).is_new(),
            "a run directory that survives reboots"
        );
        assert!(!boot(Some("this"), false).is_new(), "a second start");
        assert!(!boot(None, true).is_new(), "a live switch from upstream");
    }

    #[test]
    fn what_is_remembered_is_found_again() {
        let folder = Folder::new();
        let checkpoint = folder.path().join("ipam.json");
        let first = Boot::observe(folder.path(), &checkpoint).unwrap();
        assert!(first.is_new());
        first.remember(folder.path()).unwrap();
        assert!(!Boot::observe(folder.path(), &checkpoint).unwrap().is_new());
        fs::remove_file(folder.path().join(MARKER)).unwrap();
        fs::write(&checkpoint, "{}").unwrap();
        assert!(!Boot::observe(folder.path(), &checkpoint).unwrap().is_new());
    }
}
