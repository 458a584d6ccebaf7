//! Addresses on their way back to EC2. Part of [`Node`].
//!
//! An address belongs to one ENI: what becomes of its release on one must not touch what it is on another by now. Must
//! not: choose what to release (`pool::shrink` does).

use crate::effect::File;
use crate::intents::LINGER;
use crate::node::Node;
use crate::outcome::Outcome;
use model::call::Call;
use model::error::CallError;
use model::id::EniId;
use model::time::Instant;
use pool::address::AddressState;
use std::net::Ipv4Addr;

impl Node {
    /// An unassign ended.
    pub(crate) fn unassigned(
        &mut self,
        eni: &EniId,
        addresses: &[Ipv4Addr],
        result: Outcome,
        now: Instant,
    ) {
        let here: Vec<_> = addresses
            .iter()
            .copied()
            .filter(|address| {
                let place = self.pool.state_of(*address);
                place.is_some_and(|(at, _)| at == *eni)
            })
            .collect();
        match result {
            Ok(_) => {
                for address in here {
                    self.pool.forget_address(address);
                }
                self.end_release(eni);
            }
            Err(CallError::Refused(refusal)) if !refusal.class.is_retryable() => {
                for address in here {
                    self.keep_if_certain(eni, address, now);
                }
                self.end_release(eni);
                self.put_off(eni, now);
                self.look(eni, now);
            }
            Err(_) => self.put_off(eni, now),
        }
    }

    /// The release was refused for good: the address stays, unless an earlier try may yet be carried out. Then the look
    /// tells, once it cannot any more.
    fn keep_if_certain(&mut self, eni: &EniId, address: Ipv4Addr, now: Instant) {
        if self.intents.is_released(eni, address) {
            self.pool.forget_address(address);
            self.pace.refresh_by(now.after(LINGER));
        } else {
            self.pool.cancel_leaving(address);
        }
    }

    fn end_release(&mut self, eni: &EniId) {
        if let Some(process) = self.lifecycle.enis.get_mut(eni) {
            process.releasing.clear();
            (process.failures, process.retry_at) = (0, None);
        }
    }

    /// EC2 assigned the address to an ENI: a release of it from another one has been carried out, whatever its answer.
    pub(crate) fn end_other_release(&mut self, to: &EniId, address: Ipv4Addr) {
        let from: Vec<_> = self
            .lifecycle
            .enis
            .iter()
            .filter(|(eni, process)| *eni != to && process.releasing.contains(&address))
            .map(|(eni, process)| (eni.clone(), process.releasing.clone()))
            .collect();
        for (eni, before) in from {
            let after: Vec<_> = before
                .iter()
                .copied()
                .filter(|known| *known != address)
                .collect();
            if let Some(process) = self.lifecycle.enis.get_mut(&eni) {
                process.releasing = after.clone();
            }
            let call = |addresses| Call::UnassignAddresses {
                eni: eni.clone(),
                addresses,
            };
            self.intents.shorten(&call(before), &call(after));
            self.commit.touch(File::Journal);
        }
        if self
            .pool
            .state_of(address)
            .is_some_and(|(at, state)| at != *to && state == AddressState::Leaving)
        {
            self.pool.forget_address(address);
        }
    }
}
