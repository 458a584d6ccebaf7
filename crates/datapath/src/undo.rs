//! The inverse of changes that were made. Pure. Must not: undo what was already so before.

use crate::diff::Change;

/// The changes that take back `done`, last first.
pub fn inverse(done: &[Change]) -> Vec<Change> {
    done.iter().rev().map(invert).collect()
}

fn invert(change: &Change) -> Change {
    match change.clone() {
        Change::Set { link, from, to } => Change::Set {
            link,
            from: to,
            to: from,
        },
        Change::Add(object)
        | Change::Replace {
            old: None,
            new: object,
        } => Change::Remove(object),
        Change::Replace {
            old: Some(old),
            new,
        } => Change::Replace {
            old: Some(new),
            new: old,
        },
        Change::Remove(object) => Change::Add(object),
    }
}
