//! What an earlier process left on disk, read once before the machine exists.
//!
//! Owns: that a file which cannot be understood is set aside and stops nothing. Must not: judge entries (the machine
//! does). Driven by: `app`; the boot id also by `init`.

use anyhow::Context;
use ipam::boot::Restored;
use model::allocation::{BootId, Checkpoint};
use model::intent::Intent;
use std::path::{Path, PathBuf};

/// Where the kernel says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Where the daemon's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The socket.
    pub socket: PathBuf,
    /// The lock.
    pub lock: PathBuf,
    /// Who holds what.
    pub checkpoint: PathBuf,
    /// Announced mutations.
    pub journal: PathBuf,
}

impl Paths {
    /// Lock and socket in `folder`, the checkpoint as configured and the journal beside it.
    pub fn new(folder: &Path, checkpoint: &Path) -> Self {
        Self {
            socket: folder.join("ipamd.sock"),
            lock: folder.join("ipamd.lock"),
            checkpoint: checkpoint.to_owned(),
            journal: checkpoint.with_file_name("intents.json"),
        }
    }
}

/// Reads both files. Only an unknown boot stops the start: without it nobody could tell which allocations are void.
pub fn restore(paths: &Paths) -> anyhow::Result<Restored> {
    for path in [&paths.checkpoint, &paths.journal] {
        if path.parent().is_some_and(Path::exists)
            && let Err(error) = ledger::file::remove_leftovers(path)
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "leftovers of an interrupted write stay"
            );
        }
    }
    Ok(Restored {
        checkpoint: checkpoint(&paths.checkpoint),
        journal: journal(&paths.journal),
        boot_id: this_boot()?,
    })
}

/// Which boot of the kernel this is.
pub(crate) fn this_boot() -> anyhow::Result<BootId> {
    let boot_id = std::fs::read_to_string(BOOT_ID).with_context(|| format!("read {BOOT_ID}"))?;
    Ok(BootId(boot_id.trim().to_owned()))
}

fn checkpoint(path: &Path) -> Option<Checkpoint> {
    let consequence =
        "the checkpoint is lost: addresses of running pods are recognised by their links";
    read(path, consequence, |bytes| {
        ledger::checkpoint::decode(bytes).map_err(|error| with_causes(&error))
    })
}

fn journal(path: &Path) -> Vec<Intent> {
    let consequence = "the intent journal is lost: unfinished ENIs are found by their tags";
    read(path, consequence, |bytes| {
        ledger::intents::decode(bytes).map_err(|error| with_causes(&error))
    })
    .unwrap_or_default()
}

fn read<T>(
    path: &Path,
    consequence: &str,
    decode: impl Fn(&[u8]) -> Result<T, String>,
) -> Option<T> {
    let error = match ledger::file::read(path) {
        Ok(None) => return None,
        Ok(Some(bytes)) => match decode(&bytes) {
            Ok(value) => return Some(value),
            Err(error) => error,
        },
        Err(error) => with_causes(&error),
    };
    let aside = match ledger::file::set_aside(path, &error) {
        Ok(aside) => format!("as {}", aside.display()),
        Err(failure) => format!("impossible: {}", with_causes(&failure)),
    };
    tracing::error!(file = %path.display(), error, set_aside = aside, consequence, "a state file cannot be used");
    None
}

/// An error's text never contains its cause's; people need both.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error: &&(dyn std::error::Error + 'static)| {
        error.source()
    });
    chain
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;
    use model::call::Call;

    fn paths(folder: &Folder) -> Paths {
        Paths::new(folder.path(), &folder.path().join("ipam.json"))
    }

    #[test]
    fn a_first_start_has_nothing_to_take_over() {
        let folder = Folder::new();
        let restored = restore(&paths(&folder)).unwrap();
        assert_eq!((restored.checkpoint, restored.journal), (None, vec![]));
        assert_eq!(restored.boot_id.0.len(), 36);
    }

    #[test]
    fn what_was_written_is_read_back() {
        let folder = Folder::new();
        let paths = paths(&folder);
        let call = Call::DeleteInterface {
            eni: "eni-1".parse().unwrap(),
        };
        let intents = vec![Intent { number: 3, call }];
        ledger::file::write(
            &paths.checkpoint,
            &ledger::checkpoint::encode(&Checkpoint::default()),
        )
        .unwrap();
        ledger::file::write(&paths.journal, &ledger::intents::encode(&intents)).unwrap();
        let restored = restore(&paths).unwrap();
        assert_eq!(
            (restored.checkpoint, restored.journal),
            (Some(Checkpoint::default()), intents)
        );
    }

    #[test]
    fn files_that_cannot_be_understood_are_set_aside_and_stop_nothing() {
        let folder = Folder::new();
        let paths = paths(&folder);
        for path in [&paths.checkpoint, &paths.journal] {
            std::fs::write(path, "{ no json").unwrap();
        }
        let restored = restore(&paths).unwrap();
        assert_eq!((restored.checkpoint, restored.journal), (None, vec![]));
        assert!(!paths.checkpoint.exists() && !paths.journal.exists());
        assert_eq!(
            std::fs::read_to_string(folder.path().join("ipam.json.corrupt-1")).unwrap(),
            "{ no json"
        );
        assert!(folder.path().join("intents.json.corrupt-1").exists());
    }
}
