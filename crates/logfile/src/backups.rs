//! Full files: `<name>.1` is the newest. Must not: be called by a process that has not the lock of the file.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Makes the file the newest of `count` backups; the oldest one goes. With none kept, the file itself goes.
pub(crate) fn turn_over(path: &Path, count: u32) -> io::Result<()> {
    if count == 0 {
        return or_gone(fs::remove_file(path));
    }
    for number in (1..count).rev() {
        or_gone(fs::rename(backup(path, number), backup(path, number + 1)))?;
    }
    or_gone(fs::rename(path, backup(path, 1)))
}

fn backup(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(format!(".{number}"));
    name.into()
}

/// Somebody may have cleaned up.
fn or_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
