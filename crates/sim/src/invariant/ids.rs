//! P5: an operation's number is never used again by the same process, and a completion that the node doesn't expect
//! makes it do nothing.

use super::{Check, Invariant, violated};
use ipam::effect::Effect;
use ipam::event::OpId;
use std::collections::BTreeSet;

/// The numbers of one process.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    issued: BTreeSet<OpId>,
}

impl Ids {
    /// An operation begins.
    pub fn issued(&mut self, op: OpId) -> Check {
        if self.issued.insert(op) {
            return Ok(());
        }
        violated(
            Invariant::Ids,
            format!("operation number {} is used again", op.0),
        )
    }

    /// After a completion that had been delivered before.
    pub fn check_ignored(op: OpId, effects: &[Effect]) -> Check {
        match effects
            .iter()
            .find(|effect| !matches!(effect, Effect::Note(_)))
        {
            Some(effect) => violated(
                Invariant::Ids,
                format!(
                    "the second completion of operation {} causes {effect:?}",
                    op.0
                ),
            ),
            None => Ok(()),
        }
    }
}
