//! Requests: arrival, answers, abandonment, refusal. Part of [`Node`].
//!
//! Must not: send anything to EC2. An answer leaves only when the checkpoint says the same.

use crate::effect::{Answer, Effect, File};
use crate::event::{Request, RequestId};
use crate::node::{Node, Out};
use crate::notice::Notice;
use crate::requests::{Granted, Verb, Waiter};
use model::pod::{PodKey, PodName};
use model::reason::Reason;
use model::time::Instant;
use pool::address::AddressState;
use pool::eni::EniState;
use pool::inventory::Grant;
use std::net::Ipv4Addr;

impl Node {
    pub(crate) fn arrive(&mut self, id: RequestId, request: Request, out: &mut Out<'_>) {
        match request {
            Request::Add { key, pod, deadline } => self.arrive_add(
                id,
                Waiter {
                    key,
                    pod,
                    since: out.boot(),
                    deadline,
                },
                out,
            ),
            Request::Del { key, deadline } => self.arrive_del(id, &key, deadline, out),
        }
    }

    fn arrive_add(&mut self, id: RequestId, waiter: Waiter, out: &mut Out<'_>) {
        if self.stopping {
            return self.refuse(id, &waiter, Reason::Stopping, out);
        }
        if self.requests.is_fenced(&waiter.key, id) {
            return self.refuse(id, &waiter, Reason::Deleted, out);
        }
        self.requests.wait(id, waiter.clone());
        self.supersede(&waiter, out);
    }

    /// Of the waiting sandboxes of one pod only the one that arrived last goes on waiting.
    fn supersede(&mut self, waiter: &Waiter, out: &mut Out<'_>) {
        let mut rivals = self.requests.other_sandboxes(&waiter.key, &waiter.pod);
        if rivals.is_empty() {
            return;
        }
        rivals.extend(self.requests.waiting_for(&waiter.key));
        let newest = rivals.iter().max().copied();
        let Some(container) = newest.and_then(|id| self.requests.waiting_container(id)) else {
            return;
        };
        for id in rivals {
            if self.requests.waiting_container(id).as_ref() == Some(&container) {
                continue;
            }
            if let Some(superseded) = self.requests.stop_waiting(id) {
                let container = container.clone();
                self.refuse(id, &superseded, Reason::Superseded { container }, out);
            }
        }
    }

    /// DEL ends every earlier ADD of its key, then releases what the key holds. Of an ADD that arrived later and was seen
    /// before nothing is taken.
    fn arrive_del(&mut self, id: RequestId, key: &PodKey, deadline: Instant, out: &mut Out<'_>) {
        self.requests.fence(key, id);
        let is_earlier = |other: &RequestId| *other < id;
        for waiting in self
            .requests
            .waiting_for(key)
            .into_iter()
            .filter(is_earlier)
        {
            if let Some(waiter) = self.requests.stop_waiting(waiting) {
                self.refuse(waiting, &waiter, Reason::Deleted, out);
            }
        }
        let overtaken = self.requests.was_asked_after(key, id);
        for granted in self
            .requests
            .granted_adds(key)
            .into_iter()
            .filter(is_earlier)
        {
            self.take_back(granted, Reason::Deleted, out);
        }
        let released = if overtaken {
            None
        } else {
            self.pool.release(out.boot(), key)
        };
        if let Some(grant) = &released {
            self.requests.forget(&grant.key);
            self.commit.touch(File::Checkpoint);
            out.note(Notice::Deleted {
                key: grant.key.clone(),
                address: grant.address,
            });
        }
        let answer = del_answer(released.clone());
        let pod = PodName::default();
        self.requests.grant(
            id,
            Granted {
                key: key.clone(),
                pod,
                since: out.boot(),
                deadline,
                verb: Verb::Del,
                released,
            },
        );
        self.emit_after(Effect::Reply(id, answer), out);
    }

