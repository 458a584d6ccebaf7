//! What an earlier process announced and may not have finished. Part of [`Node`].
//!
//! Each open intent is treated like a call whose outcome is unknown. Must not: send anything; the life cycle goes on from
//! the step that is set here.

use crate::intents::{Ending, LINGER};
use crate::lifecycle::{Creation, Process, Step};
use crate::node::{CALL_DEADLINE, Node};
use model::call::Call;
use model::card::DeviceIndex;
use model::eni::EniRecord;
use model::id::EniId;
use model::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

impl Node {
    /// Open intents come first: each is treated like a call whose outcome is unknown. Of several that name one ENI the
    /// newest counts, the others were settled before it was announced.
    pub(crate) fn resolve_intents(&mut self, records: &[EniRecord], now: Instant) {
        if !self.settings.provisioning {
            return self.remember_intents(now);
        }
        let tokens: BTreeSet<&str> = records
            .iter()
            .filter_map(|record| record.tags.get(model::call::TOKEN_TAG))
            .map(String::as_str)
            .collect();
        let mut newest: BTreeMap<EniId, (u64, Call)> = BTreeMap::new();
        let (mut settled, mut reminders) = (Vec::new(), Vec::new());
        for (number, call) in self.intents.calls() {
            match (call, call.eni()) {
                (Call::CreateInterface(create), _) if tokens.contains(create.token.as_str()) => {
                    settled.push(number)
                }
                (Call::CreateInterface(create), _) => {
                    let creation = Creation {
                        call: create.clone(),
                        retry_at: None,
                        failures: 0,
                    };
                    self.lifecycle
                        .creations
                        .insert(create.token.clone(), creation);
                }
                (Call::UnassignAddresses { eni, .. }, _) => reminders.push((number, eni.clone())),
                (_, Some(eni)) => settled.extend(
                    newest
                        .insert(eni.clone(), (number, call.clone()))
                        .map(|(old, _)| old),
                ),
                (_, None) => settled.push(number),
            }
        }
        for number in settled {
            self.intents.strike(number);
        }
        // A release is not repeated: what EC2 lists once it cannot be carried out any more is true, and until then the
        // ENI takes no call.
        for (number, eni) in reminders {
            self.intents.settle(number, now, Ending::Done);
            if let Some(process) = self.lifecycle.enis.get_mut(&eni) {
                process.look_at = Some(now.after(LINGER));
            }
        }
        for (eni, (number, call)) in newest {
            self.resolve_intent(&eni, number, call, now);
        }
        self.commit.touch(crate::effect::File::Journal);
    }

    /// While nothing may be sent the intents stay open, for the process that may. Only what was being released is settled:
    /// that needs no call, and what EC2 lists once it cannot be carried out any more is true. An ENI that was being
    /// detached or deleted gives nothing until then, though a describe may still list it.
    fn remember_intents(&mut self, now: Instant) {
        let release = |(number, call): (u64, &Call)| {
            matches!(call, Call::UnassignAddresses { .. }).then_some(number)
        };
        let releases: Vec<u64> = self.intents.calls().filter_map(release).collect();
        for number in releases {
            self.intents.settle(number, now, Ending::Done);
            self.pace.refresh_by(now.after(LINGER));
        }
        let going = |(_, call): (u64, &Call)| match call {
            Call::DetachInterface { eni, attachment } => {
                Some((eni.clone(), Step::Detach(attachment.clone())))
            }
            Call::DeleteInterface { eni } => Some((eni.clone(), Step::Delete)),
            Call::DescribeInterfaces(_)
            | Call::DescribeSubnets { .. }
            | Call::DescribeInstanceType { .. }
            | Call::CreateInterface(_)
            | Call::AttachInterface { .. }
            | Call::DeleteOnTermination { .. }
            | Call::AssignAddresses { .. }
            | Call::UnassignAddresses { .. }
            | Call::CreateTags { .. } => None,
        };
        let going: Vec<(EniId, Step)> = self.intents.calls().filter_map(going).collect();
        for (eni, step) in going {
            if self.lifecycle.enis.contains_key(&eni) && !self.is_wanted(&eni) {
                self.resume(&eni, step);
            }
        }
        self.commit.touch(crate::effect::File::Journal);
    }

    fn resolve_intent(&mut self, eni: &EniId, number: u64, call: Call, now: Instant) {
        let known = self.lifecycle.enis.contains_key(eni);
        let held = self.is_wanted(eni);
        match call {
            Call::AssignAddresses { .. } => {
                // Never repeated: a describe that begins one call deadline from now says what the ENI owns.
                if let Some(process) = self.lifecycle.enis.get_mut(eni) {
                    let look = now.after(CALL_DEADLINE);
                    process.look_at = Some(process.look_at.map_or(look, |at| at.max(look)));
                } else {
                    // Not the node's any more; if it is, whatever EC2 lists is taken when it is adopted.
                    self.intents.strike(number);
                }
            }
            Call::DetachInterface { .. } | Call::DeleteInterface { .. } if held => {
                // A pod holds an address of it: the release is struck.
                self.intents.strike(number);
            }
            Call::DetachInterface { attachment, .. } => self.resume(eni, Step::Detach(attachment)),
            Call::DeleteInterface { .. } => self.resume(eni, Step::Delete),
            // Whatever the record said, a look tells whether it happened; for an ENI that EC2 doesn't list yet too.
            Call::AttachInterface { index, .. } if !known => {
                self.resume_looking(eni, Step::Attach, index, now)
            }
            Call::DeleteOnTermination { attachment, .. } if !known => {
                let index = self
                    .lifecycle
                    .free_index(None)
                    .unwrap_or(model::card::DeviceIndex(1));
                self.resume_looking(eni, Step::Protect(attachment), index, now);
            }
            Call::AttachInterface { .. }
            | Call::DeleteOnTermination { .. }
            | Call::CreateTags { .. } => {
                // The observation has told: what is missing is asked for anew.
                self.intents.strike(number);
            }
            Call::DescribeInterfaces(_)
            | Call::DescribeSubnets { .. }
            | Call::DescribeInstanceType { .. }
            | Call::UnassignAddresses { .. }
            | Call::CreateInterface(_) => self.intents.strike(number),
        }
    }

    /// An open intent of an earlier process: the step is taken up where it was.
    pub(crate) fn resume(&mut self, eni: &EniId, step: Step) {
        let index = self.lifecycle.free_index(None).unwrap_or(DeviceIndex(1));
        let process = self
            .lifecycle
            .enis
            .entry(eni.clone())
            .or_insert_with(|| Process::new(step.clone(), index));
        process.step = step;
        if let Some(record) = self.pool.eni_mut(eni) {
            record.state = pool::eni::EniState::Leaving;
        }
    }

    /// An open intent for an ENI that EC2 doesn't list as attached: nothing is done before a look.
    pub(crate) fn resume_looking(
        &mut self,
        eni: &EniId,
        step: Step,
        index: DeviceIndex,
        now: Instant,
    ) {
        let mut process = Process::new(step, index);
        process.created = Some(now);
        process.look_at = Some(now);
        self.lifecycle.enis.insert(eni.clone(), process);
    }
}
