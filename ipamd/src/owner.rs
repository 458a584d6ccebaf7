//! The one task that owns the node's state: inboxes → `Node::handle` → runners.
//!
//! Owns: the machine, and who waits for which answer. Must not: do I/O, await anything but its two inboxes and the
//! machine's deadline, decide anything. Driven by: `app`.

use crate::clock;
use crate::inbox::{Arrival, Inbox};
use crate::run::Runners;
use ipam::effect::{Answer, Effect};
use ipam::event::{Event, Request, RequestId};
use ipam::node::Node;
use ipam::view::Health;
use model::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// What the rest of the process may know about the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Whether start-up has finished.
    pub serving: bool,
    /// What start-up waits for; none when it has finished, or will never because the process was told to stop.
    pub waiting_for: Option<String>,
    /// What the first address for pods waits for; none once the node has had one.
    pub lacks_address: Option<String>,
    /// When the owner last turned.
    pub turned: Instant,
}

/// The owner of the node's state.
pub struct Owner {
    node: Node,
    inbox: Inbox,
    runners: Runners,
    callers: BTreeMap<RequestId, oneshot::Sender<Answer>>,
    progress: watch::Sender<Progress>,
    stopping: bool,
}

impl Owner {
    /// Connects the machine with its inboxes and its hands.
    pub fn new(node: Node, inbox: Inbox, runners: Runners) -> (Self, watch::Receiver<Progress>) {
        let (progress, receiver) = watch::channel(Progress {
            serving: false,
            waiting_for: None,
            lacks_address: Some("start-up".to_owned()),
            turned: clock::boot(),
        });
        (
            Self {
                node,
                inbox,
                runners,
                callers: BTreeMap::new(),
                progress,
                stopping: false,
            },
            receiver,
        )
    }

    /// Runs until the process is told to stop and everybody who waited has an answer.
    pub async fn run(mut self) {
        let mut effects = Vec::new();
        self.node.start(clock::now(), &mut effects);
        self.carry_out(effects);
        self.publish();
        while !(self.stopping && self.callers.is_empty()) {
            let wake = self.until_deadline();
            tokio::select! {
                biased;
                Some(event) = self.inbox.events.recv() => self.turn(event),
                Some(arrival) = self.inbox.arrivals.recv() => self.receive(arrival),
                () = tokio::time::sleep(wake) => self.turn(Event::Timer),
            }
        }
    }

    /// How long the machine can be left alone; without a deadline an hour, after which a superfluous timer is harmless.
    fn until_deadline(&self) -> Duration {
        const IDLE: Duration = Duration::from_secs(3600);
        self.node
            .deadline()
            .map_or(IDLE, |deadline| deadline.since(clock::boot()).min(IDLE))
    }

    /// A caller that left before it was seen: its ADD never was, its DEL is a fact all the same.
    fn receive(&mut self, arrival: Arrival) {
        let Arrival {
            id,
            request,
            answer,
        } = arrival;
        let gone = answer.is_closed();
        if gone && matches!(request, Request::Add { .. }) {
            return;
        }
        self.callers.insert(id, answer);
        self.turn(Event::Request(id, request));
        if gone {
            self.turn(Event::Abandoned(id));
        }
    }

    fn turn(&mut self, event: Event) {
        match &event {
            Event::Shutdown => self.stopping = true,
            Event::Abandoned(id) => drop(self.callers.remove(id)),
            _ => {}
        }
        let mut effects = Vec::new();
        self.node.handle(clock::now(), event, &mut effects);
        self.carry_out(effects);
        self.publish();
    }

    fn publish(&self) {
        // Asked no more when there was one: it would be counted at each turn.
        let had_one = self.progress.borrow().lacks_address.is_none();
        let progress = Progress {
            serving: self.node.is_serving(),
            waiting_for: match self.node.health() {
                Health::Waiting(what) => Some(what),
                Health::Serving | Health::Stopping => None,
            },
            lacks_address: if had_one {
                None
            } else {
                self.node.lacks_address(clock::boot())
            },
            turned: clock::boot(),
        };
        self.progress.send_replace(progress);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                // A caller that is gone by now has told so, or is about to: its guard sends `Abandoned`.
                Effect::Reply(id, answer) => {
                    if let Some(caller) = self.callers.remove(&id) {
                        let _ = caller.send(answer);
                    }
                }
                effect => self.runners.start(effect),
            }
        }
    }
}

#[cfg(test)]
mod tests;
