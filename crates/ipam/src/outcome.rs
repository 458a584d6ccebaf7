//! What an ended EC2 call means. Part of [`Node`].
//!
//! Three-valued: done, refused, unknown. After unknown, a create, modify, detach, delete or unassign is repeated, an
//! attach is looked at first, an assign is never repeated. Must not: plan.

use crate::budget::backoff;
use crate::effect::File;
use crate::intents::{Ending, LINGER};
use crate::lifecycle::{Process, Step};
use crate::node::{CALL_DEADLINE, Node, Out};
use crate::notice::Notice;
use crate::observe::Departure;
use model::call::{Call, Reply, Scope};
use model::error::{CallError, Class};
use model::id::EniId;
use model::time::{Duration, Instant, WallTime};

/// A call that has ended.
pub(crate) struct Ended {
    pub(crate) call: Call,
    pub(crate) intent: Option<u64>,
    pub(crate) began: Instant,
}

pub(crate) type Outcome = Result<Reply, CallError>;

/// A created ENI may be invisible to other calls for that long (peers-and-ec2.md §10.6).
const INVISIBLE: Duration = Duration::from_secs(60);

impl Node {
    pub(crate) fn called(&mut self, ended: Ended, result: Outcome, out: &mut Out<'_>) {
        let now = out.boot();
        let result = self.done_if_gone(&ended.call, result, now);
        self.account(&ended, &result, out);
        match ended.call {
            Call::DescribeInterfaces(Scope::Ids(ids)) => {
                if let Some(eni) = ids.first() {
                    self.looked(eni, ended.began, result, out);
                }
            }
            Call::DescribeInterfaces(Scope::AttachedTo(_)) => match result {
                Ok(Reply::Interfaces(records)) if self.is_serving() => {
                    self.observe_attached(ended.began, &records, out);
                }
                Ok(Reply::Interfaces(records)) => self.boot_observed(ended.began, records, out),
                Ok(_) | Err(_) => self.pace.refresh_by(now.after(Duration::from_secs(30))),
            },
            Call::DescribeInterfaces(Scope::MadeFor(_)) => match result {
                Ok(Reply::Interfaces(records)) => self.observe_made(ended.began, &records),
                Ok(_) | Err(_) => self.pace.orphans_by(now.after(Duration::from_secs(30))),
            },
            Call::DescribeSubnets { .. } => {
                if let Ok(Reply::Subnets(subnets)) = result {
                    self.learn_subnets(subnets, out);
                }
            }
            Call::DescribeInstanceType { .. } => self.limits_told(result, out),
            Call::CreateInterface(create) => self.created(&create.token, result, out),
            Call::AttachInterface { eni, .. } => self.attached(&eni, result, out),
            Call::DeleteOnTermination { eni, .. } => self.protected(&eni, result, now),
            Call::DetachInterface { eni, .. } => self.detached(&eni, result, now),
            Call::DeleteInterface { eni } => self.deleted(&eni, result, out),
            Call::AssignAddresses { eni, count } => self.assigned(&eni, count, result, out),
            Call::UnassignAddresses { eni, addresses } => {
                self.unassigned(&eni, &addresses, result, now)
            }
            Call::CreateTags { eni, .. } => self.tagged(&eni, result, now),
        }
    }

    /// For what takes away, "not there" is done; only an ENI made a moment ago may be merely invisible yet.
    fn done_if_gone(&self, call: &Call, result: Outcome, now: Instant) -> Outcome {
        let Err(CallError::Refused(refusal)) = &result else {
            return result;
        };
        let young = |eni| {
            self.lifecycle
                .enis
                .get(eni)
                .is_some_and(|process| is_young(process, now))
        };
        let gone = matches!(
            call,
            Call::DetachInterface { .. } | Call::UnassignAddresses { .. }
        ) || matches!(call, Call::DeleteInterface { eni } if !young(eni));
        if refusal.class == Class::NotFound && gone {
            Ok(Reply::Done)
        } else {
            result
        }
    }

