//! What is at a name before, while and after a file is placed there.

use super::*;
use crate::testing::Folder;
use std::os::unix::fs::symlink;

fn seen(path: &Path) -> (Vec<u8>, u32, u64) {
    let meta = fs::symlink_metadata(path).unwrap();
    let mode = meta.permissions().mode() & 0o7777;
    (fs::read(path).unwrap(), mode, meta.ino())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_made_replaced_when_it_differs_and_left_alone_when_it_does_not() {
    let folder = Folder::new();
    let path = folder.path().join("plugin");
    assert_eq!(ensure(&path, b"one", 0o755).unwrap(), Placed::New);
    let first = seen(&path);
    assert_eq!((&first.0[..], first.1), (&b"one"[..], 0o755));
    assert_eq!(ensure(&path, b"one", 0o755).unwrap(), Placed::Already);
    assert_eq!(seen(&path), first, "the same inode");
    assert_eq!(ensure(&path, b"two", 0o755).unwrap(), Placed::New);
    assert_eq!(seen(&path).0, b"two");
    assert_eq!(ensure(&path, b"two", 0o644).unwrap(), Placed::New);
    assert_eq!(seen(&path).1, 0o644);
    assert_eq!(names(folder.path()), ["plugin"]);
}

#[test]
fn a_link_is_replaced_and_what_it_leads_to_stays() {
    let folder = Folder::new();
    let (path, other) = (folder.path().join("plugin"), folder.path().join("other"));
    fs::write(&other, "foreign").unwrap();
    symlink(&other, &path).unwrap();
    assert_eq!(ensure(&path, b"ours", 0o755).unwrap(), Placed::New);
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(fs::read(&other).unwrap(), b"foreign");
}

#[test]
fn a_failure_names_the_file_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let missing = folder.path().join("no/10-aws.conflist");
    let error = ensure(&missing, b"{}", 0o644).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("make a file beside {}", missing.display())
    );
    let taken = folder.path().join("taken");
    fs::create_dir_all(taken.join("by-a-folder")).unwrap();
    let error = ensure(&taken, b"{}", 0o644).unwrap_err();
    assert!(error.to_string().starts_with("give the new file its name "));
    assert_eq!(names(folder.path()), ["taken"]);
}

#[test]
fn what_a_killed_process_was_making_goes_and_what_a_living_one_makes_stays() {
    let folder = Folder::new();
    let left = folder.path().join(".aws-cni.0123456789abcdef.aws-node-new");
    for foreign in ["aws-cni", "aws-cni.tmp", ".hidden"] {
        fs::write(folder.path().join(foreign), "").unwrap();
    }
    fs::write(&left, "half").unwrap();
    let living = Draft::create(&folder.path().join("aws-cni")).unwrap();
    living.fill(b"whole", 0o755).unwrap();
    assert_eq!(remove_leftovers(folder.path()).unwrap(), [left]);
    assert_eq!(names(folder.path()).len(), 4);
    living
        .take_its_name(&folder.path().join("aws-cni"))
        .unwrap();
    assert_eq!(names(folder.path()), [".hidden", "aws-cni", "aws-cni.tmp"]);
    assert_eq!(fs::read(folder.path().join("aws-cni")).unwrap(), b"whole");
}

#[test]
fn a_new_file_that_somebody_took_for_a_leftover_is_noticed() {
    let folder = Folder::new();
    let draft = Draft::create(&folder.path().join("aws-cni")).unwrap();
    assert!(!draft.is_gone());
    fs::remove_file(&draft.path).unwrap();
    assert!(draft.is_gone());
}
