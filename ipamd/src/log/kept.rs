//! Lines that belong into a file, and go elsewhere (standard error, which the runtime of the container keeps) while the
//! file cannot be written. Must not: give a file up; each line tries it again.

use super::line::timestamp;
use crate::restore::with_causes;
use logfile::{BOUND, LogFile};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Takes one line per write.
pub(super) struct Kept<Elsewhere> {
    path: PathBuf,
    file: LogFile,
    elsewhere: Elsewhere,
    /// Lines that went elsewhere since the file took one.
    missing: u64,
}

impl<Elsewhere: Write> Kept<Elsewhere> {
    pub(super) fn at(path: &Path, elsewhere: Elsewhere) -> Self {
        Self {
            path: path.to_owned(),
            file: LogFile::new(path, BOUND),
            elsewhere,
            missing: 0,
        }
    }

    fn note(&self, message: &str, about: &str, value: Value) -> Vec<u8> {
        let mut line = json!({"level": "warn", "ts": timestamp(), "msg": message, "file": self.path.to_string_lossy()});
        line[about] = value;
        format!("{line}\n").into_bytes()
    }
}

impl<Elsewhere: Write> Write for Kept<Elsewhere> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.file.append(line) {
            Ok(()) if self.missing == 0 => {}
            Ok(()) => {
                let message =
                    "the log file can be written again; lines before this went to standard error";
                let note = self.note(message, "count", self.missing.into());
                self.missing = 0;
                // A lost note is no lost line.
                let _ = self.file.append(&note);
            }
            Err(error) => {
                if self.missing == 0 {
                    let message = "the log file cannot be written; lines go to standard error";
                    let note = self.note(message, "error", with_causes(&error).into());
                    let _ = self.elsewhere.write_all(&note);
                }
                self.missing += 1;
                self.elsewhere.write_all(line)?;
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.elsewhere.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;
    use std::fs;

    #[test]
    fn lines_go_elsewhere_while_the_file_cannot_be_written_and_come_back_with_their_number() {
        let folder = Folder::new();
        let path = folder.path().join("logs/ipamd.log");
        // A file where the folder should be.
        fs::write(folder.path().join("logs"), "").unwrap();
        let mut kept = Kept::at(&path, Vec::new());
        kept.write_all(b"one\n").unwrap();
        kept.write_all(b"two\n").unwrap();
        fs::remove_file(folder.path().join("logs")).unwrap();
        kept.write_all(b"three\n").unwrap();
        kept.write_all(b"four\n").unwrap();

        let elsewhere = String::from_utf8(kept.elsewhere.clone()).unwrap();
        let (note, lines) = elsewhere.split_once('\n').unwrap();
        assert_eq!(lines, "one\ntwo\n");
        let note: Value = serde_json::from_str(note).unwrap();
        assert_eq!(note["file"], path.to_string_lossy().as_ref());
        assert!(
            note["error"]
                .as_str()
                .unwrap()
                .contains("ipamd.log: Not a directory"),
            "{note}"
        );

        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[2], lines.len()), ("three", "four", 3));
        let note: Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!(note["count"], 2);
    }

    #[test]
    fn a_line_that_nobody_takes_is_an_error_for_who_counts_the_lost_ones() {
        let folder = Folder::new();
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut kept = Kept::at(folder.path(), full);
        assert!(kept.write_all(b"line\n").is_err());
    }
}
