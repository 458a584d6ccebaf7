//! Folders of labs: a running lab holds a lock in its own; what a killed one left is removed by the next that starts.
//! Driven by `scene` and `vpc-lab`. Must not: touch a lab whose lock is held.

use crate::containerd::control_groups;
use crate::process::ProcessId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";
const PROCESSES: &str = "processes";

/// Why a folder could not be made or cleaned.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}")]
pub struct FolderError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The folder of a running lab; dropping it removes it, unless it is kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    // Held until the process ends, however it ends.
    _lock: File,
    kept: bool,
}

impl Folder {
    /// Makes and locks `<root>/<name>-<pid>-<n>` after removing what dead labs left below `root`.
    pub fn claim(root: &Path, name: &str) -> Result<Self, FolderError> {
        let _gate = gate(root)?;
        reap_all(root)?;
        let pid = std::process::id();
        let path = (0u32..)
            .map(|n| root.join(format!("{name}-{pid}-{n}")))
            .find(|path| !path.exists());
        let path = path.expect("some number is free");
        fs::create_dir(&path).map_err(failed("make", &path))?;
        let lock = File::create(path.join(LOCK)).map_err(failed("lock", &path))?;
        lock.lock().map_err(failed("lock", &path))?;
        Ok(Self {
            path,
            _lock: lock,
            kept: false,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name, which no other lab on the machine has while it runs.
    pub fn name(&self) -> &str {
        self.path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    /// Leaves the folder in place when this value is dropped: it is evidence, until the next lab starts.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Notes a process that must not outlive the lab.
    pub fn record(&self, process: ProcessId) -> Result<(), FolderError> {
        let path = self.path.join(PROCESSES);
        let write = || {
            let mut file = File::options().create(true).append(true).open(&path)?;
            writeln!(file, "{} {}", process.pid, process.started)
        };
        write().map_err(failed("write", &path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        control_groups::remove(self.name());
        if self.kept {
            return;
        }
        // Half removed, without its lock, it would look like a dead lab's to a reaper.
        let _gate = self.path.parent().map(gate);
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Where labs have their folders: `vpc-lab` in the system's directory for temporary files.
pub fn default_root() -> PathBuf {
    std::env::temp_dir().join("vpc-lab")
}

/// Removes what dead labs left; returns their folders.
pub fn reap(root: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let _gate = gate(root)?;
    reap_all(root)
}

/// Folders of labs that run.
pub fn running(root: &Path) -> Vec<PathBuf> {
    folders(root)
        .into_iter()
        .filter(|folder| is_locked(folder))
        .collect()
}

/// Held while folders are made or removed, so that a folder without its lock yet is nobody's prey.
fn gate(root: &Path) -> Result<File, FolderError> {
    fs::create_dir_all(root).map_err(failed("make", root))?;
    let path = root.join(".gate");
    let gate = File::create(&path).map_err(failed("lock", &path))?;
    gate.lock().map_err(failed("lock", &path))?;
    Ok(gate)
}

fn reap_all(root: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let dead: Vec<PathBuf> = folders(root)
        .into_iter()
        .filter(|folder| !is_locked(folder))
        .collect();
    for folder in &dead {
        let recorded = fs::read_to_string(folder.join(PROCESSES)).unwrap_or_default();
        for process in parse_processes(&recorded).filter(|process| process.is_alive()) {
            // A number that does not fit a pid belongs to no process.
            let _ = i32::try_from(process.pid).map(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL));
        }
        // While groups are left the folder stays, so that the next reaper finds both.
        let name = folder.file_name().and_then(|name| name.to_str());
        if name.is_none_or(control_groups::remove) {
            fs::remove_dir_all(folder).map_err(failed("remove", folder))?;
        }
    }
    Ok(dead)
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn is_locked(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_err())
}

fn parse_processes(text: &str) -> impl Iterator<Item = ProcessId> {
    text.lines().filter_map(|line| {
        let (pid, started) = line.split_once(' ')?;
        Some(ProcessId {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        })
    })
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError + use<> {
    let path = path.to_owned();
    move |source| FolderError {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn root(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("vpc-lab-test-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        root
    }

    #[test]
    fn a_running_lab_is_left_alone_and_a_dead_one_removed() {
        let root = root("reap");
        let alive = Folder::claim(&root, "alive").unwrap();
        let dead = root.join("dead-1-0");
        fs::create_dir_all(&dead).unwrap();
        File::create(dead.join(LOCK)).unwrap();
        assert_eq!(running(&root), [alive.path().to_owned()]);
        assert_eq!(reap(&root).unwrap(), std::slice::from_ref(&dead));
        assert!(alive.path().exists() && !dead.exists());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn processes_of_a_dead_lab_are_killed_unless_the_number_is_anothers_now() {
        let root = root("kill");
        let mut mine = Command::new("sleep").arg("600").spawn().unwrap();
        let mut other = Command::new("sleep").arg("600").spawn().unwrap();
        let (own, stranger) = (
            ProcessId::of(mine.id()).unwrap(),
            ProcessId::of(other.id()).unwrap(),
        );
        let mut lab = Folder::claim(&root, "lab").unwrap();
        lab.record(own).unwrap();
        lab.record(ProcessId {
            started: stranger.started + 1,
            ..stranger
        })
        .unwrap();
        lab.keep();
        drop(lab);
        assert_eq!(reap(&root).unwrap().len(), 1);
        assert!(
            !mine.wait().unwrap().success(),
            "the recorded process ended by itself"
        );
        assert!(other.try_wait().unwrap().is_none(), "a stranger was killed");
        other.kill().unwrap();
        other.wait().unwrap();
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_folder_goes_with_its_lab_unless_it_is_kept() {
        let root = root("keep");
        let first = Folder::claim(&root, "one").unwrap();
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists());
        let mut second = Folder::claim(&root, "one").unwrap();
        second.keep();
        let path = second.path().to_owned();
        drop(second);
        assert!(path.exists());
        fs::remove_dir_all(&root).unwrap();
    }
}
