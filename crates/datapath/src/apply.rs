//! Changes → one batch → what really changed. Must not: order, skip or undo changes; that is for `diff` and callers.
//! Driven by: `pod`, `eni` and `host`.

use netlink::{Refusal, Socket};
use nix::errno::Errno;

use crate::diff::Change;
use crate::encode;
use crate::error::ApplyError;
use crate::value::Object;

/// The changes that were made; empty when everything was so already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(Vec<Change>);

impl Changes {
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each one says in its `Display` what was done.
    pub fn iter(&self) -> std::slice::Iter<'_, Change> {
        self.0.iter()
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }
}

/// The first refusal, and what was (or after a failure of the wire, may have been) done all the same.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ApplyError,
    pub(crate) done: Vec<Change>,
}

impl From<Failure> for ApplyError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// Carries `changes` out in order. The kernel goes on after a refusal, so later changes may be done nevertheless.
pub(crate) fn apply(socket: &mut Socket, changes: &[Change]) -> Result<Changes, Failure> {
    let requests: Vec<_> = changes.iter().map(encode::change).collect();
    let responses = match socket.batch(&requests) {
        Ok(responses) => responses,
        Err(source) => {
            let attempt = format!("make {} changes to the network", changes.len());
            return Err(Failure {
                error: ApplyError::Wire { attempt, source },
                done: changes.to_vec(),
            });
        }
    };
    let outcomes = responses.into_iter().map(|response| response.outcome);
    judge(changes, outcomes)
}

fn judge(
    changes: &[Change],
    outcomes: impl Iterator<Item = Result<(), Refusal>>,
) -> Result<Changes, Failure> {
    let mut done = Vec::new();
    let mut first = None;
    for (change, outcome) in changes.iter().zip(outcomes) {
        match outcome {
            Ok(()) => done.push(change.clone()),
            Err(refusal) if is_so_already(change, &refusal) => {}
            Err(refusal) => {
                first.get_or_insert(ApplyError::Refused {
                    attempt: change.to_string(),
                    refusal,
                });
            }
        }
    }
    match first {
        None => Ok(Changes(done)),
        Some(error) => Err(Failure { error, done }),
    }
}

/// True for refusals that mean the wanted state is there. An existing route or neighbour entry does not: only its key
/// is the same.
fn is_so_already(change: &Change, refusal: &Refusal) -> bool {
    match change {
        Change::Add(Object::Rule(_) | Object::Address(_)) => refusal.errno == Errno::EEXIST,
        Change::Remove(object) => is_absent(object, refusal),
        Change::Set { .. } | Change::Add(_) | Change::Replace { .. } => false,
    }
}

/// True for refusals that mean there is nothing to remove; a link that is gone took its objects along.
pub(crate) fn is_absent(object: &Object, refusal: &Refusal) -> bool {
    let absent = match object {
        Object::Address(_) => Errno::EADDRNOTAVAIL,
        Object::Route(_) => Errno::ESRCH,
        Object::Neighbour(_) | Object::Rule(_) => Errno::ENOENT,
    };
    refusal.errno == absent
        || (refusal.errno == Errno::ENODEV && !matches!(object, Object::Rule(_)))
}

#[cfg(test)]
mod tests {
    use model::card::RouteTable;

    use super::*;
    use crate::layout::{everything, host};
    use crate::value::{Protocol, Route, Rule, Scope};

    fn rule(last: u8) -> Object {
        let from = Some(host([10, 0, 1, last].into()));
        Object::Rule(Rule {
            priority: 1536,
            from,
            to: None,
            mark: None,
            table: RouteTable(2),
        })
    }

    fn default_route() -> Object {
        Object::Route(Route {
            table: RouteTable::MAIN,
            destination: everything(),
            gateway: None,
            link: Some(2),
            scope: Scope::Link,
            source: None,
            metric: 0,
            protocol: Protocol::BOOT,
        })
    }

    fn refused(errno: Errno) -> Result<(), Refusal> {
        Err(Refusal { errno, text: None })
    }

    #[test]
    fn what_was_so_already_is_neither_a_change_nor_an_error() {
        let changes = [
            Change::Add(rule(1)),
            Change::Add(rule(2)),
            Change::Remove(rule(3)),
            Change::Remove(default_route()),
        ];
        let outcomes = [
            refused(Errno::EEXIST),
            Ok(()),
            refused(Errno::ENOENT),
            refused(Errno::ESRCH),
        ];
        let made = judge(&changes, outcomes.into_iter()).unwrap();
        assert_eq!(made, Changes(vec![Change::Add(rule(2))]));
    }

    #[test]
    fn a_failure_names_the_first_refusal_and_everything_done_around_it() {
        let changes = [
            Change::Add(rule(1)),
            Change::Add(default_route()),
            Change::Add(rule(2)),
        ];
        let failure = judge(
            &changes,
            [Ok(()), refused(Errno::ENETDOWN), Ok(())].into_iter(),
        )
        .unwrap_err();
        assert_eq!(
            failure.error.to_string(),
            "add route default dev #2 scope link"
        );
        assert_eq!(failure.done, [Change::Add(rule(1)), Change::Add(rule(2))]);
    }

    #[test]
    fn another_route_to_the_same_place_is_not_the_wanted_one() {
        let changes = [Change::Add(default_route())];
        assert!(judge(&changes, [refused(Errno::EEXIST)].into_iter()).is_err());
    }
}