    /// The caller is gone: nobody is answered, and an address that nobody was told of becomes free at once.
    pub(crate) fn abandon(&mut self, id: RequestId, out: &mut Out<'_>) {
        if let Some(waiter) = self.requests.stop_waiting(id) {
            return self.note_abandoned(waiter, out);
        }
        if self.commit.revoke(id) {
            if let Some(granted) = self.requests.ungrant(id)
                && granted.verb == Verb::Add
            {
                self.give_back_unwanted(&granted.key);
                self.note_abandoned(granted.into(), out);
            }
        } else if let Some(key) = self.requests.untell(id) {
            // The answer left, but its caller was gone before it took it.
            self.give_back_unwanted(&key);
        }
    }

    fn note_abandoned(&self, waiter: Waiter, out: &mut Out<'_>) {
        out.note(Notice::Abandoned {
            waited: out.boot().since(waiter.since),
            key: waiter.key,
            pod: waiter.pod,
            waiters: self.requests.waiters(),
        });
    }

    /// Tells of waiters that have been waiting for long, each once.
    pub(crate) fn tell_slow(&mut self, out: &mut Out<'_>) {
        for waiter in self.requests.newly_slow(out.boot()) {
            out.note(Notice::StillWaiting {
                waited: out.boot().since(waiter.since),
                reason: self.reason(&waiter, out.boot()),
                key: waiter.key,
                pod: waiter.pod,
            });
        }
    }

    fn give_back_unwanted(&mut self, key: &PodKey) {
        if self.requests.is_unwanted(key) && self.pool.give_back(key).is_some() {
            self.commit.touch(File::Checkpoint);
        }
    }

    /// Turns a held answer to an ADD into a refusal.
    fn take_back(&mut self, id: RequestId, reason: Reason, out: &mut Out<'_>) {
        if !self.commit.revoke(id) {
            return;
        }
        if let Some(granted) = self.requests.ungrant(id) {
            self.refuse(id, &granted.into(), reason, out);
        }
    }

    pub(crate) fn refuse(&self, id: RequestId, waiter: &Waiter, reason: Reason, out: &mut Out<'_>) {
        out.note(Notice::Refused {
            key: waiter.key.clone(),
            pod: waiter.pod.clone(),
            reason: reason.clone(),
        });
        out.effects.push(Effect::Reply(id, Answer::Refused(reason)));
    }

    /// The process was told to stop: waiters learn it at once, what is granted still becomes durable and leaves.
    pub(crate) fn stop(&mut self, out: &mut Out<'_>) {
        self.stopping = true;
        let waiting: Vec<_> = self.requests.waiting().map(|(id, _)| id).collect();
        for id in waiting {
            if let Some(waiter) = self.requests.stop_waiting(id) {
                self.refuse(id, &waiter, Reason::Stopping, out);
            }
        }
    }

    /// Gives addresses to waiters in order of arrival.
    pub(crate) fn serve(&mut self, out: &mut Out<'_>) {
        if !self.is_serving() {
            return;
        }
        let mut exhausted = false;
        let waiting: Vec<_> = self.requests.waiting().map(|(id, _)| id).collect();
        for id in waiting {
            let Some(waiter) = self.requests.waiter(id).cloned() else {
                continue;
            };
            let held = self.still_held(&waiter.key, out.boot());
            let fresh = held.is_none();
            let grant = match held {
                None if !exhausted => self.pool.assign(out.now, &waiter.key, &waiter.pod),
                held => held,
            };
            exhausted |= grant.is_none();
            // Held on an ENI that EC2 has not listed yet, or that the kernel is not ready for: the answer waits.
            let Some(grant) = grant.filter(|grant| self.is_usable(grant)) else {
                continue;
            };
            if fresh {
                self.commit.touch(File::Checkpoint);
            }
            let Some(waiter) = self.requests.stop_waiting(id) else {
                continue;
            };
            let Waiter {
                key,
                pod,
                since,
                deadline,
            } = waiter;
            self.requests.grant(
                id,
                Granted {
                    key,
                    pod,
                    since,
                    deadline,
                    verb: Verb::Add,
                    released: None,
                },
            );
            self.emit_after(Effect::Reply(id, Answer::Added(grant)), out);
        }
    }