    /// Budget, intent, truth and log of an ended call.
    fn account(&mut self, ended: &Ended, result: &Outcome, out: &mut Out<'_>) {
        let (now, action) = (out.boot(), ended.call.action());
        let retry = match result {
            Ok(_) => {
                self.budget.succeeded(action, now);
                None
            }
            Err(error) if concerns_action(error) || is_repeated(&ended.call, error) => {
                Some(self.budget.failed(action, now, error, &mut self.random))
            }
            Err(_) => None,
        };
        if let Some(number) = ended.intent {
            match result {
                Err(CallError::Unknown(_)) if self.has_departed(&ended.call) => {
                    self.intents.strike(number);
                    self.commit.touch(File::Journal);
                }
                Err(CallError::Unknown(_)) => self.intents.doubt(number),
                Ok(_) | Err(CallError::Refused(_)) => {
                    self.intents.settle(number, now, ending(result));
                    self.commit.touch(File::Journal);
                }
            }
        }
        let refused = matches!(result, Err(CallError::Refused(_)));
        if let Some(eni) = ended.call.eni().filter(|_| !refused) {
            self.truth.changed(eni, now);
        }
        let error = result
            .as_ref()
            .err()
            .map(|error| in_words(error, out.now.wall));
        self.tell_trouble(action, error.as_deref(), retry.unwrap_or_default(), out);
        out.note(Notice::Called {
            call: ended.call.clone(),
            error,
            retry,
        });
    }

    /// Whether the call names an ENI that has left the node meanwhile: nothing will settle its intent.
    fn has_departed(&self, call: &Call) -> bool {
        call.eni()
            .is_some_and(|eni| !self.lifecycle.enis.contains_key(eni))
    }

    /// Puts the next call of the ENI off after a failure.
    pub(crate) fn put_off(&mut self, eni: &EniId, now: Instant) {
        if let Some(process) = self.lifecycle.enis.get_mut(eni) {
            let delay = backoff(
                Duration::from_millis(500),
                Duration::from_secs(15),
                process.failures,
            );
            process.failures += 1;
            process.retry_at = Some(now.after(delay));
        }
    }

    pub(crate) fn progress(&mut self, eni: &EniId, step: Step) {
        if let Some(process) = self.lifecycle.enis.get_mut(eni) {
            process.step = step;
            (process.failures, process.retry_at) = (0, None);
            process.refusal = None;
        }
    }

    pub(crate) fn look(&mut self, eni: &EniId, at: Instant) {
        if let Some(process) = self.lifecycle.enis.get_mut(eni) {
            process.look_at = Some(at);
        }
    }

    fn detached(&mut self, eni: &EniId, result: Outcome, now: Instant) {
        match result {
            Ok(_) => {
                self.progress(eni, Step::Delete);
                self.put_off(eni, now);
                // Announced before it is due: in between nothing else would name the ENI.
                self.intents
                    .announce(&Call::DeleteInterface { eni: eni.clone() });
            }
            Err(_) => self.put_off(eni, now),
        }
    }

    fn deleted(&mut self, eni: &EniId, result: Outcome, out: &mut Out<'_>) {
        match result {
            Ok(_) => self.depart(eni, Departure::ByUs, out),
            Err(error) => {
                self.put_off(eni, out.boot());
                let in_use =
                    matches!(&error, CallError::Refused(refusal) if refusal.class == Class::InUse);
                let often = self
                    .lifecycle
                    .enis
                    .get(eni)
                    .is_some_and(|process| process.failures >= 4);
                if in_use && often {
                    self.look(eni, out.boot());
                }
            }
        }
    }

