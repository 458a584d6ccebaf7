//! An ENI on its way in: what the ends of create, attach and delete-on-termination mean. Part of [`Node`].
//!
//! Whatever cannot be finished is undone, so that no ENI is left behind. Must not: decide that one is wanted (`plan` does).

use crate::budget::backoff;
use crate::lifecycle::{Process, Step};
use crate::node::{Node, Out};
use crate::notice::Notice;
use crate::outcome::{Outcome, is_young};
use crate::refresh::ORPHAN_VISIBLE;
use model::call::{Action, Reply};
use model::card::{DeviceIndex, NetworkCard};
use model::eni::EniRecord;
use model::error::{CallError, Class};
use model::id::{ClientToken, EniId};
use model::time::{Duration, Instant};
use pool::address::AddressState;

impl Node {
    pub(crate) fn created(&mut self, token: &ClientToken, result: Outcome, out: &mut Out<'_>) {
        let now = out.boot();
        match result {
            Ok(Reply::Created(record)) => {
                self.lifecycle.creations.remove(token);
                self.take_created(&record, out);
            }
            Err(CallError::Refused(refusal)) => {
                let asked = self
                    .lifecycle
                    .creations
                    .remove(token)
                    .map_or(0, |creation| creation.call.secondary_addresses);
                if refusal.class == Class::SubnetFull {
                    self.halve_request(Action::CreateNetworkInterface, asked, now);
                }
            }
            Ok(_) | Err(CallError::Unknown(_)) => {
                if let Some(creation) = self.lifecycle.creations.get_mut(token) {
                    let delay = backoff(
                        Duration::from_secs(1),
                        Duration::from_secs(15),
                        creation.failures,
                    );
                    creation.failures += 1;
                    creation.retry_at = Some(now.after(delay));
                }
                // Even if a later try is refused, this one may be carried out.
                self.pace.orphans_by(now.after(ORPHAN_VISIBLE));
            }
        }
    }

    /// An ENI that a create made, now or (for a repeated token) some time ago, even attached by now.
    fn take_created(&mut self, record: &EniRecord, out: &mut Out<'_>) {
        let now = out.boot();
        if self.lifecycle.enis.contains_key(&record.id) {
            return;
        }
        if record.attachment.is_some() {
            return self.adopt(record, now, out);
        }
        let index = self.lifecycle.free_index(None).unwrap_or(DeviceIndex(1));
        let mut process = Process::new(Step::Attach, index);
        process.subnet = Some(record.subnet.clone());
        process.created = Some(now);
        self.lifecycle.enis.insert(record.id.clone(), process);
        self.insert(record, index, NetworkCard(0), now);
        for known in &record.addresses {
            self.displace(&record.id, known.address, out);
        }
        self.compare_addresses(record, now, out);
    }

    pub(crate) fn attached(&mut self, eni: &EniId, result: Outcome, out: &mut Out<'_>) {
        let now = out.boot();
        match result {
            Ok(Reply::Attached(attachment)) => {
                if let Some(process) = self.lifecycle.enis.get_mut(eni) {
                    process.attachment = Some(attachment.clone());
                }
                self.progress(eni, Step::Protect(attachment));
            }
            Err(CallError::Refused(refusal)) if refusal.class == Class::InUse => {
                // Either the index is taken or the ENI is attached already: a look tells; then the next index is tried.
                self.put_off(eni, now);
                self.look(eni, now);
                self.next_index(eni);
            }
            Err(CallError::Refused(refusal)) if self.is_final(eni, refusal.class, now) => {
                // Never attached: it must not stay behind, and the next one would meet the same refusal.
                let error = CallError::Refused(refusal);
                let action = Action::CreateNetworkInterface;
                let retry = self.budget.failed(action, now, &error, &mut self.random);
                out.note(Notice::BackingOff { action, retry });
                self.dismiss(eni);
            }
            Err(CallError::Refused(_)) => self.put_off(eni, now),
            Ok(_) | Err(CallError::Unknown(_)) => {
                self.put_off(eni, now);
                self.look(eni, now);
            }
        }
    }

    /// While EC2 attaches no more ENIs, those that wait for it would meet the same refusal, and ADDs would wait for their
    /// addresses instead of others.
    pub(crate) fn dismiss_unattachable(&mut self, now: Instant) {
        let blocked = self.budget.blocked(Action::AttachNetworkInterface, now);
        let is_full = |error: &CallError| matches!(error, CallError::Refused(refusal) if refusal.class == Class::EniLimit);
        if !blocked.is_some_and(|blocked| is_full(&blocked.error)) {
            return;
        }
        let waits = |process: &Process| process.step == Step::Attach && process.look_at.is_none();
        // A pod that holds an address of one got it elsewhere and lost it: EC2 gave it to this ENI since.
        let rests = |eni: &EniId| {
            let mut states = self.pool.addresses(eni).map(|(_, state)| *state);
            states.any(|state| state != AddressState::Held && !state.is_assignable(now))
        };
        let waiting = self
            .lifecycle
            .enis
            .iter()
            .filter(|(eni, process)| waits(process) && !self.is_busy(eni) && !rests(eni));
        let waiting: Vec<_> = waiting.map(|(eni, _)| eni.clone()).collect();
        for eni in waiting {
            self.dismiss(&eni);
        }
    }

    fn next_index(&mut self, eni: &EniId) {
        let current = self.lifecycle.enis.get(eni).map(|process| process.index);
        let Some(index) = self.lifecycle.free_index(current) else {
            return;
        };
        if let Some(process) = self.lifecycle.enis.get_mut(eni) {
            process.index = index;
        }
        if let Some(record) = self.pool.eni_mut(eni) {
            record.index = index;
        }
    }

    /// Whether waiting cannot cure the refusal of a call for an ENI that no pod uses yet.
    fn is_final(&self, eni: &EniId, class: Class, now: Instant) -> bool {
        let Some(process) = self.lifecycle.enis.get(eni) else {
            return false;
        };
        let invisible = class == Class::NotFound && is_young(process, now);
        !class.is_retryable() && !invisible && !self.is_wanted(eni)
    }

    pub(crate) fn protected(&mut self, eni: &EniId, result: Outcome, now: Instant) {
        let made_here = self
            .lifecycle
            .enis
            .get(eni)
            .is_some_and(|process| process.created.is_some());
        match result {
            Ok(_) => self.progress(eni, Step::Ready),
            Err(CallError::Refused(refusal)) if refusal.class == Class::NotFound => {
                self.put_off(eni, now);
                self.look(eni, now);
            }
            Err(CallError::Refused(refusal))
                if self.is_final(eni, refusal.class, now) && made_here =>
            {
                self.dismiss(eni)
            }
            // An ENI that was found, perhaps with pods: it serves without the attribute.
            Err(CallError::Refused(refusal)) if !refusal.class.is_retryable() => {
                self.progress(eni, Step::Ready)
            }
            Err(_) => self.put_off(eni, now),
        }
    }
}
