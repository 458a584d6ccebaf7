//! Who cannot be helped, and why: refusal before the deadline and the reason at it. Part of [`Node`].
//!
//! Must not: plan calls; it only asks whether one could help in time.

use crate::effect::File;
use crate::node::{Node, Out};
use crate::requests::Waiter;
use model::call::Action;
use model::error::{CallError, Class};
use model::reason::Reason;
use model::time::Instant;
use pool::eni::EniState;

impl Node {
    /// Refuses at once whoever cannot get an address before the deadline.
    pub(crate) fn refuse_hopeless(&mut self, out: &mut Out<'_>) {
        if !self.is_serving() || self.requests.waiters() == 0 {
            return;
        }
        let now = out.boot();
        let demand = self.demand();
        let waiters: Vec<_> = self
            .requests
            .waiting()
            .filter(|(_, waiter)| !self.pool.holds(&waiter.key))
            .map(|(id, waiter)| (id, waiter.deadline))
            .collect();
        let mut ahead = 0;
        for (id, deadline) in waiters {
            let reachable = if self.growth_can_come(deadline, now) {
                pool::grow::reachable(&self.pool, &demand, now, deadline)
            } else {
                self.on_the_way(deadline, now)
            };
            if ahead < reachable {
                ahead += 1;
            } else if let Some(waiter) = self.requests.stop_waiting(id) {
                let reason = self.hopeless_reason(now);
                self.refuse(id, &waiter, reason, out);
            }
        }
    }

    /// Why no address can come in time: a back-off that outlasts the deadline, or the limit of the node.
    fn hopeless_reason(&self, now: Instant) -> Reason {
        if let Some((action, until, error)) = self.growth_block(now) {
            return self.blocked_reason(action, &error, until.since(now).as_secs().max(1));
        }
        let stats = self.pool.stats(now);
        if !self.settings.provisioning {
            return Reason::ProvisioningOff {
                total: stats.total,
                held: stats.held,
                cooling: stats.cooling,
            };
        }
        if let Some(reason) = self.limits_reason(now) {
            return reason;
        }
        let limits = self.pool.limits();
        let unmanaged =
            u32::try_from(self.pool.enis().filter(|eni| !eni.managed).count()).unwrap_or(u32::MAX);
        let limit =
            (limits.max_enis.saturating_sub(unmanaged) * limits.slots_per_eni).min(limits.max_pods);
        Reason::NodeLimit {
            limit,
            held: stats.held,
            cooling: stats.cooling,
        }
    }

    /// Whether a call that adds addresses may be sent before the deadline.
    fn growth_can_come(&self, deadline: Instant, now: Instant) -> bool {
        self.settings.provisioning
            && self
                .growth_block(now)
                .is_none_or(|(_, until, _)| until < deadline)
    }

    /// The back-off that keeps the pool from growing: that of the only action that could still add addresses, or the
    /// earlier of both.
    fn growth_block(&self, now: Instant) -> Option<(Action, Instant, CallError)> {
        let can_fill = self.pool.enis().any(|eni| {
            let slots = self.pool.limits().slots_per_eni as usize;
            eni.managed
                && eni.state != EniState::Leaving
                && self.pool.addresses(&eni.id).count() < slots
        });
        let can_create = pool::room::enis_left(&self.pool, self.lifecycle.creations.len()) > 0;
        let block = |action| {
            let blocked = self.budget.blocked(action, now)?;
            Some((action, blocked.until, blocked.error.clone()))
        };
        let fill = block(Action::AssignPrivateIpAddresses);
        let create = [
            block(Action::CreateNetworkInterface),
            block(Action::AttachNetworkInterface),
        ]
        .into_iter()
        .flatten()
        .max_by_key(|(_, until, _)| *until);
        match (can_fill, can_create) {
            (true, false) => fill,
            (false, true) => create,
            (true, true) => Some(
                fill.zip(create)
                    .map(|(fill, create)| if fill.1 <= create.1 { fill } else { create })?,
            ),
            (false, false) => None,
        }
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
            .count();
        incoming + creating + u32::try_from(coming + cooling).unwrap_or(u32::MAX)
    }

    /// Why this request has no address.
    pub(crate) fn reason(&self, waiter: &Waiter, now: Instant) -> Reason {
        if let Some(boot) = &self.boot {
            return Reason::NotReady {
                what: boot.waiting_for.clone(),
            };
        }
        if let Some((action, until, error)) = self.growth_block(now) {
            let retry_secs = until.since(now).as_secs().max(1);
            return self.blocked_reason(action, &error, retry_secs);
        }
        if self.world.groups.is_empty() {
            return Reason::NotReady {
                what: "the security groups of the primary ENI".into(),
            };
        }
        if let Some(eni) = self
            .pool
            .enis()
            .find(|eni| eni.managed && eni.state == EniState::Coming)
        {
            return Reason::Attaching {
                eni: eni.id.clone(),
            };
        }
        let pending = match (self.commit.error(File::Journal), self.ops.calls().next()) {
            (Some(error), _) => {
                format!("EC2 is asked for nothing until the journal can be written: {error}")
            }
            (None, Some(call)) => format!("EC2 was asked to {call}"),
            (None, None) => format!("{} addresses are cooling", self.pool.stats(now).cooling),
        };
        Reason::Deadline {
            waited_secs: now.since(waiter.since).as_secs(),
            pending,
        }
    }

    pub(crate) fn blocked_reason(
        &self,
        action: Action,
        error: &CallError,
        retry_secs: u64,
    ) -> Reason {
        let refusal = match error {
            CallError::Unknown(text) => {
                return Reason::Unreachable {
                    action,
                    text: text.clone(),
                    retry_secs,
                };
            }
            CallError::Refused(refusal) => refusal,
        };
        let subnet = self
            .world
            .metadata
            .as_ref()
            .map(|metadata| metadata.subnet.clone());
        match (refusal.class, subnet) {
            (Class::Throttled, _) => Reason::Throttled { action, retry_secs },
            (Class::Denied, _) => Reason::Denied { action, retry_secs },
            (Class::SubnetFull | Class::SubnetFragmented, Some(subnet)) => {
                Reason::SubnetFull { subnet, retry_secs }
            }
            _ => Reason::Refused {
                action,
                text: refusal.to_string(),
                retry_secs,
            },
        }
    }
}
