//! Container images without a registry or Docker, by the Dockerfile's own steps: what the tests run is what the
//! Dockerfile describes, or there is no image. Driven by the tests and `vpc-lab`. Must not: know what is in the image
//! (`deploy/image/assemble` does).

mod dockerfile;
mod oci;

use crate::command::{self, CommandError};
use dockerfile::{Dockerfile, DockerfileError};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The programs of ours in the image, which a [`Recipe::marker`] can tell apart.
const MARKED: [&str; 2] = ["app/ipamd", "app/cni/aws-cni"];

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file or directory.
    #[error("{doing} {path}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// Of which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The Dockerfile has something that is not known here.
    #[error(transparent)]
    Dockerfile(#[from] DockerfileError),
    /// The root could not be assembled.
    #[error("assemble the image's root")]
    Assemble(#[source] CommandError),
}

/// An image archive on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The image's name and tag.
    pub name: String,
    /// The archive: an OCI image layout.
    pub path: PathBuf,
}

/// What to build.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    /// The sources, with the Dockerfile.
    pub repository: &'a Path,
    /// The directory with `ipamd` and `aws-cni`: what the Dockerfile's first stage makes.
    pub programs: &'a Path,
    /// Name and tag.
    pub name: &'a str,
    /// Bytes behind the ends of our programs, which they don't notice: tells one release from the next.
    pub marker: Option<&'a str>,
}

/// How a container of an image starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Start {
    entrypoint: Vec<String>,
    environment: Vec<String>,
    labels: Vec<(String, String)>,
}

/// Builds the image into a file. Needs root and the Debian packages that the Dockerfile installs.
pub fn build(recipe: &Recipe<'_>, into: &Path) -> Result<Archive, ImageError> {
    let root = into.with_extension("root");
    let start = assemble_and_start(recipe, &root)?;
    write(recipe.name, &root, &start, into)
}

/// Only the image's root file system, in a directory that is made anew.
pub fn assemble(recipe: &Recipe<'_>, root: &Path) -> Result<(), ImageError> {
    assemble_and_start(recipe, root).map(drop)
}

fn assemble_and_start(recipe: &Recipe<'_>, root: &Path) -> Result<Start, ImageError> {
    let path = recipe.repository.join("Dockerfile");
    let text = fs::read_to_string(&path).map_err(file("read", &path))?;
    let Dockerfile { assemble, start } = Dockerfile::parse(&text)?;
    remove(root)?;
    let step = assemble.for_directories(recipe.repository, recipe.programs, root);
    let words: Vec<&str> = step.iter().map(String::as_str).collect();
    command::run(&words, "").map_err(ImageError::Assemble)?;
    if let Some(marker) = recipe.marker {
        for program in MARKED {
            mark(&root.join(program), marker)?;
        }
    }
    Ok(start)
}

/// An image of one static program.
pub fn of_program(
    name: &str,
    program: &Path,
    entrypoint: &[&str],
    into: &Path,
) -> Result<Archive, ImageError> {
    let root = into.with_extension("root");
    remove(&root)?;
    let target = root.join(program.file_name().unwrap_or_default());
    fs::create_dir_all(&root).map_err(file("make", &root))?;
    fs::copy(program, &target).map_err(file("write", &target))?;
    let entrypoint = entrypoint.iter().map(|word| (*word).to_owned()).collect();
    let start = Start {
        entrypoint,
        ..Start::default()
    };
    write(name, &root, &start, into)
}

fn mark(program: &Path, marker: &str) -> Result<(), ImageError> {
    let append = || {
        File::options()
            .append(true)
            .open(program)?
            .write_all(marker.as_bytes())
    };
    append().map_err(file("mark", program))
}

/// A whole archive appears at once; the root goes.
fn write(name: &str, root: &Path, start: &Start, into: &Path) -> Result<Archive, ImageError> {
    let partial = into.with_extension("partial");
    oci::write(name, root, start, &partial).map_err(file("write", &partial))?;
    fs::rename(&partial, into).map_err(file("write", into))?;
    remove(root)?;
    Ok(Archive {
        name: name.to_owned(),
        path: into.to_owned(),
    })
}

fn remove(root: &Path) -> Result<(), ImageError> {
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", root)(error)),
        _ => Ok(()),
    }
}

fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ImageError + use<> {
    let path = path.to_owned();
    move |source| ImageError::File {
        doing,
        path,
        source,
    }
}
