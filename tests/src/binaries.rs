//! The programs under test: where they are, and that they are what the sources say. Driven by `stage`.
//! Must not: build anything, or test a program older than its sources. Each is judged once: one run tests one build.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// Path of the node daemon.
pub fn ipamd() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| current("ipamd")).clone()
}

/// Path of the CNI plugin.
pub fn aws_cni() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| current("aws-cni")).clone()
}

/// Path of the laboratory's program, which is process 1 of every node.
pub fn vpc_lab() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| current("vpc-lab")).clone()
}

/// Path of a sandbox's process 1.
pub fn pause() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| current("pause")).clone()
}

/// The program of this name that was built with this one, unless it is missing or out of date.
///
/// # Panics
/// When it is, with what to do about it.
fn current(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("a process knows its program");
    // Tests are in `deps` below the directory of programs.
    let found = this
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file());
    let Some(program) = found else {
        panic!("{name} is not beside {}: run `make build`", this.display());
    };
    if let Some(source) = newer_source(&program) {
        panic!(
            "{} is older than {}: run `make build`",
            program.display(),
            source.display()
        );
    }
    program
}

/// A source of the program that changed after it was built. Cargo writes beside each program what it is made of.
fn newer_source(program: &Path) -> Option<PathBuf> {
    let list = program.with_extension("d");
    let text = fs::read_to_string(&list)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make build`", list.display()));
    let built = modified(program)?;
    sources(&text).find(|source| modified(source).is_some_and(|changed| changed > built))
}

/// `program: source source …`; a blank in a path is escaped by a backslash.
fn sources(list: &str) -> impl Iterator<Item = PathBuf> {
    let (_, sources) = list.split_once(": ").unwrap_or_default();
    let joined = sources.trim().replace("\\ ", "\0");
    let paths: Vec<PathBuf> = joined
        .split_whitespace()
        .map(|path| path.replace('\0', " ").into())
        .collect();
    paths.into_iter()
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_sources_is_read_with_its_escapes() {
        let list = "/t/ipamd: /src/a.rs /src/my\\ crate/b.rs\n";
        let expected = ["/src/a.rs", "/src/my crate/b.rs"].map(PathBuf::from);
        assert_eq!(sources(list).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_program_older_than_a_source_is_found_out() {
        let folder = std::env::temp_dir().join(format!("e2e-binaries-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (program, source) = (folder.join("program"), folder.join("source.rs"));
        fs::write(&program, "").unwrap();
        fs::write(&source, "").unwrap();
        let list = format!("{}: {}\n", program.display(), source.display());
        fs::write(folder.join("program.d"), list).unwrap();
        let at = |path: &Path, seconds| {
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            fs::File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_modified(time)
                .unwrap();
        };
        at(&program, 2000);
        at(&source, 1000);
        assert_eq!(newer_source(&program), None);
        at(&source, 3000);
        assert_eq!(newer_source(&program), Some(source));
        fs::remove_dir_all(&folder).unwrap();
    }
}
