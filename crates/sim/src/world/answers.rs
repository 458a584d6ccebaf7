//! Answers as they leave the machine: judged, recorded as what a caller was told, and sent to the caller.
//! Must not: decide what the caller does with it (`world::pods`).

use super::{Happening, World};
use crate::invariant::managed::{Node, Told as ToldAs};
use crate::invariant::reply::Open;
use crate::invariant::{self, Check, Invariant, durable, violated};
use crate::runtime::{Told, Verb};
use ipam::effect::Answer;
use ipam::event::RequestId;
use model::pod::PodKey;
use model::reason::Reason;
use model::time::{Duration, Instant};
use std::net::Ipv4Addr;

impl World<'_> {
    pub(super) fn reply(&mut self, request: RequestId, answer: Answer) -> Check {
        let now = self.on_boot_clock(self.now);
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        let open = daemon.replies.replied(now, request)?;
        let asker = self.runtime.asker(request);
        let told = match (&answer, open.is_add) {
            (Answer::Added(grant), true) => {
                let as_told = ToldAs {
                    address: grant.address,
                    eni: grant.eni.as_ref(),
                    index: grant.index,
                    table: grant.table,
                };
                self.checked.count(&[
                    Invariant::Distinct,
                    Invariant::Cooled,
                    Invariant::Managed,
                    Invariant::Durable,
                    Invariant::Owned,
                ]);
                self.check_added(&open, &as_told)?;
                self.reach_added(&open, grant.address, now);
                if asker.is_some() {
                    self.oracle.told(self.now, &open.key, grant.address);
                }
                Told::Address(grant.address)
            }
            (Answer::Deleted(grant), false) => {
                self.reached.mark("DEL of a pod with an address");
                self.check_deleted(&open, Some(grant.address))?;
                Told::Success
            }
            (Answer::UnknownPod, false) => {
                self.reached.mark("DEL of an unknown pod");
                self.check_deleted(&open, None)?;
                Told::Success
            }
            (Answer::Refused(Reason::Stopping), _) => Told::Unavailable,
            (Answer::Refused(_), true) => {
                self.reached.mark("ADD refused");
                Told::Refused
            }
            (
                Answer::Added(_) | Answer::Deleted(_) | Answer::UnknownPod | Answer::Refused(_),
                _,
            ) => {
                let verb = if open.is_add { "an ADD" } else { "a DEL" };
                return violated(
                    Invariant::Reply,
                    format!("{verb} of {} is answered {answer:?}", open.key),
                );
            }
        };
        if let Some(client) = asker.and_then(|id| self.runtime.clients.get_mut(&id)) {
            client.travelling = Some(told);
        }
        if let Some(id) = asker {
            // Rare enough not to starve anybody, often enough that the race between answer and death is met.
            if open.is_add && self.strikes(self.plan.faults.client_death, 15) {
                self.after(Duration::ZERO, Happening::Dies(id));
            }
            self.soon((0, 3), Happening::Answered(id));
        }
        Ok(())
    }

    fn check_added(&self, open: &Open, told: &ToldAs<'_>) -> Check {
        let address = told.address;
        let node = Node {
            instance: &self.instance,
            settings: &self.settings,
        };
        invariant::distinct::check_told(&self.oracle, &open.key, address)?;
        invariant::cooled::check_told(&self.oracle, self.now, &open.key, address)?;
        // Nobody may know yet that people took it; it may even be somebody else's by now.
        let unknown = invariant::owned::is_unknown(&self.oracle, self.now, address);
        if !unknown {
            invariant::managed::check_told(&self.vpc, &node, told)?;
        }
        durable::check_added(self.disk.checkpoint(), open, address)?;
        if unknown {
            return Ok(());
        }
        invariant::owned::check_told(&self.vpc, &self.instance, &self.links(), address)
    }

    fn check_deleted(&self, open: &Open, address: Option<Ipv4Addr>) -> Check {
        let Some(daemon) = &self.daemon else {
            return Ok(());
        };
        let now = self.on_boot_clock(self.now);
        let deleted = durable::Deleted {
            address,
            now,
            cooldown: self.settings.cooldown,
        };
        durable::check_deleted(self.disk.checkpoint(), open, &deleted, &daemon.replies)
    }

    fn reach_added(&mut self, open: &Open, address: Ipv4Addr, now: Instant) {
        self.reached.mark("ADD answered with an address");
        if now.since(open.arrived) > Duration::from_secs(1) {
            self.reached
                .mark("ADD answered after waiting longer than a second");
        }
        if self.oracle.was_used(address) {
            self.reached.mark("address given again after its cooldown");
        }
    }

    /// Whether an attachment's ADD is under way or done, as its callers see it.
    pub(super) fn is_living(&self, key: &PodKey) -> bool {
        let adding = self
            .runtime
            .clients
            .values()
            .any(|client| client.key == *key && client.verb == Verb::Add);
        adding
            || self
                .runtime
                .pods
                .iter()
                .any(|pod| pod.sandbox.as_ref() == Some(key))
    }
}
