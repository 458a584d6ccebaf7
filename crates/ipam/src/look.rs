//! EC2 tells where one ENI stands, after a call of unknown outcome or one left by an earlier process. Part of [`Node`].
//!
//! Must not: guess: without an answer the ENI takes no call.

use crate::effect::File;
use crate::lifecycle::Step;
use crate::node::{Node, Out};
use crate::observe::Departure;
use crate::outcome::Outcome;
use model::call::Reply;
use model::card::NetworkCard;
use model::eni::{EniRecord, EniStatus};
use model::error::{CallError, Class};
use model::id::EniId;
use model::time::Instant;

impl Node {
    /// EC2 told where an ENI stands after a call of unknown outcome (or one left by an earlier process).
    pub(crate) fn looked(
        &mut self,
        eni: &EniId,
        began: Instant,
        result: Outcome,
        out: &mut Out<'_>,
    ) {
        let now = out.boot();
        let record = match result {
            Ok(Reply::Interfaces(records)) => records.into_iter().find(|record| record.id == *eni),
            Err(CallError::Refused(refusal)) if refusal.class == Class::NotFound => None,
            Ok(_) | Err(_) => return self.put_off(eni, now),
        };
        let Some(record) = record else {
            return self.not_seen(eni, now, out);
        };
        if !self.lifecycle.enis.contains_key(eni) {
            return;
        }
        self.set_incoming(eni, 0);
        if self.intents.forget_eni(eni) {
            self.commit.touch(File::Journal);
        }
        let ours = self
            .world
            .metadata
            .as_ref()
            .map(|metadata| metadata.instance.clone());
        match record.attachment.clone() {
            Some(attachment) if Some(&attachment.instance) == ours.as_ref() => {
                self.place(eni, &record, attachment)
            }
            Some(_) => return self.depart(eni, Departure::ByOthers, out),
            None => self.place_unattached(eni),
        }
        self.take_looked(eni, &record, began, out);
    }

    fn place(&mut self, eni: &EniId, record: &EniRecord, attachment: model::eni::Attachment) {
        let Some(process) = self.lifecycle.enis.get_mut(eni) else {
            return;
        };
        process.look_at = None;
        process.attachment = Some(attachment.id.clone());
        process.index = attachment.index;
        process.subnet = Some(record.subnet.clone());
        if let Some(known) = self.pool.eni_mut(eni) {
            known.index = attachment.index;
        }
        let protect = if attachment.delete_on_termination {
            Step::Ready
        } else {
            Step::Protect(attachment.id.clone())
        };
        process.step = match &process.step {
            Step::Attach | Step::Protect(_) => protect,
            Step::Delete if record.status == EniStatus::Detaching => Step::Delete,
            Step::Delete | Step::Detach(_) => Step::Detach(attachment.id),
            Step::Ready => Step::Ready,
        };
    }

    fn place_unattached(&mut self, eni: &EniId) {
        let Some(process) = self.lifecycle.enis.get_mut(eni) else {
            return;
        };
        (process.look_at, process.attachment) = (None, None);
        process.step = match &process.step {
            Step::Attach => Step::Attach,
            // Attached once and not any more: somebody took it off, or is about to.
            Step::Protect(_) | Step::Detach(_) | Step::Delete => Step::Delete,
            Step::Ready => Step::Ready,
        };
    }

    fn take_looked(&mut self, eni: &EniId, record: &EniRecord, began: Instant, out: &mut Out<'_>) {
        let Some(process) = self.lifecycle.enis.get_mut(eni) else {
            return;
        };
        process.subnet = Some(record.subnet.clone());
        let (index, leaving) = (process.index, process.is_leaving());
        if self.pool.eni(eni).is_none() && !leaving {
            self.insert(record, index, NetworkCard(0), out.boot());
        }
        if leaving {
            self.set_leaving(eni);
        } else {
            self.compare_addresses(record, began, out);
        }
    }

    /// EC2 doesn't know the ENI: a young one may be invisible; otherwise, without a link, it is gone.
    fn not_seen(&mut self, eni: &EniId, now: Instant, out: &mut Out<'_>) {
        self.put_off(eni, now);
        let patience = self
            .lifecycle
            .enis
            .get(eni)
            .is_some_and(|process| process.failures < 9);
        let linked = self.pool.eni(eni).is_some_and(|record| {
            self.links
                .as_ref()
                .is_none_or(|links| links.macs.contains(&record.mac))
        });
        if !patience && !linked {
            self.depart(eni, Departure::ByOthers, out);
        }
    }
}
