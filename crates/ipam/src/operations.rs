//! Operations in flight, by number. Must not: know what an outcome means (boot, lifecycle and truth do).

use crate::effect::File;
use crate::event::OpId;
use model::call::Call;
use model::id::EniId;
use model::time::Instant;
use std::collections::BTreeMap;

/// One operation in flight.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// A write of a file.
    Write(File),
    /// An EC2 request; `intent` for a mutation.
    Call {
        call: Call,
        intent: Option<u64>,
        began: Instant,
    },
    /// A read of the instance's metadata.
    Imds,
}

/// The operations in flight.
#[derive(Debug, Clone, Default)]
pub(crate) struct Operations {
    last: u64,
    open: BTreeMap<OpId, Operation>,
}

impl Operations {
    /// Gives the operation a number.
    pub(crate) fn start(&mut self, operation: Operation) -> OpId {
        self.last += 1;
        let op = OpId(self.last);
        self.open.insert(op, operation);
        op
    }

    /// Ends an operation; `None` when there is none of that number.
    pub(crate) fn end(&mut self, op: OpId) -> Option<Operation> {
        self.open.remove(&op)
    }

    /// Whether a call that changes the ENI is in flight.
    pub(crate) fn changes(&self, eni: &EniId) -> bool {
        self.calls().any(|call| call.eni() == Some(eni))
    }

    /// Whether a call that satisfies the condition is in flight.
    pub(crate) fn any_call(&self, wanted: impl Fn(&Call) -> bool) -> bool {
        self.calls().any(wanted)
    }

    /// Whether the metadata is being read.
    pub(crate) fn reads_imds(&self) -> bool {
        self.open
            .values()
            .any(|operation| matches!(operation, Operation::Imds))
    }

    /// The EC2 calls in flight.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.open.values().filter_map(|operation| match operation {
            Operation::Call { call, .. } => Some(call),
            Operation::Write(_) | Operation::Imds => None,
        })
    }

    /// How many are in flight.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}
