//! Who cannot be helped: refusal before the deadline. Part of [`Node`].
//!
//! Must not: plan calls (it only asks whether one could help in time), or word the reason (`why` does).

use crate::event::RequestId;
use crate::node::{Node, Out};
use model::call::Action;
use model::error::CallError;
use model::time::Instant;
use pool::address::AddressState;
use pool::eni::EniState;
use pool::grow::Growth;
use std::net::Ipv4Addr;

impl Node {
    /// Refuses at once whoever cannot get an address before the deadline.
    pub(crate) fn refuse_hopeless(
        &mut self,
        empty_handed: Vec<(RequestId, Instant)>,
        out: &mut Out<'_>,
    ) {
        if !self.is_serving() || empty_handed.is_empty() {
            return;
        }
        let now = out.boot();
        let demand = self.demand(empty_handed.len());
        let reach = pool::grow::Reach::of(&self.pool, &demand, now);
        let growth_from = self.growth_from(now);
        let mut ahead = 0;
        for (id, deadline) in empty_handed {
            let reachable = if growth_from.is_some_and(|from| from < deadline) {
                reach.until(deadline)
            } else {
                self.on_the_way(deadline, now)
            };
            if ahead < reachable + self.released_by(deadline) {
                ahead += 1;
            } else if let Some(waiter) = self.requests.stop_waiting(id) {
                let reason = self.hopeless_reason(&waiter, now);
                self.refuse(id, &waiter, reason, out);
            }
        }
    }

    /// Addresses held by allocations whose link is missing: how many will have been swept and have cooled by then.
    fn released_by(&self, deadline: Instant) -> u32 {
        let cooldown = self.pool.limits().cooldown;
        let asked = Instant(deadline.0.saturating_sub(Instant(0).after(cooldown).0));
        let held = |address: &Ipv4Addr| {
            let place = self.pool.state_of(*address);
            place.is_some_and(|(_, state)| state == AddressState::Held)
        };
        let coming = self.sweep.released_by(asked).filter(held).count();
        u32::try_from(coming).unwrap_or(u32::MAX)
    }

    /// From when on calls that add addresses may be sent; `None`: never.
    fn growth_from(&self, now: Instant) -> Option<Instant> {
        self.settings.provisioning.then(|| {
            self.growth_block(now)
                .map_or(Instant(0), |(_, until, _)| until)
        })
    }

    /// The back-off that keeps the pool from growing now.
    pub(crate) fn growth_block(&self, now: Instant) -> Option<(Action, Instant, CallError)> {
        if self.budget.blocks_nothing(now) {
            return None;
        }
        self.growth_trouble(now, &|action| self.budget.blocked(action, now))
    }

    /// Whether what is missing is more than the ENIs there are can take.
    pub(crate) fn needs_create(&self, now: Instant) -> bool {
        // Step by step, and the first step fills an ENI.
        if self.pace.is_careful(now) {
            return false;
        }
        let targets = &self.settings.targets;
        let demand = self.demand(self.empty_handed().len());
        pool::grow::plan_growth(&self.pool, targets, &demand, &|_| false, now)
            .iter()
            .any(|step| matches!(step, Growth::Create { .. }))
    }

    /// Addresses that come before the deadline though no new call is made.
    fn on_the_way(&self, deadline: Instant, now: Instant) -> u32 {
        let incoming: u32 = self.pool.enis().map(|eni| eni.incoming).sum();
        let creating: u32 = self.lifecycle.creating().iter().sum();
        let coming: usize = self
            .pool
            .enis()
            .filter(|eni| eni.managed && eni.state == EniState::Coming)
            .map(|eni| {
                self.pool
                    .addresses(&eni.id)
                    .filter(|(_, state)| **state == pool::address::AddressState::Free)
                    .count()
            })
            .sum();
        let cooling = self
            .pool
            .cooling(now)
            .iter()
            .filter(|cooling| cooling.until < deadline)
            // One whose ENI is not known, or leaves, can be given to nobody.
            .filter(|cooling| {
                let place = self.pool.state_of(cooling.address);
                let eni = place.and_then(|(eni, _)| self.pool.eni(&eni));
                eni.is_some_and(|eni| eni.managed && eni.state != EniState::Leaving)
            })
            .count();
        incoming + creating + u32::try_from(coming + cooling).unwrap_or(u32::MAX)
    }
}
