//! Why an ADD gets no address, in words: object, limit, value, next attempt. Part of [`Node`].
//!
//! Must not: refuse anybody (`refuse` does) or change anything.

use crate::budget::Blocked;
use crate::effect::File;
use crate::lifecycle::Step;
use crate::node::Node;
use crate::requests::Waiter;
use model::call::Action;
use model::error::{CallError, Class};
use model::reason::Reason;
use model::time::Instant;
use pool::eni::{Eni, EniState};

impl Node {
    /// Why no address can come in time: a back-off or cooldowns that outlast the deadline, or the limit of the node.
    pub(crate) fn hopeless_reason(&self, waiter: &Waiter, now: Instant) -> Reason {
        if let Some((action, until, error)) = self.growth_block(now) {
            return self.blocked_reason(action, &error, seconds(until, now));
        }
        if let Some(reason) = self.cooling_reason(waiter.deadline, now) {
            return reason;
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
        Reason::NodeLimit {
            limit: self.limit(),
            held: stats.held,
            cooling: stats.cooling,
        }
    }

    /// Addresses that pods can have: what the ENIs that are ours to use can carry; without provisioning, what they do.
    fn limit(&self) -> u32 {
        if !self.settings.provisioning {
            return self
                .pool
                .enis()
                .filter(|eni| eni.managed)
                .fold(0, |sum, eni| {
                    sum + u32::try_from(self.pool.addresses(&eni.id).count()).unwrap_or(u32::MAX)
                });
        }
        let limits = self.pool.limits();
        let unmanaged =
            u32::try_from(self.pool.enis().filter(|eni| !eni.managed).count()).unwrap_or(u32::MAX);
        (limits.max_enis.saturating_sub(unmanaged) * limits.slots_per_eni).min(limits.max_pods)
    }

    /// The addresses whose cooldown outlasts a deadline, if there are any.
    fn cooling_reason(&self, deadline: Instant, now: Instant) -> Option<Reason> {
        let late: Vec<_> = self
            .pool
            .cooling(now)
            .into_iter()
            .filter(|cooling| cooling.until >= deadline)
            .filter(|cooling| self.pool.state_of(cooling.address).is_some())
            .map(|cooling| cooling.until)
            .collect();
        let first = late.iter().min()?;
        Some(Reason::Cooling {
            limit: self.limit(),
            held: self.pool.stats(now).held,
            cooling: u32::try_from(late.len()).unwrap_or(u32::MAX),
            first_secs: seconds(*first, now),
        })
    }

    /// What is wrong with the only action that could still add addresses, or with the one of both that is needed.
    pub(crate) fn growth_trouble<'a>(
        &self,
        now: Instant,
        trouble: &dyn Fn(Action) -> Option<&'a Blocked>,
    ) -> Option<(Action, Instant, CallError)> {
        let can_fill = self.pool.enis().any(|eni| {
            let slots = self.pool.limits().slots_per_eni as usize;
            eni.managed
                && eni.state != EniState::Leaving
                && self.pool.addresses(&eni.id).count() < slots
        });
        let creating = self.lifecycle.creations.len();
        let can_create = creating > 0 || pool::room::enis_left(&self.pool, creating) > 0;
        let of = |action| {
            let blocked = trouble(action)?;
            Some((action, blocked.until, blocked.error.clone()))
        };
        let fill = of(Action::AssignPrivateIpAddresses);
        // A refused attach keeps from creating too: then it is the attach that is named.
        let create = [
            of(Action::CreateNetworkInterface),
            of(Action::AttachNetworkInterface),
        ];
        let until = create.iter().flatten().map(|(_, until, _)| *until).max();
        let create = match create {
            [Some(create), Some(attach)] if create.2 != attach.2 && create.1 > attach.1 => {
                Some(create)
            }
            [create, attach] => attach.or(create),
        };
        let create = create
            .zip(until)
            .map(|((action, _, error), until)| (action, until, error));
        match (can_fill, can_create) {
            (true, false) => fill,
            (false, true) => create,
            // ENIs are filled before another is created: a new one helps only beyond what they take.
            (true, true) => fill.filter(|_| !self.needs_create(now)).or(create),
            (false, false) => None,
        }
    }

