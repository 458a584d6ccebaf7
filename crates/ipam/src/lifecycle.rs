//! One ENI from creating to deleting: where each stands in EC2 and which call comes next.
//!
//! Must not: send the call, or know which addresses pods hold (`pool` does).

use model::call::{Call, CreateInterface, Scope};
use model::card::{DeviceIndex, NetworkCard};
use model::error::Refusal;
use model::id::{AttachmentId, ClientToken, EniId, InstanceId, SubnetId};
use model::time::Instant;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Where an ENI stands in EC2; the step names what is done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Created, not attached: attach it.
    Attach,
    /// Attached: make EC2 delete it with the instance.
    Protect(AttachmentId),
    /// Nothing to do; addresses may be assigned and unassigned.
    Ready,
    /// Empty and not wanted: detach it.
    Detach(AttachmentId),
    /// Detached, or never attached, and not wanted: delete it.
    Delete,
}

/// What is going on with one ENI.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) step: Step,
    pub(crate) index: DeviceIndex,
    pub(crate) subnet: Option<SubnetId>,
    pub(crate) attachment: Option<AttachmentId>,
    /// When this process created it; `None`: found.
    pub(crate) created: Option<Instant>,
    /// Addresses being taken away; one unassign call at a time.
    pub(crate) releasing: Vec<Ipv4Addr>,
    /// Tags that are missing.
    pub(crate) tags: BTreeMap<String, String>,
    /// No call but a describe that begins at or after this: only EC2 knows where the ENI stands.
    pub(crate) look_at: Option<Instant>,
    /// No call before this.
    pub(crate) retry_at: Option<Instant>,
    /// Refusals since the last success.
    pub(crate) failures: u32,
    /// Why EC2 gave it no addresses the last time it was asked.
    pub(crate) refusal: Option<Refusal>,
}

impl Process {
    pub(crate) fn new(step: Step, index: DeviceIndex) -> Self {
        Self {
            step,
            index,
            subnet: None,
            attachment: None,
            created: None,
            releasing: Vec::new(),
            tags: BTreeMap::new(),
            look_at: None,
            retry_at: None,
            failures: 0,
            refusal: None,
        }
    }

    /// Whether the ENI may be given addresses or be asked to leave.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.step == Step::Ready
            && self.look_at.is_none()
            && self.releasing.is_empty()
            && self.retry_at.is_none_or(|at| at <= now)
    }

    /// Whether the ENI is on its way out.
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.step, Step::Detach(_) | Step::Delete)
    }

    /// The call that is due now, if any.
    pub(crate) fn next_call(
        &self,
        eni: &EniId,
        instance: &InstanceId,
        now: Instant,
    ) -> Option<Call> {
        if let Some(at) = self.look_at {
            return (at <= now && self.retry_at.is_none_or(|retry| retry <= now))
                .then(|| Call::DescribeInterfaces(Scope::Ids(vec![eni.clone()])));
        }
        if self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        let eni = eni.clone();
        match &self.step {
            Step::Attach => Some(Call::AttachInterface {
                eni,
                instance: instance.clone(),
                index: self.index,
                card: NetworkCard(0),
            }),
            Step::Protect(attachment) => Some(Call::DeleteOnTermination {
                eni,
                attachment: attachment.clone(),
            }),
            Step::Ready if !self.releasing.is_empty() => Some(Call::UnassignAddresses {
                eni,
                addresses: self.releasing.clone(),
            }),
            Step::Ready if !self.tags.is_empty() => Some(Call::CreateTags {
                eni,
                tags: self.tags.clone(),
            }),
            Step::Ready => None,
            Step::Detach(attachment) => Some(Call::DetachInterface {
                eni,
                attachment: attachment.clone(),
            }),
            Step::Delete => Some(Call::DeleteInterface { eni }),
        }
    }
}

/// A create whose ENI is not known yet.
#[derive(Debug, Clone)]
pub(crate) struct Creation {
    pub(crate) call: CreateInterface,
    pub(crate) retry_at: Option<Instant>,
    pub(crate) failures: u32,
}

/// All ENIs that EC2 has for this node and all that it is asked to make.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lifecycle {
    pub(crate) enis: BTreeMap<EniId, Process>,
    pub(crate) creations: BTreeMap<ClientToken, Creation>,
}

impl Lifecycle {
    /// The lowest device index of card 0 that none of them uses.
    pub(crate) fn free_index(&self, above: Option<DeviceIndex>) -> Option<DeviceIndex> {
        let from = above.map_or(1, |index| index.0 + 1);
        let used = |index: &u8| self.enis.values().any(|process| process.index.0 == *index);
        (from..DeviceIndex::LIMIT)
            .chain(1..from)
            .find(|index| !used(index))
            .map(DeviceIndex)
    }

    /// Secondary addresses of the ENIs being created.
    pub(crate) fn creating(&self) -> Vec<u32> {
        self.creations
            .values()
            .map(|creation| creation.call.secondary_addresses)
            .collect()
    }

    /// When something that waits for its time is due.
    pub(crate) fn retries(&self) -> impl Iterator<Item = Instant> {
        let enis = self
            .enis
            .values()
            .flat_map(|process| [process.look_at, process.retry_at]);
        enis.chain(self.creations.values().map(|creation| creation.retry_at))
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eni(n: u8) -> EniId {
        format!("eni-{n}").parse().unwrap()
    }

    fn due(process: &Process, now: u64) -> Option<&'static str> {
        process
            .next_call(&eni(1), &"i-1".parse().unwrap(), Instant(now))
            .map(|call| call.action().name())
    }

    #[test]
    fn each_step_has_its_call_and_waits_for_its_time() {
        let mut process = Process::new(Step::Attach, DeviceIndex(1));
        assert_eq!(due(&process, 0), Some("AttachNetworkInterface"));
        process.retry_at = Some(Instant(10));
        assert_eq!(due(&process, 9), None);
        assert_eq!(due(&process, 10), Some("AttachNetworkInterface"));
        process.look_at = Some(Instant(20));
        assert_eq!(due(&process, 19), None, "nothing but a look, and not yet");
        assert_eq!(due(&process, 20), Some("DescribeNetworkInterfaces"));
        process.look_at = None;
        for (step, action) in [
            (
                Step::Protect("eni-attach-1".parse().unwrap()),
                Some("ModifyNetworkInterfaceAttribute"),
            ),
            (Step::Ready, None),
            (
                Step::Detach("eni-attach-1".parse().unwrap()),
                Some("DetachNetworkInterface"),
            ),
            (Step::Delete, Some("DeleteNetworkInterface")),
        ] {
            process.step = step;
            assert_eq!(due(&process, 100), action);
        }
        process.step = Step::Ready;
        process.releasing = vec![Ipv4Addr::new(10, 0, 1, 7)];
        assert_eq!(due(&process, 100), Some("UnassignPrivateIpAddresses"));
        assert!(!process.is_idle(Instant(100)));
    }

    #[test]
    fn the_lowest_free_device_index_is_taken_and_a_refused_one_is_left_behind() {
        let mut lifecycle = Lifecycle::default();
        for index in [0, 1, 3] {
            lifecycle
                .enis
                .insert(eni(index), Process::new(Step::Ready, DeviceIndex(index)));
        }
        assert_eq!(lifecycle.free_index(None), Some(DeviceIndex(2)));
        assert_eq!(
            lifecycle.free_index(Some(DeviceIndex(2))),
            Some(DeviceIndex(4))
        );
    }
}
