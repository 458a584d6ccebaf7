//! P3: when a mutating call leaves, the durable journal has an intent with the very same call.

use super::{Check, Invariant, violated};
use model::call::Call;
use model::intent::Intent;

/// At every call.
pub fn check_call(journal: &[Intent], call: &Call) -> Check {
    if !call.mutating() || journal.iter().any(|intent| intent.call == *call) {
        return Ok(());
    }
    violated(
        Invariant::Announced,
        format!(
            "{call} leaves, but the durable journal of {} intents has no such call",
            journal.len()
        ),
    )
}
