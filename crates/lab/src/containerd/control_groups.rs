//! The control groups of a scene's containers: the machine's hierarchies are shared, so they carry the scene's name and
//! are removed with it. Driven by `kubelet` (names) and `reaper` (removal). Must not: touch a group of anybody else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the machine's hierarchies are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// How long killed processes may take to be gone.
const END_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// The group of a scene by the name of its folder, as a container runtime wants it. It lies at the top: a group shared by
/// scenes would be removed by one while another one's runtime makes its own in it.
pub fn parent(scene: &str) -> String {
    format!("/{}", name(scene))
}

fn name(scene: &str) -> String {
    format!("vpc-lab-{scene}")
}

/// Removes the scene's groups from every hierarchy; whether none is left. Processes that were killed a moment ago are
/// waited for; a group whose processes live stays: its scene has not ended.
pub fn remove(scene: &str) -> bool {
    let groups = hierarchies(Path::new(MOUNT))
        .into_iter()
        .map(|hierarchy| hierarchy.join(name(scene)));
    let groups: Vec<PathBuf> = groups.filter(|group| group.exists()).collect();
    let began = Instant::now();
    loop {
        for group in &groups {
            // In use, or gone already.
            let _ = remove_tree(group);
        }
        let all_gone = groups.iter().all(|group| !group.exists());
        if all_gone || began.elapsed() > END_LIMIT {
            return all_gone;
        }
        std::thread::park_timeout(LOOK);
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
