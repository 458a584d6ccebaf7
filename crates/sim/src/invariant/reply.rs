//! P1: every request is answered exactly once, by its deadline, and not after its abandonment was reported.

use super::{Check, Invariant, violated};
use ipam::event::{Request, RequestId};
use model::pod::PodKey;
use model::time::{Duration, Instant};
use std::collections::BTreeMap;

/// The timer of a deadline is delivered at the deadline; this is room for nothing but rounding.
const SLACK: Duration = Duration::from_millis(5);

/// The requests of one process.
#[derive(Debug, Clone, Default)]
pub struct Replies {
    open: BTreeMap<RequestId, Open>,
}

/// A request that was not answered.
#[derive(Debug, Clone)]
pub struct Open {
    /// For whom.
    pub key: PodKey,
    /// An ADD, not a DEL.
    pub is_add: bool,
    /// When it came.
    pub arrived: Instant,
    /// When its answer is due; never before it came.
    pub deadline: Instant,
}

impl Replies {
    /// The node was given a request.
    pub fn arrived(&mut self, now: Instant, id: RequestId, request: &Request) {
        let (key, deadline, is_add) = match request {
            Request::Add { key, deadline, .. } => (key, *deadline, true),
            Request::Del { key, deadline } => (key, *deadline, false),
        };
        self.open.insert(
            id,
            Open {
                key: key.clone(),
                is_add,
                arrived: now,
                deadline: deadline.max(now),
            },
        );
    }

    /// The node was told that nobody waits for the answer.
    pub fn abandoned(&mut self, id: RequestId) {
        self.open.remove(&id);
    }

    /// The node answers. Returns the request.
    pub fn replied(&mut self, now: Instant, id: RequestId) -> Result<Open, (Invariant, String)> {
        let Some(open) = self.open.remove(&id) else {
            let text = format!(
                "request {} is answered, but was answered before, abandoned or never made",
                id.0
            );
            return Err((Invariant::Reply, text));
        };
        if now > open.deadline.after(SLACK) {
            let late = now.since(open.deadline).as_millis();
            return Err((
                Invariant::Reply,
                format!(
                    "request {} of {} is answered {late} ms late",
                    id.0, open.key
                ),
            ));
        }
        Ok(open)
    }

    /// At any time: nothing is overdue.
    pub fn check_overdue(&self, now: Instant) -> Check {
        match self
            .open
            .iter()
            .find(|(_, open)| now > open.deadline.after(SLACK))
        {
            Some((id, open)) => {
                let verb = if open.is_add { "ADD" } else { "DEL" };
                violated(
                    Invariant::Reply,
                    format!(
                        "{verb} request {} of {} was due at {} and is unanswered",
                        id.0, open.key, open.deadline
                    ),
                )
            }
            None => Ok(()),
        }
    }

    /// ADDs of this key without an answer.
    pub fn adds_of(&self, key: &PodKey) -> usize {
        self.open
            .values()
            .filter(|open| open.is_add && open.key == *key)
            .count()
    }

    /// When the answer to the ADD that waits shortest is due.
    pub fn first_add_due(&self) -> Option<Instant> {
        let adds = self.open.values().filter(|open| open.is_add);
        adds.map(|open| open.deadline).min()
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.len()
    }
}
