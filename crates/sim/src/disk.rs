//! The daemon's files: what is durable, what is being written, and what a kill or reboot leaves.
//!
//! Content is kept as values, and becomes bytes and values again (the production codecs) when a new process reads it:
//! writes are a hundred times as frequent as reads. What is read must be what was written.
//! Must not: understand more of the content than the codecs do. Driven by: `world`.

use crate::random::Random;
use ipam::effect::{File, FileContent};
use ipam::event::OpId;
use model::allocation::Checkpoint;
use model::intent::Intent;
use std::collections::BTreeMap;

/// Both files.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// `None`: there is no such file.
    checkpoint: Option<Checkpoint>,
    journal: Option<Vec<Intent>>,
    /// What an absent checkpoint says.
    nothing: Checkpoint,
    writing: BTreeMap<File, (OpId, FileContent)>,
}

/// Where writes stood at a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Torn {
    /// Renamed before the process died.
    BecameDurable,
    /// The old content stayed.
    WasLost,
}

impl Disk {
    /// A write began; the content becomes durable at [`Disk::finish`].
    pub fn begin(&mut self, op: OpId, content: FileContent) {
        self.writing.insert(content.file(), (op, content));
    }

    /// A write ended well.
    pub fn finish(&mut self, file: File) {
        if let Some((_, content)) = self.writing.remove(&file) {
            self.replace(content);
        }
    }

    /// A write ended with an error: the old content stays.
    pub fn fail(&mut self, file: File) {
        self.writing.remove(&file);
    }

    /// The process was killed: each write in flight has happened or has not.
    pub fn crash(&mut self, random: &mut Random) -> Vec<Torn> {
        let mut torn = Vec::new();
        for (_, content) in std::mem::take(&mut self.writing).into_values() {
            if random.chance(500) {
                self.replace(content);
                torn.push(Torn::BecameDurable);
            } else {
                torn.push(Torn::WasLost);
            }
        }
        torn
    }

    /// The node rebooted: the files were on tmpfs.
    pub fn wipe(&mut self) {
        *self = Self::default();
    }

    /// What a new process reads. An error text when that is not what was written.
    pub fn read(&self) -> Result<(Option<Checkpoint>, Vec<Intent>), String> {
        let checkpoint = self.checkpoint.as_ref().map(read_checkpoint).transpose()?;
        let journal = self.journal.as_deref().map(read_journal).transpose()?;
        Ok((checkpoint, journal.unwrap_or_default()))
    }

    /// The durable checkpoint; empty when there is none.
    pub fn checkpoint(&self) -> &Checkpoint {
        self.checkpoint.as_ref().unwrap_or(&self.nothing)
    }

    /// The durable journal.
    pub fn journal(&self) -> &[Intent] {
        self.journal.as_deref().unwrap_or_default()
    }

    fn replace(&mut self, content: FileContent) {
        match content {
            FileContent::Checkpoint(checkpoint) => self.checkpoint = Some(checkpoint),
            FileContent::Journal(journal) => self.journal = Some(journal),
        }
    }
}

fn read_checkpoint(written: &Checkpoint) -> Result<Checkpoint, String> {
    let bytes = ledger::checkpoint::encode(written);
    let read = ledger::checkpoint::decode(&bytes)
        .map_err(|error| format!("a checkpoint written by the node cannot be read: {error}"))?;
    if read == *written {
        Ok(read)
    } else {
        Err(format!(
            "the checkpoint is read as {read:?}, but was written as {written:?}"
        ))
    }
}

fn read_journal(written: &[Intent]) -> Result<Vec<Intent>, String> {
    let bytes = ledger::intents::encode(written);
    let read = ledger::intents::decode(&bytes)
        .map_err(|error| format!("a journal written by the node cannot be read: {error}"))?;
    if read == written {
        Ok(read)
    } else {
        Err(format!(
            "the journal is read as {read:?}, but was written as {written:?}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::allocation::{BootId, Extension};

    fn content(boot: &str) -> FileContent {
        let extension = Extension {
            boot_id: BootId(boot.into()),
            cooling: vec![],
        };
        FileContent::Checkpoint(Checkpoint {
            allocations: vec![],
            extension: Some(extension),
        })
    }

    fn boot(disk: &Disk) -> Option<String> {
        disk.read()
            .unwrap()
            .0
            .and_then(|checkpoint| checkpoint.extension)
            .map(|extension| extension.boot_id.0)
    }

    #[test]
    fn content_is_durable_when_the_write_ended_and_not_before() {
        let mut disk = Disk::default();
        disk.begin(OpId(1), content("one"));
        assert_eq!(boot(&disk), None);
        disk.finish(File::Checkpoint);
        assert_eq!(boot(&disk).as_deref(), Some("one"));
        disk.begin(OpId(2), content("two"));
        disk.fail(File::Checkpoint);
        assert_eq!(boot(&disk).as_deref(), Some("one"));
    }

    #[test]
    fn a_kill_leaves_the_old_or_the_new_content() {
        let mut seen = std::collections::BTreeSet::new();
        let mut random = Random::new(1, "crash");
        for _ in 0..50 {
            let mut disk = Disk::default();
            disk.begin(OpId(1), content("old"));
            disk.finish(File::Checkpoint);
            disk.begin(OpId(2), content("new"));
            disk.crash(&mut random);
            seen.insert(boot(&disk).unwrap());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["new", "old"]);
    }
}
