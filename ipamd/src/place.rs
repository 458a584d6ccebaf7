//! A file of the host that others read or execute while it is replaced: it appears whole, with its mode, at once.
//!
//! Owns: the names of new files until they have their own, and the end of those that a killed process left. Must not: know
//! what is in a file; remove or rename anything of others. Blocks. Driven by: `init` and `conflist`.
//!
//! The new file lies in the directory of the old one, because a runtime overlooks what comes from another one, and its
//! name ends in nothing that a runtime reads. While it is made its maker holds a shared lock on it: two may make the same
//! file at once, and what nobody holds is a leftover.

use std::fs::{self, File, OpenOptions, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The end of the name of a file that is being made.
const SUFFIX: &str = ".aws-node-new";
/// How often another name is tried when somebody took the new file for a leftover before it could be locked.
const NAMES: usize = 8;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// The file is as wanted already, and was left alone.
    Already,
    /// It was made or replaced.
    New,
}

/// A step that failed; what was there before is untouched, unless the step is the sync of the directory.
#[derive(Debug, thiserror::Error)]
#[error("{attempt} {}", path.display())]
pub struct PlaceError {
    attempt: &'static str,
    /// The file in question, by the name that it has or should have had.
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Makes `path` a file of these bytes and this mode. Links are replaced, never followed.
pub fn ensure(path: &Path, bytes: &[u8], mode: u32) -> Result<Placed, PlaceError> {
    if is_already(path, bytes, mode) {
        return Ok(Placed::Already);
    }
    let failed = |attempt| move |source| error(attempt, path, source);
    for _ in 0..NAMES {
        let draft = Draft::create(path).map_err(failed("make a file beside"))?;
        if draft.is_gone() {
            continue;
        }
        draft
            .fill(bytes, mode)
            .map_err(failed("write the new file for"))?;
        draft
            .take_its_name(path)
            .map_err(failed("give the new file its name"))?;
        return sync_folder(path)
            .map(|()| Placed::New)
            .map_err(failed("sync the directory of"));
    }
    let gone = io::Error::from(ErrorKind::NotFound);
    Err(error("keep a new file beside", path, gone))
}

/// Removes the files that killed processes were making in a directory.
pub fn remove_leftovers(folder: &Path) -> Result<Vec<PathBuf>, PlaceError> {
    let unlisted = |source| error("list", folder, source);
    let mut removed = Vec::new();
    for entry in fs::read_dir(folder).map_err(unlisted)? {
        let entry = entry.map_err(unlisted)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !(name.starts_with('.') && name.ends_with(SUFFIX) && is_file) {
            continue;
        }
        let path = entry.path();
        // Who makes it holds it; one that went meanwhile has its name.
        let Ok(file) = File::open(&path) else {
            continue;
        };
        if file.try_lock().is_ok() {
            fs::remove_file(&path).map_err(|source| error("remove leftover", &path, source))?;
            removed.push(path);
        }
    }
    Ok(removed)
}

fn error(attempt: &'static str, path: &Path, source: io::Error) -> PlaceError {
    PlaceError {
        attempt,
        path: path.to_owned(),
        source,
    }
}

/// Whatever keeps the file from being read makes it one to replace.
fn is_already(path: &Path, bytes: &[u8], mode: u32) -> bool {
    let same = |meta: fs::Metadata| {
        meta.is_file()
            && meta.permissions().mode() & 0o7777 == mode
            && meta.len() == bytes.len() as u64
    };
    fs::symlink_metadata(path).is_ok_and(same) && fs::read(path).is_ok_and(|there| there == bytes)
}

/// A file that is being made; goes when it is dropped before it has its name.
struct Draft {
    path: PathBuf,
    /// Open for reading only: a program that is open for writing cannot be executed.
    held: File,
    named: bool,
}

impl Draft {
    fn create(target: &Path) -> io::Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let chance = RandomState::new().build_hasher().finish();
        let path = target.with_file_name(format!(".{name}.{chance:016x}{SUFFIX}"));
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let held = File::open(&path)?;
        held.lock_shared()?;
        let named = false;
        Ok(Self { path, held, named })
    }

    fn is_gone(&self) -> bool {
        self.held.metadata().is_ok_and(|meta| meta.nlink() == 0)
    }

    fn fill(&self, bytes: &[u8], mode: u32) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    }

    fn take_its_name(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.named = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.named {
            // Gives the space back on a full disk; the error that matters is the first one.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|folder| folder.sync_all())
}

#[cfg(test)]
mod tests;