    fn assigned(&mut self, eni: &EniId, count: u32, result: Outcome, out: &mut Out<'_>) {
        let now = out.boot();
        if !matches!(result, Err(CallError::Unknown(_))) {
            self.set_incoming(eni, 0);
        }
        match result {
            Ok(Reply::Assigned(addresses)) => {
                if self.intents.reassigned(eni, &addresses) {
                    self.commit.touch(File::Journal);
                }
                let mut in_doubt = false;
                for address in addresses {
                    self.truth.address_seen(address);
                    self.end_other_release(eni, address);
                    self.displace(eni, address, out);
                    self.add_address(eni, address);
                    in_doubt |= self.intents.is_released(eni, address);
                }
                if in_doubt {
                    // Not used before its release cannot be carried out any more; what the ENI owns is known then.
                    self.look(eni, now.after(LINGER));
                }
                self.progress(eni, Step::Ready);
            }
            Err(CallError::Refused(refusal)) if refusal.class == Class::SubnetFull => {
                self.halve_request(model::call::Action::AssignPrivateIpAddresses, count, now);
            }
            Err(CallError::Refused(refusal)) => {
                self.put_off(eni, now);
                // Waiting doesn't cure it: what we know of the ENI is wrong, so ask.
                if !refusal.class.is_retryable() {
                    self.look(eni, now);
                }
                if let Some(process) = self.lifecycle.enis.get_mut(eni) {
                    process.refusal = Some(refusal);
                }
            }
            // It may be applied until its deadline, whenever the answer was lost.
            Ok(_) | Err(CallError::Unknown(_)) => self.look(eni, now.after(CALL_DEADLINE)),
        }
    }

    pub(crate) fn set_incoming(&mut self, eni: &EniId, incoming: u32) {
        if let Some(record) = self.pool.eni_mut(eni) {
            record.incoming = incoming;
        }
    }

    fn tagged(&mut self, eni: &EniId, result: Outcome, now: Instant) {
        match result {
            Err(error) if !matches!(&error, CallError::Refused(refusal) if !refusal.class.is_retryable()) =>
            {
                self.put_off(eni, now);
            }
            // Done, or refused for good: an ENI without our tags serves pods all the same.
            Ok(_) | Err(_) => {
                if let Some(process) = self.lifecycle.enis.get_mut(eni) {
                    process.tags.clear();
                }
            }
        }
    }
}

fn ending(result: &Outcome) -> Ending {
    match result {
        Err(CallError::Refused(refusal)) if refusal.class.is_retryable() => Ending::Repeated,
        Err(_) => Ending::Refused,
        Ok(_) => Ending::Done,
    }
}

pub(crate) fn is_young(process: &Process, now: Instant) -> bool {
    process
        .created
        .is_some_and(|created| now.since(created) < INVISIBLE)
}

/// A read that failed is sent again whatever it was, so it must not be sent at once. What was not found concerns one ENI.
fn is_repeated(call: &Call, error: &CallError) -> bool {
    let not_found =
        matches!(error, CallError::Refused(refusal) if refusal.class == Class::NotFound);
    !call.mutating() && !not_found
}

/// The error for people. A wrong clock is the first suspect for requests that EC2 finds too old, so it is shown.
fn in_words(error: &CallError, wall: WallTime) -> String {
    match error {
        CallError::Refused(refusal) if refusal.class == Class::Expired => {
            format!("{error}; this node's clock says {}", wall.rfc3339())
        }
        CallError::Refused(_) | CallError::Unknown(_) => error.to_string(),
    }
}

/// Whether the error will meet the next call of the action too, whatever ENI it names.
fn concerns_action(error: &CallError) -> bool {
    match error {
        CallError::Unknown(_) => true,
        CallError::Refused(refusal) => match refusal.class {
            Class::Throttled
            | Class::SubnetFull
            | Class::SubnetFragmented
            | Class::EniLimit
            | Class::AddressesAboveType
            | Class::Quota
            | Class::ConfigurationMissing
            | Class::Denied
            | Class::Expired
            | Class::TokenMismatch
            | Class::Invalid => true,
            Class::AddressLimit
            | Class::NotFound
            | Class::InUse
            | Class::AlreadyAssigned
            | Class::WrongState
            | Class::Transient => false,
        },
    }
}
