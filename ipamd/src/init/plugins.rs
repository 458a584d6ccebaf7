//! Puts the image's plugins where the node's container runtime looks for them, each as a whole file that can be executed
//! from the moment it has its name. Must not: touch files that the image has not.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Between a plugin's name and this process's number in the name of an unfinished copy.
const PARTIAL: &str = ".aws-cni-partial-";
/// Files are compared and copied in pieces of this size.
const PIECE: usize = 1 << 16;

/// A plugin that could not be installed; the one that was there is as it was.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}", path = .path.display())]
pub(super) struct InstallError {
    doing: String,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Installed {
    written: Vec<String>,
    same: usize,
}

impl fmt::Display for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.written.as_slice() {
            [] => write!(f, "no plugin had to be installed ({} are there)", self.same),
            written => write!(
                f,
                "installed {}; {} were there",
                written.join(" "),
                self.same
            ),
        }
    }
}

/// Installs every file of `from` in `to`. One that is there already, byte for byte, is left alone: somebody may be
/// executing it.
pub(super) fn install(from: &Path, to: &Path) -> Result<Installed, InstallError> {
    fs::create_dir_all(to).map_err(failed("make directory", to))?;
    remove_leftovers(to)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from).map_err(failed("list the image's plugins in", from))? {
        let entry = entry.map_err(failed("list the image's plugins in", from))?;
        if entry.path().is_file() {
            names.push(entry.file_name());
        }
    }
    names.sort();
    let mut installed = Installed::default();
    for name in names {
        let (source, target) = (from.join(&name), to.join(&name));
        if is_same(&source, &target).map_err(failed("read", &source))? {
            installed.same += 1;
            continue;
        }
        let partial = to.join(format!("{}{PARTIAL}{}", name.display(), std::process::id()));
        let copied = copy(&source, &partial)
            .and_then(|()| fs::rename(&partial, &target).map_err(failed("install", &target)));
        if let Err(error) = copied {
            // Gives the space back on a full disk; the error that matters is the first one.
            let _ = fs::remove_file(&partial);
            return Err(error);
        }
        installed.written.push(name.display().to_string());
    }
    File::open(to)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("fsync", to))?;
    Ok(installed)
}

/// The mode is right before the name is: a runtime that finds a plugin can execute it.
fn copy(source: &Path, partial: &Path) -> Result<(), InstallError> {
    let meta = fs::metadata(source).map_err(failed("read", source))?;
    let mode = meta.permissions().mode() & 0o777;
    let write = || {
        let mut from = File::open(source)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(partial)?;
        io::copy(&mut from, &mut file)?;
        // What the process's mask took from the mode.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.flush()?;
        file.sync_all()
    };
    write().map_err(failed(&format!("write {} bytes to", meta.len()), partial))
}

/// The same bytes and the same mode.
fn is_same(source: &Path, target: &Path) -> io::Result<bool> {
    let Ok(there) = fs::symlink_metadata(target) else {
        return Ok(false);
    };
    let meta = fs::metadata(source)?;
    let mode = |meta: &fs::Metadata| meta.permissions().mode() & 0o777;
    if !there.is_file() || there.len() != meta.len() || mode(&there) != mode(&meta) {
        return Ok(false);
    }
    let (mut a, mut b) = (File::open(source)?, File::open(target)?);
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    let mut rest = meta.len();
    while rest > 0 {
        let piece = PIECE.min(usize::try_from(rest).unwrap_or(PIECE));
        a.read_exact(&mut left[..piece])?;
        if b.read_exact(&mut right[..piece]).is_err() || left[..piece] != right[..piece] {
            return Ok(false);
        }
        rest -= piece as u64;
    }
    Ok(true)
}

/// Unfinished copies of inits that were killed. Two never run at once on a node; one that would is not hurt: it has its
/// file open, and its rename fails by name.
fn remove_leftovers(folder: &Path) -> Result<(), InstallError> {
    for entry in fs::read_dir(folder)
        .map_err(failed("list", folder))?
        .flatten()
    {
        if entry.file_name().to_string_lossy().contains(PARTIAL) {
            // It costs space, nothing else.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> InstallError + use<> {
    let (doing, path) = (doing.to_owned(), path.to_owned());
    move |source| InstallError {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;
    use std::os::unix::fs::MetadataExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn plugins_are_replaced_as_a_whole_and_others_left_alone() {
        let folder = Folder::new();
        let (image, node) = (folder.path().join("image"), folder.path().join("node/bin"));
        fs::create_dir(&image).unwrap();
        for (name, text) in [("aws-cni", "new"), ("portmap", "same")] {
            fs::write(image.join(name), text).unwrap();
            fs::set_permissions(image.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::create_dir_all(&node).unwrap();
        fs::write(node.join("calico"), "somebody's").unwrap();
        fs::write(node.join(format!("x{PARTIAL}7")), "left behind").unwrap();
        fs::copy(image.join("portmap"), node.join("portmap")).unwrap();
        fs::write(node.join("aws-cni"), "old").unwrap();
        let executed = File::open(node.join("aws-cni")).unwrap();
        let inode = |name: &str| fs::metadata(node.join(name)).unwrap().ino();
        let before = inode("portmap");
        let installed = install(&image, &node).unwrap();
        assert_eq!(
            installed,
            Installed {
                written: vec!["aws-cni".into()],
                same: 1
            }
        );
        assert_eq!(fs::read_to_string(node.join("aws-cni")).unwrap(), "new");
        assert_eq!(mode(&node.join("aws-cni")), 0o755);
        assert_eq!(
            inode("portmap"),
            before,
            "the same file is not written again"
        );
        assert_eq!(
            io::read_to_string(executed).unwrap(),
            "old",
            "who executes the old one goes on"
        );
        let mut names: Vec<_> = fs::read_dir(&node)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["aws-cni", "calico", "portmap"]);
        assert_eq!(
            install(&image, &node).unwrap(),
            Installed {
                written: vec![],
                same: 2
            }
        );
        // A lost mode is as bad as a lost byte.
        fs::set_permissions(node.join("portmap"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(install(&image, &node).unwrap().written, ["portmap"]);
        assert_eq!(mode(&node.join("portmap")), 0o755);
    }

    #[test]
    fn a_plugin_that_cannot_be_installed_is_named_and_the_old_one_stays() {
        let folder = Folder::new();
        let (image, node) = (folder.path().join("image"), folder.path().join("node"));
        fs::create_dir(&image).unwrap();
        fs::write(image.join("aws-cni"), "new").unwrap();
        // A directory can't be replaced by a file.
        fs::create_dir_all(node.join("aws-cni/x")).unwrap();
        let error = install(&image, &node).unwrap_err().to_string();
        assert_eq!(error, format!("install {}", node.join("aws-cni").display()));
        assert_eq!(
            fs::read_dir(&node).unwrap().count(),
            1,
            "no unfinished copy is left"
        );
        let missing = install(&folder.path().join("none"), &node)
            .unwrap_err()
            .to_string();
        assert!(
            missing.starts_with("list the image's plugins in"),
            "{missing}"
        );
    }
}
