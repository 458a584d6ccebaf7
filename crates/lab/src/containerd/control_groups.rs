//! The control groups of a scene's containers: the machine's hierarchies are shared, so they carry the scene's name and
//! are removed with it. Driven by `kubelet` (names) and `reaper` (removal). Must not: touch a group of anybody else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the machine's hierarchies are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// The group above all groups of scenes.
const ABOVE: &str = "vpc-lab";

/// The group of a scene by the name of its folder, as a container runtime wants it.
pub fn parent(scene: &str) -> String {
    format!("/{ABOVE}/{scene}")
}

/// Removes the scene's groups from every hierarchy. One that still has processes stays: its scene has not ended.
pub fn remove(scene: &str) {
    for hierarchy in hierarchies(Path::new(MOUNT)) {
        // Gone already, or in use: the next reaper sees it again.
        let _ = remove_tree(&hierarchy.join(ABOVE).join(scene));
        let _ = fs::remove_dir(hierarchy.join(ABOVE));
    }
}

/// The mount itself (version 2) and what is directly below it (version 1, and the second of a hybrid).
fn hierarchies(mount: &Path) -> Vec<PathBuf> {
    let mut all = directories(mount);
    all.push(mount.to_owned());
    all
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Groups go from the leaves up; their files can't be removed and go with them.
fn remove_tree(group: &Path) -> io::Result<()> {
    for child in directories(group) {
        remove_tree(&child)?;
    }
    fs::remove_dir(group)
}
