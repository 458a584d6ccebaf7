//! A log file of bounded size: the file and one predecessor. Must not: know the format of a line.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Size at which the file becomes `<name>.1` and a new one is begun.
const LIMIT: u64 = 100 << 20;

/// An appending writer.
pub struct Bounded {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
}

impl Bounded {
    /// Opens or makes the file and its folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, LIMIT)
    }

    fn with_limit(path: &Path, limit: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            limit,
        })
    }

    /// On failure the old file goes on growing until the next line tries again.
    fn turn_over(&mut self) -> io::Result<()> {
        let mut old = OsString::from(self.path.as_os_str());
        old.push(".1");
        std::fs::rename(&self.path, old)?;
        self.file = append(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.size >= self.limit {
            let _ = self.turn_over();
        }
        let written = self.file.write(bytes)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn a_full_file_becomes_the_predecessor_and_no_line_is_lost_or_split() {
        let folder = Folder::new();
        let path = folder.path().join("logs/ipamd.log");
        let mut log = Bounded::with_limit(&path, 10).unwrap();
        for line in ["first line\n", "second line\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "second line\n");
        assert_eq!(
            std::fs::read_to_string(path.with_extension("log.1")).unwrap(),
            "first line\n"
        );
    }

    #[test]
    fn an_existing_file_is_continued() {
        let folder = Folder::new();
        let path = folder.path().join("ipamd.log");
        std::fs::write(&path, "old\n").unwrap();
        Bounded::open(&path).unwrap().write_all(b"new\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old\nnew\n");
    }

    #[test]
    fn a_path_that_cannot_be_a_file_is_an_error_not_a_panic() {
        let folder = Folder::new();
        assert!(Bounded::open(folder.path()).is_err());
        assert!(Bounded::open(Path::new("/proc/no/such/ipamd.log")).is_err());
    }
}
