//! Processes and one log: every line is there once and whole or not at all, and what is kept is bounded.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use logfile::{Bound, LogFile};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::process::Command;

const WRITERS: usize = 8;
const LINES: usize = 400;
/// Tells a process of this test which writer it is, and where.
const WRITER: &str = "LOGFILE_TEST_WRITER";

/// An empty folder of this test's own.
fn folder(test: &str) -> PathBuf {
    let name = format!("logfile-{}-{test}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn line(writer: usize, number: usize) -> String {
    // Different lengths, so that a file's end never falls between the same lines.
    let filler = "x".repeat(20 + (writer * 31 + number * 7) % 90);
    format!("{writer} {number} {filler}\n")
}

fn bound(backups: u32) -> Bound {
    Bound {
        file: 8 << 10,
        backups,
    }
}

/// Not a test of its own: what each process of the tests below does.
#[test]
#[ignore = "run by the tests below, in processes of their own"]
fn one_writer() {
    let Some(task) = std::env::var_os(WRITER) else {
        return;
    };
    let task = task.into_string().unwrap();
    let (writer, rest) = task.split_once(' ').unwrap();
    let (backups, path) = rest.split_once(' ').unwrap();
    let writer: usize = writer.parse().unwrap();
    let backups = backups.parse().unwrap();
    let open = || LogFile::new(Path::new(path), bound(backups));
    let mut log = open();
    for number in 0..LINES {
        // Half of them keep their handle, as the daemon does; the others open anew for each line, as plugins do.
        if writer.is_multiple_of(2) {
            log = open();
        }
        let appended = log.append(line(writer, number).as_bytes());
        appended.unwrap_or_else(|error| panic!("{error}: {:?}", error.source()));
    }
}

fn write_with_many(path: &Path, backups: u32) {
    let this = std::env::current_exe().unwrap();
    let start = |writer: usize| {
        Command::new(&this)
            .args(["one_writer", "--exact", "--ignored", "--quiet"])
            .env(WRITER, format!("{writer} {backups} {}", path.display()))
            .output()
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || start(writer).unwrap()))
            .collect();
        for writer in writers {
            let output = writer.join().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    });
}

fn files(folder: &Path) -> Vec<DirEntry> {
    fs::read_dir(folder).unwrap().map(Result::unwrap).collect()
}

/// How often each line is there; panics at one that nobody wrote.
fn lines(folder: &Path) -> BTreeMap<(usize, usize), usize> {
    let mut seen = BTreeMap::new();
    for file in files(folder) {
        for found in fs::read_to_string(file.path())
            .unwrap()
            .split_inclusive('\n')
        {
            let mut words = found.split(' ').map(|word| word.parse().ok());
            let (Some(Some(writer)), Some(Some(number))) = (words.next(), words.next()) else {
                panic!("torn: {found:?}");
            };
            assert_eq!(found, line(writer, number), "torn");
            *seen.entry((writer, number)).or_insert(0) += 1;
        }
    }
    seen
}

#[test]
fn eight_processes_lose_tear_and_double_no_line_while_the_file_is_turned_over() {
    let folder = folder("complete");
    write_with_many(&folder.join("plugin.log"), 100);
    let seen = lines(&folder);
    assert_eq!(seen.len(), WRITERS * LINES, "lines are missing");
    assert!(seen.values().all(|times| *times == 1), "lines are doubled");
    assert!(files(&folder).len() > 20, "it was turned over many times");
    for file in files(&folder) {
        let size = file.metadata().unwrap().len();
        assert!(size <= bound(0).file, "{:?}: {size}", file.path());
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn eight_processes_keep_the_whole_log_within_its_bound_and_the_newest_lines_in_it() {
    let folder = folder("bounded");
    write_with_many(&folder.join("plugin.log"), 2);
    let names: Vec<_> = files(&folder)
        .iter()
        .map(|file| file.file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    let total: u64 = files(&folder)
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert!(total <= 3 * bound(2).file, "{total}");
    let seen = lines(&folder);
    assert!(seen.values().all(|times| *times == 1));
    let last = seen.keys().filter(|(_, number)| *number == LINES - 1);
    assert!(last.count() > 0, "the newest lines are there: {seen:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_a_full_disk_took_of_a_line_is_taken_back() {
    let folder = folder("torn");
    let path = folder.join("plugin.log");
    let old = "an old line\n".repeat(100);
    fs::write(&path, &old).unwrap();
    // The kernel takes ten bytes more, then no more, as on a full disk.
    let limit = format!("--fsize={}", old.len() + 10);
    let this = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec prlimit \"$@\"", "sh", &limit])
        .arg(this)
        .args(["one_writer", "--exact", "--ignored", "--nocapture"])
        .env(WRITER, format!("0 2 {}", path.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("append to log"), "{said}");
    assert!(said.contains("File too large"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), old);
    fs::remove_dir_all(folder).unwrap();
}
