//! Installs the plugins of the image on the host. Must not: remove a file that it did not make, leave a name without a
//! whole, executable file behind it at any moment, replace what is the same.

use super::say;
use crate::place::{self, Placed};
use crate::restore::with_causes;
use anyhow::{Context, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Puts every file of `image` into `host`. All are tried; those that failed are the error.
pub(super) fn install(image: &Path, host: &Path) -> anyhow::Result<()> {
    match place::remove_leftovers(host) {
        Ok(removed) => removed
            .iter()
            .for_each(|path| say(&format!("removed the unfinished {}", path.display()))),
        Err(error) => say(&format!("leftovers stay: {}", with_causes(&error))),
    }
    let (mut same, mut failed) = (0, Vec::new());
    for plugin in files(image)? {
        match install_one(&plugin, host) {
            Ok(Placed::Already) => same += 1,
            Ok(Placed::New) => say(&format!(
                "installed {} in {}",
                name(&plugin),
                host.display()
            )),
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    say(&format!("{same} plugins are in {} already", host.display()));
    if !failed.is_empty() {
        bail!("{}; what was there before stays", failed.join("; "));
    }
    Ok(())
}

/// The plain files of the image, by name.
fn files(image: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listing = || format!("list the plugins of this image, {}", image.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(image).with_context(listing)? {
        let entry = entry.with_context(listing)?;
        if entry.file_type().with_context(listing)?.is_file() {
            files.push(entry.path());
        }
    }
    if files.is_empty() {
        bail!("{}: there are none", listing());
    }
    files.sort();
    Ok(files)
}

fn install_one(plugin: &Path, host: &Path) -> anyhow::Result<Placed> {
    let read = || format!("read {}", plugin.display());
    let mode = fs::metadata(plugin)
        .with_context(read)?
        .permissions()
        .mode();
    let bytes = fs::read(plugin).with_context(read)?;
    let target = host.join(plugin.file_name().unwrap_or_default());
    place::ensure(&target, &bytes, mode & 0o7777)
        .with_context(|| format!("install {} ({} bytes)", name(plugin), bytes.len()))
}

fn name(plugin: &Path) -> String {
    plugin
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn plugin(folder: &Path, name: &str, bytes: &str) {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn plain_files_are_installed_with_their_modes_and_those_of_others_stay() {
        let (image, host) = (Folder::new(), Folder::new());
        plugin(image.path(), "aws-cni", "new");
        plugin(image.path(), "portmap", "new");
        fs::create_dir(image.path().join("folder")).unwrap();
        plugin(host.path(), "aws-cni", "old");
        plugin(host.path(), "foreign", "theirs");
        install(image.path(), host.path()).unwrap();
        for (name, text) in [
            ("aws-cni", "new"),
            ("portmap", "new"),
            ("foreign", "theirs"),
        ] {
            let path = host.path().join(name);
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "{name}");
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o755, "{name}");
        }
        assert_eq!(fs::read_dir(host.path()).unwrap().count(), 3);
    }

    #[test]
    fn one_that_fails_is_named_with_size_and_path_and_keeps_no_other_from_being_installed() {
        let (image, host) = (Folder::new(), Folder::new());
        plugin(image.path(), "aws-cni", "new");
        plugin(image.path(), "portmap", "new");
        fs::create_dir_all(host.path().join("aws-cni/in-the-way")).unwrap();
        let error = install(image.path(), host.path()).unwrap_err().to_string();
        let path = host.path().join("aws-cni");
        assert!(
            error.starts_with("install aws-cni (3 bytes): ")
                && error.contains(&path.display().to_string()),
            "{error}"
        );
        assert!(host.path().join("portmap").is_file());
    }

    #[test]
    fn an_image_without_plugins_is_an_error() {
        let (image, host) = (Folder::new(), Folder::new());
        let error = install(image.path(), host.path()).unwrap_err().to_string();
        let expected = format!(
            "list the plugins of this image, {}: there are none",
            image.path().display()
        );
        assert_eq!(error, expected);
        assert!(install(&image.path().join("cni"), host.path()).is_err());
    }
}
