//! The file behind the path: how it is opened safely, whether the path still leads to it, a line into it.
//! Must not: decide when it is full.
//!
//! A log is written by root into a folder that others may be able to write: a link is not followed, a block device is not
//! written, a pipe that nobody reads is not waited for. Mode 0600 in a folder of 0755, as upstream's.

use crate::lock::Lock;
use nix::fcntl::OFlag;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, symlink_metadata};
use std::io::{self, Error, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// What can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file: it is locked, turned over and made again.
    Regular,
    /// A pipe or a character device: lines go into it, and are lost when it takes none.
    Stream,
}

#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) kind: Kind,
    identity: (u64, u64),
}

impl Opened {
    /// Opens or makes the file and its folder; never waits.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(folder)?;
        }
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(flags.bits())
            .open(path)?;
        let metadata = file.metadata()?;
        let class = metadata.file_type();
        let kind = if class.is_file() {
            Kind::Regular
        } else if class.is_fifo() || class.is_char_device() {
            Kind::Stream
        } else {
            let what = "it is neither a file nor a pipe nor a character device";
            return Err(Error::new(ErrorKind::InvalidInput, what));
        };
        Ok(Self {
            file,
            kind,
            identity: identity(&metadata),
        })
    }

    /// Whether the path still leads here: it doesn't after another process has turned the file over, or somebody deleted it.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        symlink_metadata(path).is_ok_and(|found| identity(&found) == self.identity)
    }

    pub(crate) fn size(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    pub(crate) fn empty(&self) -> io::Result<()> {
        self.file.set_len(0)
    }

    /// Writes the line; what a full disk took of it is taken back, as long as nobody else has written behind it.
    pub(crate) fn write(&self, line: &[u8], lock: Lock) -> io::Result<()> {
        let before = self.size()?;
        let mut written = 0;
        while written < line.len() {
            match (&self.file).write(&line[written..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) => return self.undo(before, written, lock, ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) => return self.undo(before, written, lock, error),
            }
        }
        Ok(())
    }

    fn undo(&self, before: u64, written: usize, lock: Lock, error: Error) -> io::Result<()> {
        let torn = lock == Lock::Taken && written > 0;
        if torn && self.size()? == before + written as u64 {
            self.file.set_len(before)?;
        }
        Err(error)
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
