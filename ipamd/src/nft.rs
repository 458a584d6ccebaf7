//! Our table of the packet filter, through the program `nft`: compared before it is written, written as one transaction.
//!
//! Owns: when `nft` is run. Other tables are never read or changed. Must not: decide what is in the table (`datapath::nat`
//! does) or when to try again (`host` does). Driven by: `host::kernel`, on a thread that may block.

mod json;
mod listing;
mod program;

use datapath::nat::ruleset::Ruleset;
use datapath::{nat, observe};
use listing::Listing;
use program::Program;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Why the table could not be compared or written. ADDs are served all the same.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// There is no such program.
    #[error("nft is not installed: looked for {}", list(.0))]
    Missing(Vec<PathBuf>),
    /// It could not be started or fed.
    #[error("run nft: {0}")]
    Start(std::io::Error),
    /// It was killed.
    #[error("nft {what} did not end within {} s", .within.as_secs())]
    Deadline {
        /// Its arguments.
        what: String,
        /// The limit.
        within: Duration,
    },
    /// It, or the kernel, said no.
    #[error("nft {what}: {said}")]
    Failed {
        /// Its arguments.
        what: String,
        /// The first line of what it said.
        said: String,
    },
    /// It said something that is no JSON.
    #[error("nft {what} said what cannot be read: {source}")]
    Unreadable {
        /// Its arguments.
        what: String,
        /// Cause.
        source: serde_json::Error,
    },
}

/// The table of this process's network namespace.
#[derive(Debug)]
pub struct Nft {
    program: Program,
    known: Mutex<Option<Known>>,
}

/// The table when it was last seen as it should be.
#[derive(Debug)]
struct Known {
    desired: Ruleset,
    /// Of the whole ruleset, when that could be learned: nobody has changed anything since if it is the same.
    generation: Option<u32>,
    /// As `nft` showed it: another version may show the same rules in other words than we write them.
    shown: Option<Listing>,
}

impl Default for Nft {
    fn default() -> Self {
        Self {
            program: Program::of_the_system(),
            known: Mutex::default(),
        }
    }
}

impl Nft {
    /// Makes the table what is desired; whether it had to be written.
    pub fn ensure(&self, desired: &Ruleset) -> Result<bool, NftError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = observe::ruleset_generation().ok();
        let wanted = Listing::wanted(desired);
        let last = known.take().filter(|last| last.desired == *desired);
        let untouched = |last: &Known| generation.is_some() && last.generation == generation;
        if last.as_ref().is_some_and(untouched) {
            *known = last;
            return Ok(false);
        }
        let shown = self.list()?;
        if shown == wanted || last.is_some_and(|last| last.shown == shown) {
            tracing::debug!(
                table = nat::TABLE,
                "table of the packet filter is as desired"
            );
            *known = Some(Known {
                desired: desired.clone(),
                generation,
                shown,
            });
            return Ok(false);
        }
        self.write(desired, shown.is_some())?;
        *known = self.settled(desired, generation)?;
        Ok(true)
    }

    /// What the table looks like after it was written; nothing when somebody else may have changed it since. The number
    /// is asked for before the table is, so that a change in between has another number and is found at the next look.
    fn settled(&self, desired: &Ruleset, before: Option<u32>) -> Result<Option<Known>, NftError> {
        let generation = observe::ruleset_generation().ok();
        let shown = self.list()?;
        let ours = before.map(|before| before.wrapping_add(1));
        // What is shown in other words is what we wrote only if nobody wrote before we had seen it.
        let alone =
            ours.is_some() && ours == generation && ours == observe::ruleset_generation().ok();
        if shown == Listing::wanted(desired) || alone {
            return Ok(Some(Known {
                desired: desired.clone(),
                generation,
                shown,
            }));
        }
        Ok(None)
    }

    fn write(&self, desired: &Ruleset, there: bool) -> Result<(), NftError> {
        tracing::debug!(
            table = nat::TABLE,
            chains = desired.chains.len(),
            there,
            "table of the packet filter is written"
        );
        let transaction = json::transaction(desired);
        self.program
            .run(&["-j", "-f", "-"], transaction.to_string())
            .map(drop)
    }

    /// The table; none when there is none. Asked for by name only when it is there, so that no message of `nft` has to be
    /// understood.
    fn list(&self) -> Result<Option<Listing>, NftError> {
        let tables = self.ask(&["-j", "list", "tables", "ip"])?;
        if !listing::has_table(&tables) {
            return Ok(None);
        }
        let table = self.ask(&["-j", "list", "table", "ip", nat::TABLE])?;
        Ok(Some(Listing::of(&table)))
    }

    fn ask(&self, arguments: &[&str]) -> Result<Value, NftError> {
        let said = self.program.run(arguments, String::new())?;
        serde_json::from_str(&said).map_err(|source| NftError::Unreadable {
            what: arguments.join(" "),
            source,
        })
    }
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}
