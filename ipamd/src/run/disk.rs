//! Makes our files durable: one thread per file, so that a slow disk never stops the runtime.
//!
//! Owns: which content goes to which path. Must not: retry, merge or reorder (the machine has one write per file in
//! flight). Driven by: `run`; formats and atomicity are `ledger`'s.

use crate::inbox::Ticket;
use ipam::effect::{File, FileContent};
use ipam::event::Outcome;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

type Order = (Ticket, FileContent);

/// The threads that write.
pub struct Runner {
    checkpoint: mpsc::Sender<Order>,
    journal: mpsc::Sender<Order>,
}

impl Runner {
    /// Starts one thread per file; they end with the runner.
    pub fn spawn(checkpoint: &Path, journal: &Path) -> io::Result<Self> {
        Ok(Self {
            checkpoint: writer("checkpoint", checkpoint)?,
            journal: writer("journal", journal)?,
        })
    }

    pub(crate) fn start(&self, ticket: Ticket, content: FileContent) {
        let writer = match content.file() {
            File::Checkpoint => &self.checkpoint,
            File::Journal => &self.journal,
        };
        // A writer that is gone drops the ticket, which completes the operation as unknown.
        let _ = writer.send((ticket, content));
    }
}

fn writer(name: &str, path: &Path) -> io::Result<mpsc::Sender<Order>> {
    let (sender, orders) = mpsc::channel::<Order>();
    let path = PathBuf::from(path);
    std::thread::Builder::new()
        .name(format!("write-{name}"))
        .spawn(move || {
            while let Ok((ticket, content)) = orders.recv() {
                ticket.done(Outcome::Written(write(&path, &content)));
            }
        })?;
    Ok(sender)
}

fn write(path: &Path, content: &FileContent) -> Result<(), String> {
    let bytes = match content {
        FileContent::Checkpoint(checkpoint) => ledger::checkpoint::encode(checkpoint),
        FileContent::Journal(intents) => ledger::intents::encode(intents),
    };
    ledger::file::write(path, &bytes).map_err(|error| crate::restore::with_causes(&error))
}

#[cfg(test)]
mod tests;
