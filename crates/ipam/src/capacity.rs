//! What the instance may have: the limits of its type from the built-in table, else from EC2, else the least that any
//! type allows. Part of [`Node`].
//!
//! A type that is younger than the table is asked for. When EC2 refuses to tell, that must not stop the node: it works
//! with the least there is (or with what it has already, if that is more), says so, and goes on asking. Must not: plan.

use crate::bucket::Lane;
use crate::node::{Node, Out};
use crate::notice::Notice;
use crate::outcome::Outcome;
use model::call::{Action, Call, Reply};
use model::eni::EniRecord;
use model::error::CallError;
use model::limits::InstanceLimits;
use model::reason::Reason;
use model::time::Instant;
use pool::inventory::PoolLimits;

/// What the instance may have, as far as is known.
#[derive(Debug, Clone, Default)]
pub(crate) enum Capacity {
    /// Nobody has said.
    #[default]
    Unknown,
    /// The type allows this.
    Known(InstanceLimits),
    /// EC2 will not say, for this reason.
    Untold(CallError),
    /// So this is assumed.
    Assumed(Assumed),
}

/// Limits that nobody told.
#[derive(Debug, Clone)]
pub(crate) struct Assumed {
    enis: u32,
    slots: u32,
    error: CallError,
}

impl Node {
    /// The call that must be answered before start-up can go on; none when it is known what the instance may have, or
    /// known that EC2 will not say.
    pub(crate) fn ask_limits(&mut self, instance_type: &str) -> Option<Call> {
        if matches!(self.world.capacity, Capacity::Unknown)
            && let Some(limits) = InstanceLimits::of(instance_type)
        {
            self.world.capacity = Capacity::Known(limits);
        }
        matches!(self.world.capacity, Capacity::Unknown).then(|| Call::DescribeInstanceType {
            name: instance_type.to_owned(),
        })
    }

    /// EC2 told the limits of the instance's type, or refused to.
    pub(crate) fn limits_told(&mut self, result: Outcome, out: &mut Out<'_>) {
        match (result, &self.world.capacity) {
            (Ok(Reply::InstanceType(limits)), Capacity::Assumed(_)) => {
                out.note(Notice::LimitsKnown {
                    instance_type: self.instance_type(),
                    enis: limits.enis(),
                    slots: limits.slots_per_eni(),
                });
                self.world.capacity = Capacity::Known(limits);
                self.apply_limits(&[], out);
            }
            (Ok(Reply::InstanceType(limits)), _) => self.world.capacity = Capacity::Known(limits),
            (Err(CallError::Refused(refusal)), Capacity::Unknown)
                if !refusal.class.is_retryable() =>
            {
                self.world.capacity = Capacity::Untold(CallError::Refused(refusal));
            }
            // Passing trouble: start-up waits and asks again. Later on: what is assumed stays.
            (Ok(_) | Err(_), _) => {}
        }
    }

    /// Goes on asking for limits that are only assumed.
    pub(crate) fn advance_limits(&mut self, out: &mut Out<'_>) {
        let Some(metadata) = &self.world.metadata else {
            return;
        };
        let name = metadata.instance_type.clone();
        let call = Call::DescribeInstanceType { name };
        if matches!(self.world.capacity, Capacity::Assumed(_))
            && self.is_serving()
            && !self.stopping
            && self.budget.allows(call.action(), Lane::Waiting, out.boot())
            && !self.ops.any_call(|open| *open == call)
        {
            self.call(call, out);
        }
    }

    /// Gives the pool its limits: the type's, narrowed by `MAX_ENI` (a value at or above the type's limit means the
    /// limit). `attached` is what the instance has, for the case that nobody tells.
    pub(crate) fn apply_limits(&mut self, attached: &[EniRecord], out: &mut Out<'_>) {
        if let Capacity::Untold(error) = &self.world.capacity {
            let assumed = assume(attached, error.clone());
            out.note(Notice::LimitsAssumed {
                instance_type: self.instance_type(),
                enis: assumed.enis,
                slots: assumed.slots,
                error: assumed.error.to_string(),
            });
            self.world.capacity = Capacity::Assumed(assumed);
        }
        let (enis, slots) = match &self.world.capacity {
            Capacity::Known(limits) => (limits.enis(), limits.slots_per_eni()),
            Capacity::Assumed(assumed) => (assumed.enis, assumed.slots),
            Capacity::Unknown | Capacity::Untold(_) => return,
        };
        // What upstream's eni-max-pods.txt says of a type: every address, and two pods in the host's network.
        let usual_pods = enis * slots + 2;
        self.pool.set_limits(PoolLimits {
            max_enis: self.settings.max_enis.map_or(enis, |max| max.min(enis)),
            slots_per_eni: slots,
            max_pods: self.settings.max_pods.max(usual_pods),
            cooldown: self.settings.cooldown,
        });
    }

    /// Why a limit that is only assumed is in a pod's way: EC2's refusal to tell the real one.
    pub(crate) fn limits_reason(&self, now: Instant) -> Option<Reason> {
        let Capacity::Assumed(assumed) = &self.world.capacity else {
            return None;
        };
        let action = Action::DescribeInstanceTypes;
        let retry = self.budget.blocked(action, now);
        let retry_secs = retry.map_or(1, |blocked| blocked.until.since(now).as_secs().max(1));
        Some(self.blocked_reason(action, &assumed.error, retry_secs))
    }

    fn instance_type(&self) -> String {
        let metadata = self.world.metadata.as_ref();
        metadata.map_or_else(String::new, |metadata| metadata.instance_type.clone())
    }
}

/// The least that any type allows, or what is there already.
fn assume(attached: &[EniRecord], error: CallError) -> Assumed {
    let slots = attached.iter().map(|record| {
        let secondary = record.addresses.iter().filter(|address| !address.primary);
        secondary.count()
    });
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let least = InstanceLimits::least();
    Assumed {
        enis: count(attached.len()).max(least.enis()),
        slots: count(slots.max().unwrap_or(0)).max(least.slots_per_eni()),
        error,
    }
}
