//! The owner's two inboxes and the promises attached to them.
//!
//! Owns: that every request that its caller gives up becomes `Abandoned` ([`Pending`]) and that every operation gets
//! exactly one completion ([`Ticket`]), whatever happens to the task that carries it. Must not: know what an event means.
//! Driven by: `serve` (asks), `run` and `host` (complete), `owner` (receives).

use ipam::effect::Answer;
use ipam::event::{Event, OpId, Outcome, Request, RequestId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Makes both inboxes; at most `capacity` requests wait to be seen by the owner.
pub fn inbox(capacity: usize) -> (Inbox, Events, Requests) {
    let (event_sender, events) = mpsc::unbounded_channel();
    let (arrival_sender, arrivals) = mpsc::channel(capacity);
    let sender = Events(event_sender);
    let requests = Requests {
        events: sender.clone(),
        arrivals: arrival_sender,
        next: Arc::new(AtomicU64::new(1)),
    };
    (Inbox { events, arrivals }, sender, requests)
}

/// The owner's side.
pub struct Inbox {
    /// Completions, abandonments, observations. Unbounded in type; bounded by the operations and requests in flight.
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    /// Requests in order of arrival.
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
}

/// A request on its way to the owner.
pub(crate) struct Arrival {
    pub(crate) id: RequestId,
    pub(crate) request: Request,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// Where completions and observations go. Sending never waits and never fails; after the owner's end it is void.
#[derive(Clone)]
pub struct Events(mpsc::UnboundedSender<Event>);

impl Events {
    /// Tells the owner.
    pub fn send(&self, event: Event) {
        // The owner is gone only when the process ends, and then nobody needs the event.
        let _ = self.0.send(event);
    }

    /// The promise of exactly one completion of `op`.
    pub fn ticket(&self, op: OpId) -> Ticket {
        Ticket {
            op,
            events: self.clone(),
            open: true,
        }
    }
}

/// Where requests go.
#[derive(Clone)]
pub struct Requests {
    events: Events,
    arrivals: mpsc::Sender<Arrival>,
    next: Arc<AtomicU64>,
}

/// A request that the owner did not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Too many requests wait to be seen.
    #[error("{waiting} requests wait to be seen by the node task")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// The owner has ended.
    #[error("the node task has ended")]
    Ended,
}

impl Requests {
    /// Hands a request to the owner without waiting.
    pub fn ask(&self, request: Request) -> Result<Pending, AskError> {
        let id = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let (answer, receiver) = oneshot::channel();
        self.arrivals
            .try_send(Arrival {
                id,
                request,
                answer,
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => AskError::Busy {
                    waiting: self.arrivals.max_capacity(),
                },
                mpsc::error::TrySendError::Closed(_) => AskError::Ended,
            })?;
        Ok(Pending {
            answer: receiver,
            guard: Guard {
                id,
                events: self.events.clone(),
                armed: true,
            },
        })
    }
}

/// A request that was handed over. Dropping it before the answer was taken tells the owner `Abandoned`.
pub struct Pending {
    answer: oneshot::Receiver<Answer>,
    guard: Guard,
}

impl Pending {
    /// Waits for the answer; `None` when the owner ended without one.
    pub async fn answer(mut self) -> Option<Answer> {
        let answer = (&mut self.answer).await.ok();
        self.guard.armed = false;
        answer
    }
}

struct Guard {
    id: RequestId,
    events: Events,
    armed: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.armed {
            self.events.send(Event::Abandoned(self.id));
        }
    }
}

/// The promise of one completion: dropping it unused means that the outcome is unknown.
pub struct Ticket {
    op: OpId,
    events: Events,
    open: bool,
}

impl Ticket {
    /// Completes the operation.
    pub fn done(mut self, outcome: Outcome) {
        self.open = false;
        self.events.send(Event::Done(self.op, outcome));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            self.events.send(Event::Done(self.op, Outcome::Unknown));
        }
    }
}

#[cfg(test)]
mod tests;
