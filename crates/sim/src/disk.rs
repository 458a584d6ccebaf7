//! The daemon's files as bytes: what is durable, what is being written, and what a kill or reboot leaves.
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
    files: BTreeMap<File, Vec<u8>>,
    writing: BTreeMap<File, (OpId, Vec<u8>)>,
    /// Decoded once per write: the invariants look at every reply and call.
    checkpoint: Checkpoint,
    journal: Vec<Intent>,
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
    /// A write began; the bytes become durable at [`Disk::finish`].
    pub fn begin(&mut self, op: OpId, content: &FileContent) {
        self.writing.insert(content.file(), (op, encode(content)));
    }

    /// A write ended well. An error text when the codec does not read back what it wrote.
    pub fn finish(&mut self, file: File) -> Result<(), String> {
        let Some((_, bytes)) = self.writing.remove(&file) else {
            return Ok(());
        };
        self.replace(file, bytes)
    }

    /// A write ended with an error: the old content stays.
    pub fn fail(&mut self, file: File) {
        self.writing.remove(&file);
    }

    /// The process was killed: each write in flight has happened or has not.
    pub fn crash(&mut self, random: &mut Random) -> Result<Vec<Torn>, String> {
        let mut torn = Vec::new();
        for (file, (_, bytes)) in std::mem::take(&mut self.writing) {
            if random.chance(500) {
                self.replace(file, bytes)?;
                torn.push(Torn::BecameDurable);
            } else {
                torn.push(Torn::WasLost);
            }
        }
        Ok(torn)
    }

    /// The node rebooted: the files were on tmpfs.
    pub fn wipe(&mut self) {
        *self = Self::default();
    }

    /// What a new process reads.
    pub fn read(&self) -> Result<(Option<Checkpoint>, Vec<Intent>), String> {
        let checkpoint = self
            .files
            .get(&File::Checkpoint)
            .map(|bytes| decode_checkpoint(bytes))
            .transpose()?;
        let journal = self
            .files
            .get(&File::Journal)
            .map(|bytes| decode_journal(bytes))
            .transpose()?;
        Ok((checkpoint, journal.unwrap_or_default()))
    }

    /// The durable checkpoint; empty when there is none.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The durable journal.
    pub fn journal(&self) -> &[Intent] {
        &self.journal
    }

    fn replace(&mut self, file: File, bytes: Vec<u8>) -> Result<(), String> {
        match file {
            File::Checkpoint => self.checkpoint = decode_checkpoint(&bytes)?,
            File::Journal => self.journal = decode_journal(&bytes)?,
        }
        self.files.insert(file, bytes);
        Ok(())
    }
}

fn encode(content: &FileContent) -> Vec<u8> {
    match content {
        FileContent::Checkpoint(checkpoint) => ledger::checkpoint::encode(checkpoint),
        FileContent::Journal(journal) => ledger::intents::encode(journal),
    }
}

fn decode_checkpoint(bytes: &[u8]) -> Result<Checkpoint, String> {
    ledger::checkpoint::decode(bytes)
        .map_err(|error| format!("a checkpoint written by the node cannot be read: {error}"))
}

fn decode_journal(bytes: &[u8]) -> Result<Vec<Intent>, String> {
    ledger::intents::decode(bytes)
        .map_err(|error| format!("a journal written by the node cannot be read: {error}"))
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
        disk.begin(OpId(1), &content("one"));
        assert_eq!(boot(&disk), None);
        disk.finish(File::Checkpoint).unwrap();
        assert_eq!(boot(&disk).as_deref(), Some("one"));
        disk.begin(OpId(2), &content("two"));
        disk.fail(File::Checkpoint);
        assert_eq!(boot(&disk).as_deref(), Some("one"));
    }

    #[test]
    fn a_kill_leaves_the_old_or_the_new_content() {
        let mut seen = std::collections::BTreeSet::new();
        let mut random = Random::new(1, "crash");
        for _ in 0..50 {
            let mut disk = Disk::default();
            disk.begin(OpId(1), &content("old"));
            disk.finish(File::Checkpoint).unwrap();
            disk.begin(OpId(2), &content("new"));
            disk.crash(&mut random).unwrap();
            seen.insert(boot(&disk).unwrap());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["new", "old"]);
    }
}
