//! Whatever the path leads to: a line goes into it or is refused at once; nothing is followed, widened or waited for.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use logfile::{BOUND, Bound, LogError, LogFile};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::error::Error;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SMALL: Bound = Bound {
    file: 20,
    backups: 2,
};

/// An empty folder of this test's own.
fn folder(test: &str) -> PathBuf {
    let name = format!("logfile-{}-{test}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn cause(error: &LogError) -> String {
    format!("{error}: {}", error.source().unwrap())
}

#[test]
fn file_and_folder_are_made_as_private_as_upstreams_and_an_old_file_keeps_its_mode() {
    let folder = folder("modes");
    let path = folder.join("deep/er/ipamd.log");
    LogFile::new(&path, BOUND).append(b"one\n").unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o755);
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    LogFile::new(&path, BOUND).append(b"two\n").unwrap();
    assert_eq!((mode(&path), read(&path)), (0o640, "one\ntwo\n".to_owned()));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_full_file_becomes_the_newest_backup_and_the_oldest_goes() {
    let folder = folder("backups");
    let path = folder.join("ipamd.log");
    let mut log = LogFile::new(&path, SMALL);
    for number in 1..=4 {
        log.append(format!("the line number {number}\n").as_bytes())
            .unwrap();
    }
    let backup = |number: u8| folder.join(format!("ipamd.log.{number}"));
    assert_eq!(read(&path), "the line number 4\n");
    assert_eq!(read(&backup(1)), "the line number 3\n");
    assert_eq!(read(&backup(2)), "the line number 2\n");
    assert!(!backup(3).exists());
    let long = format!("{}\n", "x".repeat(100));
    log.append(long.as_bytes()).unwrap();
    assert_eq!(read(&path), long, "a long line has a file of its own");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_that_was_deleted_or_moved_away_is_made_again() {
    let folder = folder("deleted");
    let path = folder.join("ipamd.log");
    let mut log = LogFile::new(&path, BOUND);
    log.append(b"one\n").unwrap();
    fs::remove_file(&path).unwrap();
    log.append(b"two\n").unwrap();
    assert_eq!(read(&path), "two\n");
    fs::rename(&path, folder.join("moved")).unwrap();
    log.append(b"three\n").unwrap();
    assert_eq!(read(&path), "three\n");
    fs::remove_dir_all(&folder).unwrap();
    log.append(b"four\n").unwrap();
    assert_eq!(read(&path), "four\n", "the folder too");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_no_log_is_refused_with_its_path_and_the_reason() {
    let folder = folder("refused");
    let victim = folder.join("victim");
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, folder.join("link")).unwrap();
    symlink(folder.join("nowhere"), folder.join("dangling")).unwrap();
    for (path, why) in [
        (folder.clone(), "Is a directory"),
        (folder.join("link"), "Too many levels of symbolic links"),
        (folder.join("dangling"), "Too many levels of symbolic links"),
        (folder.join("victim/plugin.log"), "Not a directory"),
        (PathBuf::from("/proc/no/such/plugin.log"), "No such file"),
        (PathBuf::from("/proc/self/fd/0"), "symbolic links"),
        (PathBuf::new(), "No such file"),
    ] {
        let error = LogFile::new(&path, BOUND).append(b"x\n").unwrap_err();
        let text = cause(&error);
        assert!(text.contains(&path.display().to_string()), "{text}");
        assert!(text.contains(why), "{text}");
    }
    assert_eq!(read(&victim), "untouched");
    assert!(!folder.join("nowhere").exists());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_pipe_is_written_while_somebody_reads_and_never_waited_for() {
    let folder = folder("pipe");
    let path = folder.join("pipe");
    mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
    let began = Instant::now();
    let mut log = LogFile::new(&path, SMALL);
    let error = log.append(b"nobody reads\n").unwrap_err();
    assert!(cause(&error).contains("No such device or address"));

    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let mut reader = File::options()
        .read(true)
        .custom_flags(flags)
        .open(&path)
        .unwrap();
    let line = [b'x'; 1000];
    let written = (0..1000).take_while(|_| log.append(&line).is_ok()).count();
    assert!((60..1000).contains(&written), "{written} lines fit a pipe");
    let mut first = [0; 1000];
    reader.read_exact(&mut first).unwrap();
    assert_eq!(first, line);
    drop(reader);
    assert!(log.append(b"nobody reads any more\n").is_err());
    assert!(began.elapsed() < Duration::from_secs(5), "it waited");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_device_takes_lines_and_is_never_turned_over() {
    let mut log = LogFile::new(Path::new("/dev/null"), SMALL);
    for _ in 0..10 {
        log.append(b"a line that would not fit twice\n").unwrap();
    }
    let full = LogFile::new(Path::new("/dev/full"), SMALL)
        .append(b"x\n")
        .unwrap_err();
    assert_eq!(
        cause(&full),
        "write to log /dev/full: No space left on device (os error 28)"
    );
}

#[test]
fn a_lock_that_is_never_given_back_costs_a_moment_and_no_line_until_twice_the_bound() {
    let folder = folder("locked");
    let path = folder.join("plugin.log");
    fs::write(&path, "").unwrap();
    let holder = File::open(&path).unwrap();
    holder.lock().unwrap();
    let mut log = LogFile::new(&path, SMALL);
    let began = Instant::now();
    log.append(b"0123456789abcde\n").unwrap();
    log.append(b"0123456789abcde\n").unwrap();
    let error = log.append(b"0123456789abcde\n").unwrap_err();
    assert!(cause(&error).contains("keeps it locked"), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "it waited");
    assert_eq!(read(&path).len(), 32);
    holder.unlock().unwrap();
    log.append(b"0123456789abcde\n").unwrap();
    assert_eq!(read(&path).len(), 16, "and then it is turned over");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_that_cannot_be_turned_over_is_emptied_at_twice_its_bound() {
    let folder = folder("stuck");
    let path = folder.join("plugin.log");
    // Something in the way that no rename replaces.
    fs::create_dir_all(folder.join("plugin.log.1/full")).unwrap();
    let bound = Bound {
        backups: 1,
        ..SMALL
    };
    let mut log = LogFile::new(&path, bound);
    for number in 0..3 {
        log.append(format!("0123456789abcd{number}\n").as_bytes())
            .unwrap();
    }
    assert_eq!(read(&path), "0123456789abcd2\n", "the newest stays");
    fs::remove_dir_all(folder).unwrap();
}