    /// The address is no answer any more: ADDs whose answer with it is held back wait again.
    pub(crate) fn withhold(&mut self, address: Ipv4Addr) {
        let holders = self.pool.allocations();
        let Some(key) = holders
            .filter(|allocation| allocation.address == address)
            .map(|allocation| allocation.key.clone())
            .next()
        else {
            return;
        };
        for id in self.requests.granted_adds(&key) {
            if self.commit.revoke(id)
                && let Some(granted) = self.requests.ungrant(id)
            {
                self.requests.wait(id, granted.into());
            }
        }
    }

    /// What the key holds. An address that EC2 doesn't route here any more is no answer: it is let go.
    fn still_held(&mut self, key: &PodKey, now: Instant) -> Option<Grant> {
        let held = self.pool.holder(key)?;
        let lost = match self.pool.state_of(held.address) {
            Some((_, state)) => state == AddressState::Lost,
            None => self.truth.is_told_homeless(held.address),
        };
        if !lost {
            return Some(held);
        }
        self.pool.release(now, key);
        self.requests.forget(key);
        self.commit.touch(File::Checkpoint);
        None
    }

    fn is_usable(&self, grant: &Grant) -> bool {
        let eni = grant.eni.as_ref().and_then(|eni| self.pool.eni(eni));
        eni.is_some_and(|eni| eni.state == EniState::Usable)
    }

    /// Lets an answer leave when the checkpoint is durable.
    fn emit_after(&mut self, effect: Effect, out: &mut Out<'_>) {
        let mut released = Vec::new();
        self.commit.after(File::Checkpoint, effect, &mut released);
        for effect in released {
            self.emit(effect, out);
        }
    }

    /// An effect that was held back leaves now.
    pub(crate) fn emit(&mut self, effect: Effect, out: &mut Out<'_>) {
        // Told to stop while the announcement was being written: the next process finds it and asks what came of it.
        if self.stopping && matches!(&effect, Effect::Call(_, call, _) if call.mutating()) {
            return;
        }
        if let Effect::Reply(id, answer) = &effect {
            let granted = self.requests.ungrant(*id);
            if let (Answer::Added(grant), Some(granted)) = (answer, granted) {
                self.requests.tell(*id, granted.key.clone(), out.boot());
                out.note(added(grant, &granted, out.boot()));
            }
        }
        out.effects.push(effect);
    }

    /// Answers whoever's deadline has come: waiters with the reason, held ADDs with the write error, held DELs with
    /// success all the same (the worst case is a leak that the sweep ends).
    pub(crate) fn expire(&mut self, out: &mut Out<'_>) {
        let (waiting, granted) = self.requests.expired(out.boot());
        for id in waiting {
            if let Some(waiter) = self.requests.stop_waiting(id) {
                let reason = self.reason(&waiter, out.boot());
                self.refuse(id, &waiter, reason, out);
            }
        }
        for id in granted {
            let Some(granted) = self.requests.ungrant(id) else {
                continue;
            };
            self.commit.revoke(id);
            match granted.verb {
                Verb::Del => out
                    .effects
                    .push(Effect::Reply(id, del_answer(granted.released))),
                Verb::Add => {
                    let waiter = Waiter::from(granted);
                    let text = self
                        .commit
                        .error(File::Checkpoint)
                        .unwrap_or("the write has not finished in time")
                        .to_owned();
                    self.refuse(id, &waiter, Reason::CheckpointNotWritable { text }, out);
                    self.give_back_unwanted(&waiter.key);
                }
            }
        }
    }
}

fn del_answer(released: Option<Grant>) -> Answer {
    released.map_or(Answer::UnknownPod, Answer::Deleted)
}

fn added(grant: &Grant, granted: &Granted, now: Instant) -> Notice {
    Notice::Added {
        key: granted.key.clone(),
        pod: granted.pod.clone(),
        address: grant.address,
        eni: grant.eni.clone(),
        waited: now.since(granted.since),
    }
}
