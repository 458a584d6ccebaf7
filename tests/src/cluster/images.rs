//! The images that a cluster's nodes get, built once per build of the programs and kept below `target/e2e/images`.
//! Must not: use an image older than what it is made of.

use super::repository;
use crate::binaries;
use lab::containerd::PAUSE;
use lab::image::{self, Archive, Recipe};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Which of two releases: the same programs and steps, told apart by bytes at the programs' ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// What was built.
    This,
    /// The one after it.
    Next,
}

/// Archives on disk.
#[derive(Debug, Clone)]
pub struct Images {
    /// A sandbox's process 1.
    pub pause: Archive,
    this: Archive,
    next: Archive,
}

impl Images {
    /// A release's image.
    pub fn of(&self, release: Release) -> &Archive {
        match release {
            Release::This => &self.this,
            Release::Next => &self.next,
        }
    }
}

/// The images of the programs that were built with this one.
///
/// # Panics
/// When they cannot be built.
pub fn images() -> &'static Images {
    static BUILT: OnceLock<Images> = OnceLock::new();
    BUILT.get_or_init(build)
}

fn build() -> Images {
    let folder = repository().join("target/e2e/images");
    fs::create_dir_all(&folder).expect("target can be written");
    // Another test program may be building them.
    let gate = File::create(folder.join(".lock")).expect("target can be written");
    gate.lock().expect("a file can be locked");
    let (stamp, key) = (folder.join("stamp"), key());
    let found = fs::read_to_string(&stamp).is_ok_and(|found| found == key);
    let images = if found {
        named(&folder)
    } else {
        built(&folder)
    };
    fs::write(stamp, key).expect("target can be written");
    images
}

const THIS: &str = "localhost/vpc-cni:this";
const NEXT: &str = "localhost/vpc-cni:next";

fn named(folder: &Path) -> Images {
    let archive = |name: &str| Archive {
        name: name.to_owned(),
        path: path(folder, name),
    };
    Images {
        pause: archive(PAUSE),
        this: archive(THIS),
        next: archive(NEXT),
    }
}

fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{}.tar", name.replace(['/', ':'], "-")))
}

fn built(folder: &Path) -> Images {
    let daemon = binaries::ipamd();
    let programs = daemon.parent().expect("a program has a directory");
    let repository = repository();
    let release = |name, marker| {
        let recipe = Recipe {
            repository: &repository,
            programs,
            name,
            marker,
        };
        image::build(&recipe, &path(folder, name))
            .unwrap_or_else(|error| panic!("build {name}: {error:?}"))
    };
    let pause = image::of_program(PAUSE, &binaries::pause(), &["/pause"], &path(folder, PAUSE));
    Images {
        pause: pause.unwrap_or_else(|error| panic!("build {PAUSE}: {error:?}")),
        this: release(THIS, None),
        next: release(NEXT, Some("the release after this one")),
    }
}

/// Changes with everything the images are made of.
fn key() -> String {
    let root = repository();
    let parts = [binaries::ipamd(), binaries::aws_cni(), binaries::pause()];
    let steps = ["Dockerfile", "deploy/image/assemble"].map(|path| root.join(path));
    let part = |path: &PathBuf| {
        let meta = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        format!(
            "{} {} {}.{}\n",
            path.display(),
            meta.len(),
            meta.mtime(),
            meta.mtime_nsec()
        )
    };
    parts.iter().chain(&steps).map(part).collect()
}
