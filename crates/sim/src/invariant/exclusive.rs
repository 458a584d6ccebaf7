//! P4: at most one mutating call per ENI, one write per file and 64 operations in flight.

use super::{Check, Invariant, violated};
use ipam::effect::File;
use ipam::event::OpId;
use model::call::Call;
use model::id::EniId;
use std::collections::BTreeMap;

/// The owner's inbox for completions is sized by this.
const BOUND: usize = 64;

/// The operations in flight of one process.
#[derive(Debug, Clone, Default)]
pub struct InFlight {
    operations: BTreeMap<OpId, Subject>,
}

/// What an operation works on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Eni(EniId),
    File(File),
    Metadata,
    Other,
}

impl InFlight {
    /// A call leaves.
    pub fn called(&mut self, op: OpId, call: &Call) -> Check {
        self.begin(
            op,
            call.eni()
                .map_or(Subject::Other, |eni| Subject::Eni(eni.clone())),
        )
    }

    /// A write begins.
    pub fn writes(&mut self, op: OpId, file: File) -> Check {
        self.begin(op, Subject::File(file))
    }

    /// An IMDS read begins.
    pub fn reads(&mut self, op: OpId) -> Check {
        self.begin(op, Subject::Metadata)
    }

    /// The node was told the outcome.
    pub fn ended(&mut self, op: OpId) {
        self.operations.remove(&op);
    }

    /// How many are in flight, reads of IMDS aside: they are a habit.
    pub fn count(&self) -> usize {
        let habit = |subject: &&Subject| **subject != Subject::Metadata;
        self.operations.values().filter(habit).count()
    }

    fn begin(&mut self, op: OpId, subject: Subject) -> Check {
        let other = self
            .operations
            .iter()
            .find(|(_, busy)| subject != Subject::Other && **busy == subject);
        if let Some((other, _)) = other {
            return violated(
                Invariant::Exclusive,
                format!(
                    "operation {} on {subject:?} while {} is in flight",
                    op.0, other.0
                ),
            );
        }
        self.operations.insert(op, subject);
        if self.operations.len() > BOUND {
            return violated(
                Invariant::Exclusive,
                format!("{} operations are in flight", self.operations.len()),
            );
        }
        Ok(())
    }
}
