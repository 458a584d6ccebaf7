//! One file that is always whole: replaced atomically, read at start, set aside when its content is corrupt. Must not:
//! know what is in it. Driven by: `ipamd`'s disk runner (one thread per file) and `vpcctl`.
//!
//! Every function blocks. There is one writer per file: the daemon holds its lock for life.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What could not be done with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The content could not be read.
    #[error("read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A step of the replacement failed. The file holds its old content whole, or (`step` [`Step::SyncFolder`]) the new.
    #[error("{step} {path}", step = .step.attempt(), path = .path.display())]
    Write {
        /// Which step.
        step: Step,
        /// What the step worked on.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A corrupt file could not be renamed.
    #[error("set aside {path}", path = .path.display())]
    SetAside {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Leftovers of an interrupted replacement could not be listed or removed.
    #[error("remove leftover {path}", path = .path.display())]
    Leftover {
        /// The leftover, or the folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// One step of a replacement, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The temporary file beside the target is made.
    Create,
    /// It is filled.
    Fill,
    /// Its content reaches the disk.
    Sync,
    /// It takes the target's name.
    Rename,
    /// The name reaches the disk.
    SyncFolder,
}

impl Step {
    fn attempt(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Fill => "write",
            Self::Sync => "fsync",
            Self::Rename => "rename a new file to",
            Self::SyncFolder => "fsync folder",
        }
    }
}

/// The content; `None` when there is no such file.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Replaces the content, mode 0600. A reader, also one after a crash, sees the old content or the new, each whole.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = beside(path, ".tmp");
    let outcome = fill(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path).map_err(failed(Step::Rename, path)));
    if outcome.is_err() {
        // Gives the space back on a full disk; the error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    outcome.and_then(|()| sync_folder(path))
}

/// Renames a file that cannot be understood to `<name>.corrupt-<n>`, n the first free number from 1, and returns the new
/// path. `reason` goes to `<name>.corrupt-<n>.reason` beside it, as far as that is possible: who finds the file later
/// should not need the log of that day.
pub fn set_aside(path: &Path, reason: &str) -> Result<PathBuf, FileError> {
    let failed = |source| FileError::SetAside {
        path: path.to_owned(),
        source,
    };
    let mut number = 1u32;
    let aside = loop {
        let candidate = beside(path, &format!(".corrupt-{number}"));
        match fs::symlink_metadata(&candidate) {
            Err(error) if error.kind() == ErrorKind::NotFound => break candidate,
            Err(error) => return Err(failed(error)),
            Ok(_) => number += 1,
        }
    };
    fs::rename(path, &aside).map_err(failed)?;
    sync_folder(path)?;
    let _ = write(&beside(&aside, ".reason"), format!("{reason}\n").as_bytes());
    Ok(aside)
}

/// Removes what interrupted replacements of this file left behind, ours (`<name>.tmp`) and upstream's
/// (`<name>.tmp<random>`), and returns what was removed. For the start, before the first [`write()`].
pub fn remove_leftovers(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let folder = folder_of(path);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| FileError::Leftover { path, source }
    };
    let prefix = name_with(path, ".tmp");
    let mut removed = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(prefix.as_encoded_bytes())
        {
            let leftover = entry.path();
            fs::remove_file(&leftover).map_err(failed(&leftover))?;
            removed.push(leftover);
        }
    }
    removed.sort();
    Ok(removed)
}

fn fill(temporary: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = create(temporary).map_err(failed(Step::Create, temporary))?;
    file.write_all(bytes)
        .map_err(failed(Step::Fill, temporary))?;
    file.sync_all().map_err(failed(Step::Sync, temporary))
}

/// A file that did not exist before: neither the mode nor the target of a leftover (or link) of that name is taken over.
fn create(temporary: &Path) -> io::Result<File> {
    let create = || {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(temporary)
    };
    match create() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(temporary)?;
            create()
        }
        other => other,
    }
}

fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = folder_of(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed(Step::SyncFolder, folder))
}

fn failed(step: Step, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Write { step, path, source }
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn name_with(path: &Path, suffix: &str) -> OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    name
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    path.with_file_name(name_with(path, suffix))
}