    /// Why this request has no address.
    pub(crate) fn reason(&self, waiter: &Waiter, now: Instant) -> Reason {
        if let Some(boot) = &self.boot {
            return Reason::NotReady {
                what: boot.waiting_for.clone(),
            };
        }
        // Without its intent on disk no mutation leaves.
        if let Some(text) = self.commit.error(File::Journal) {
            return Reason::JournalNotWritable {
                text: text.to_owned(),
            };
        }
        // Also when it is being tried again: the last answer says more than that another one is waited for.
        let last = self.growth_trouble(now, &|action| self.budget.last_failure(action));
        if let Some((action, until, error)) = last {
            return self.blocked_reason(action, &error, seconds(until, now));
        }
        if let Some(reason) = self.refused_addresses(now) {
            return reason;
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
                pending: self.pending_step(eni, now),
            };
        }
        let call = self.ops.calls().find(|call| call.mutating());
        let cooling = self.cooling_reason(now, now).filter(|_| call.is_none());
        if let Some(reason) = cooling {
            return reason;
        }
        let pending = match call.or_else(|| self.ops.calls().next()) {
            Some(call) => format!("EC2 was asked to {call}"),
            None => "nothing is on its way".to_owned(),
        };
        Reason::Deadline {
            waited_secs: now.since(waiter.since).as_secs(),
            pending,
        }
    }

    /// An ENI that EC2 gives no more addresses, for a reason of the ENI's own.
    fn refused_addresses(&self, now: Instant) -> Option<Reason> {
        let (eni, process, refusal) = self.lifecycle.enis.iter().find_map(|(eni, process)| {
            let refusal = process.refusal.as_ref()?;
            Some((eni, process, refusal))
        })?;
        let retry_secs = process.retry_at.map_or(1, |at| seconds(at, now));
        let text = refusal.to_string();
        Some(if refusal.class == Class::AddressLimit {
            Reason::AddressLimit {
                eni: eni.clone(),
                addresses: u32::try_from(self.pool.addresses(eni).count()).unwrap_or(u32::MAX),
                text,
                retry_secs,
            }
        } else {
            Reason::Refused {
                action: Action::AssignPrivateIpAddresses,
                text,
                retry_secs,
            }
        })
    }

    /// What an ENI that comes still needs.
    fn pending_step(&self, eni: &Eni, now: Instant) -> String {
        let Some(process) = self.lifecycle.enis.get(&eni.id) else {
            return "EC2 has not told where it stands".to_owned();
        };
        let again = match process.retry_at.or(process.look_at).filter(|at| *at > now) {
            Some(at) => format!("; next attempt in {} s", seconds(at, now)),
            None => String::new(),
        };
        match &process.step {
            _ if process.look_at.is_some() => {
                format!("EC2 is asked where it stands after an answer that got lost{again}")
            }
            Step::Attach => format!("EC2 is asked to attach it{again}"),
            Step::Protect(_) => {
                format!("EC2 is asked to delete it together with the instance{again}")
            }
            Step::Ready if !self.has_link(&eni.id) => {
                "it is attached in EC2 but its link has not appeared; the kernel is looked at after each link event".to_owned()
            }
            Step::Ready => {
                "its link is there and the node's network is being set up for it".to_owned()
            }
            Step::Detach(_) | Step::Delete => "it is being given back".to_owned(),
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
            (Class::EniLimit, _) => Reason::EniLimit {
                enis: u32::try_from(self.pool.enis().count()).unwrap_or(u32::MAX),
                action,
                text: refusal.to_string(),
                retry_secs,
            },
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

/// Whole seconds from now until then, at least one.
fn seconds(until: Instant, now: Instant) -> u64 {
    until
        .since(now)
        .as_millis()
        .div_ceil(1000)
        .max(1)
        .try_into()
        .unwrap_or(u64::MAX)
}
