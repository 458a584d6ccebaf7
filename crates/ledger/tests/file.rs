//! The file on a real file system: whole at every moment, private, and never lost when it is corrupt.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use ledger::file::{self, FileError, Step};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// An empty folder of this test's own.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("ledger-file")
        .join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_absent_file_has_no_content() {
    let path = folder("absent").join("ipam.json");
    assert_eq!(file::read(&path).unwrap(), None);
}

#[test]
fn an_unreadable_file_is_named() {
    let folder = folder("unreadable");
    let error = file::read(&folder).expect_err("a folder");
    assert_eq!(error.to_string(), format!("read {}", folder.display()));
}

#[test]
fn a_written_file_is_private_and_alone_in_its_folder() {
    let folder = folder("private");
    let path = folder.join("ipam.json");
    file::write(&path, b"one\n").unwrap();
    assert_eq!(file::read(&path).unwrap().as_deref(), Some(&b"one\n"[..]));
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(names(&folder), ["ipam.json"]);
}

#[test]
fn a_rewrite_makes_a_new_file_so_that_a_reader_keeps_the_old_one_whole() {
    let path = folder("rewrite").join("ipam.json");
    file::write(&path, b"the old content\n").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let (before, mut reader) = (
        fs::metadata(&path).unwrap().ino(),
        fs::File::open(&path).unwrap(),
    );
    file::write(&path, b"new\n").unwrap();
    assert_ne!(fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        std::io::read_to_string(&mut reader).unwrap(),
        "the old content\n"
    );
    assert_eq!(file::read(&path).unwrap().unwrap(), b"new\n");
}

#[test]
fn a_leftover_or_link_in_the_way_is_replaced_and_not_followed() {
    let folder = folder("in-the-way");
    let (path, victim) = (folder.join("ipam.json"), folder.join("victim"));
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, folder.join("ipam.json.tmp")).unwrap();
    file::write(&path, b"new\n").unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(names(&folder), ["ipam.json", "victim"]);
}

#[test]
fn a_failed_replacement_names_its_step_keeps_the_old_content_and_leaves_nothing_behind() {
    let folder = folder("failed");
    let path = folder.join("ipam.json");
    // A folder in the target's place: only the rename can fail.
    fs::create_dir_all(path.join("full")).unwrap();
    let error = file::write(&path, b"new\n").expect_err("a folder is in the way");
    assert!(
        matches!(
            error,
            FileError::Write {
                step: Step::Rename,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        format!("rename a new file to {}", path.display())
    );
    assert_eq!(names(&folder), ["ipam.json"]);

    let path = folder.join("other.json");
    file::write(&path, b"old\n").unwrap();
    fs::create_dir_all(folder.join("other.json.tmp/full")).unwrap();
    let error = file::write(&path, b"new\n").expect_err("the temporary file cannot be made");
    assert!(
        matches!(
            error,
            FileError::Write {
                step: Step::Create,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(file::read(&path).unwrap().unwrap(), b"old\n");
}

#[test]
fn a_missing_folder_is_an_error_of_the_first_step() {
    let path = folder("missing").join("gone/ipam.json");
    let error = file::write(&path, b"new\n").expect_err("no folder");
    assert_eq!(error.to_string(), format!("create {}.tmp", path.display()));
}

#[test]
fn corrupt_files_are_kept_under_the_first_free_number_with_their_reason() {
    let folder = folder("corrupt");
    let path = folder.join("ipam.json");
    for (content, want) in [
        ("first", "ipam.json.corrupt-1"),
        ("second", "ipam.json.corrupt-2"),
    ] {
        fs::write(&path, content).unwrap();
        let aside = file::set_aside(&path, "checkpoint has version \"x\"").unwrap();
        assert_eq!(aside, folder.join(want));
        assert_eq!(fs::read_to_string(&aside).unwrap(), content);
        assert_eq!(
            fs::read_to_string(folder.join(format!("{want}.reason"))).unwrap(),
            "checkpoint has version \"x\"\n"
        );
        assert_eq!(file::read(&path).unwrap(), None);
    }
    let error = file::set_aside(&path, "why").expect_err("nothing to set aside");
    assert_eq!(error.to_string(), format!("set aside {}", path.display()));
}

#[test]
fn leftovers_of_this_file_are_removed_and_everything_else_stays() {
    let folder = folder("leftovers");
    for name in [
        "ipam.json",
        "ipam.json.tmp",
        "ipam.json.tmp123456789",
        "ipam-nic-1.json.tmp",
        "ipam.json.corrupt-1",
        "x.tmp",
    ] {
        fs::write(folder.join(name), name).unwrap();
    }
    let removed = file::remove_leftovers(&folder.join("ipam.json")).unwrap();
    assert_eq!(
        removed,
        [
            folder.join("ipam.json.tmp"),
            folder.join("ipam.json.tmp123456789")
        ]
    );
    assert_eq!(
        names(&folder),
        [
            "ipam-nic-1.json.tmp",
            "ipam.json",
            "ipam.json.corrupt-1",
            "x.tmp"
        ]
    );
}

#[test]
fn a_folder_that_is_gone_is_named_when_leftovers_are_looked_for() {
    let gone = folder("no-folder").join("gone");
    let error = file::remove_leftovers(&gone.join("ipam.json")).expect_err("no folder");
    assert_eq!(
        error.to_string(),
        format!("remove leftover {}", gone.display())
    );
}
