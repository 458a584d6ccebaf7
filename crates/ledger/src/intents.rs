//! The intent journal's text: one JSON object with a version and the announced calls, each in full. Must not: touch a
//! file, decide which intents still matter. Driven by: `ipamd` and the simulator.
//!
//! Nothing of upstream's reads this file. A journal that cannot be read is set aside by the caller; what it knew is
//! found again by the tags that each create call sends.

use model::intent::Intent;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The version this code writes and reads.
pub const VERSION: &str = "vpc-cni-intents/1";

/// Why a journal cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not the JSON that [`encode`] writes; says where.
    #[error("journal is not readable: {0}")]
    Syntax(String),
    /// Another version.
    #[error("journal has version {found:?}, want {VERSION:?}")]
    Version {
        /// What the file says.
        found: String,
    },
    /// Two intents have one number.
    #[error("journal has two intents with number {0}")]
    DuplicateNumber(u64),
    /// The call of an intent changes nothing, so it was never announced.
    #[error("journal's intent {number} is to {call}, which changes nothing")]
    NotMutating {
        /// Number of the intent.
        number: u64,
        /// Its call, for people.
        call: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Journal<'a> {
    version: Cow<'a, str>,
    intents: Cow<'a, [Intent]>,
}

/// Read before the intents, whose form depends on the version.
#[derive(Deserialize)]
struct Version {
    version: String,
}

/// The file's content: one JSON object and a newline. Intents keep their order.
pub fn encode(intents: &[Intent]) -> Vec<u8> {
    let journal = Journal {
        version: VERSION.into(),
        intents: intents.into(),
    };
    let mut bytes =
        serde_json::to_vec(&journal).expect("a call is made of strings, integers and addresses");
    bytes.push(b'\n');
    bytes
}

/// Reads what [`encode`] wrote.
pub fn decode(bytes: &[u8]) -> Result<Vec<Intent>, DecodeError> {
    let syntax = |error: serde_json::Error| DecodeError::Syntax(error.to_string());
    let Version { version } = serde_json::from_slice(bytes).map_err(syntax)?;
    if version != VERSION {
        return Err(DecodeError::Version {
            found: version.chars().take(80).collect(),
        });
    }
    let journal: Journal<'_> = serde_json::from_slice(bytes).map_err(syntax)?;
    let mut numbers = BTreeSet::new();
    for Intent { number, call } in journal.intents.iter() {
        if !numbers.insert(*number) {
            return Err(DecodeError::DuplicateNumber(*number));
        }
        if !call.mutating() {
            return Err(DecodeError::NotMutating {
                number: *number,
                call: call.to_string(),
            });
        }
    }
    Ok(journal.intents.into_owned())
}

#[cfg(test)]
mod tests;
