//! Planted bugs that need a memory of their own: reads, limits, losses, timers. Must not: do anything unless asked for.

use super::{Mutant, refused};
use crate::seam::Seam;
use ipam::effect::{Effect, FileContent};
use ipam::event::{Event, OpId, Outcome, Request, RequestId};
use ipam::notice::Notice;
use model::allocation::Cooling;
use model::call::{Call, Reply, Scope};
use model::eni::{EniKind, EniRecord};
use model::error::Class;
use model::imds::InstanceMetadata;
use model::pod::PodName;
use model::time::{Duration, Instant};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

const READ_DEADLINE: Duration = Duration::from_secs(15);
/// Numbers of made-up reads; the machine never comes so far.
const MADE_UP: u64 = u64::MAX / 2;
const CHAINS: usize = 15;
const READS_AT_START: usize = 6;
const TIMERS_PER_READ: u64 = 10;

/// What these bugs remember.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deep {
    waiting: BTreeSet<RequestId>,
    pods: BTreeSet<PodName>,
    metadata: Option<InstanceMetadata>,
    attached: BTreeSet<OpId>,
    cooling: Vec<Cooling>,
    timers: u64,
    reads: u64,
    begun: bool,
    kept: Vec<Event>,
}

impl Deep {
    pub(super) fn remember(&mut self, effect: &Effect) {
        match effect {
            Effect::Reply(id, _) => {
                self.waiting.remove(id);
            }
            Effect::Write(_, FileContent::Checkpoint(checkpoint)) => {
                let extension = checkpoint.extension.iter();
                let cooling = extension.flat_map(|extension| &extension.cooling);
                self.cooling = cooling.cloned().collect();
            }
            Effect::Call(op, Call::DescribeInterfaces(Scope::AttachedTo(_)), _) => {
                self.attached.insert(*op);
            }
            Effect::Write(..)
            | Effect::Call(..)
            | Effect::ReadImds(_)
            | Effect::Host(..)
            | Effect::Note(_) => {}
        }
    }

    /// Something that cools.
    pub(super) fn cooling(&self, now: Instant) -> Option<Ipv4Addr> {
        let mut cooling = self.cooling.iter();
        cooling
            .find(|cooling| cooling.until > now)
            .map(|cooling| cooling.address)
    }

    fn hear(&mut self, event: &Event) {
        match event {
            Event::Request(id, Request::Add { pod, .. }) => {
                self.waiting.insert(*id);
                self.pods.insert(pod.clone());
            }
            Event::Abandoned(id) => {
                self.waiting.remove(id);
            }
            Event::Done(_, Outcome::Imds(Ok(metadata))) => {
                self.metadata = Some((**metadata).clone());
            }
            Event::Timer => self.timers += 1,
            Event::Request(..)
            | Event::Done(..)
            | Event::HostState(..)
            | Event::Links(_)
            | Event::Shutdown => {}
        }
    }
}

impl Seam {
    /// Whether the next timer is forgotten.
    pub(crate) fn forgets_timer(&self) -> bool {
        self.mutant == Some(Mutant::TimerLost) && !self.memory.deep.waiting.is_empty()
    }

    /// Bytes of what should have been forgotten.
    pub(crate) fn kept(&self) -> usize {
        format!("{:?}", self.memory.deep.kept).len()
    }

    /// The event as the bug lets it through; reads may be made up.
    pub(super) fn corrupt_deeply(
        &mut self,
        mutant: Mutant,
        event: Event,
        effects: &mut Vec<Effect>,
    ) -> Event {
        self.memory.deep.hear(&event);
        let deep = &self.memory.deep;
        match (mutant, event) {
            (Mutant::ReadStorm, Event::Done(op, outcome)) => {
                let first = !std::mem::replace(&mut self.memory.deep.begun, true);
                let chains = if first {
                    CHAINS
                } else {
                    usize::from(op.0 >= MADE_UP)
                };
                self.make_up_reads(chains, effects);
                Event::Done(op, outcome)
            }
            (Mutant::ReadHabit, Event::Timer) => {
                let due = deep.timers.is_multiple_of(TIMERS_PER_READ);
                self.make_up_reads(usize::from(due), effects);
                Event::Timer
            }
            (Mutant::ReadsAtStart, Event::HostState(version, report)) => {
                let first = !std::mem::replace(&mut self.memory.deep.begun, true);
                self.make_up_reads(if first { READS_AT_START } else { 0 }, effects);
                Event::HostState(version, report)
            }
            (Mutant::LimitsMistaken, Event::Done(op, Outcome::Imds(Ok(mut metadata)))) => {
                metadata.instance_type = "m5.24xlarge".into();
                Event::Done(op, Outcome::Imds(Ok(metadata)))
            }
            (
                Mutant::ImdsAsEc2,
                Event::Done(op, Outcome::Called(Ok(Reply::Interfaces(records)))),
            ) if deep.attached.contains(&op) => {
                let records = as_imds_lists(records, deep.metadata.as_ref());
                Event::Done(op, Outcome::Called(Ok(Reply::Interfaces(records))))
            }
            (
                Mutant::ForeignOverlooked,
                Event::Done(op, Outcome::Called(Ok(Reply::Interfaces(mut records)))),
            ) => {
                records.retain(|record| record.kind == EniKind::Standard);
                Event::Done(op, Outcome::Called(Ok(Reply::Interfaces(records))))
            }
            (Mutant::SweepBlind, Event::Links(mut links)) => {
                let names = deep.pods.iter();
                let names = names.map(|pod| format!("eni{}", pod.link_suffix(0)));
                links.names.extend(names);
                Event::Links(links)
            }
            (Mutant::NothingForgotten, event) => {
                self.memory.deep.kept.push(event.clone());
                event
            }
            (_, event) => event,
        }
    }

    fn make_up_reads(&mut self, count: usize, effects: &mut Vec<Effect>) {
        let deep = &mut self.memory.deep;
        let Some(metadata) = &deep.metadata else {
            return;
        };
        for _ in 0..count {
            deep.reads += 1;
            let call = Call::DescribeInterfaces(Scope::AttachedTo(metadata.instance.clone()));
            effects.push(Effect::Call(
                OpId(MADE_UP + deep.reads),
                call,
                READ_DEADLINE,
            ));
        }
    }

    /// The refusal that the machine gets for a call which is never sent.
    pub(super) fn refused_early(&self, op: OpId, call: &Call) -> Option<Event> {
        let class = match (self.mutant?, call) {
            (Mutant::GrowthRefused, Call::AssignAddresses { .. } | Call::CreateInterface(_)) => {
                Class::Throttled
            }
            (Mutant::AttachRefused, Call::AttachInterface { .. }) => Class::EniLimit,
            _ => return None,
        };
        Some(Event::Done(op, refused(class)))
    }

    /// Whether the effect never leaves.
    pub(super) fn drops(&self, effect: &Effect) -> bool {
        match effect {
            Effect::Call(op, call, _) => self.refused_early(*op, call).is_some(),
            Effect::Note(Notice::AddressLost { .. }) => self.mutant == Some(Mutant::LossUnsaid),
            Effect::Reply(..)
            | Effect::Write(..)
            | Effect::ReadImds(_)
            | Effect::Host(..)
            | Effect::Note(_) => false,
        }
    }
}

/// EC2's records with the addresses that IMDS lists, without those it doesn't list.
fn as_imds_lists(records: Vec<EniRecord>, metadata: Option<&InstanceMetadata>) -> Vec<EniRecord> {
    let Some(metadata) = metadata else {
        return records;
    };
    let listed = |record: &EniRecord| {
        let mut interfaces = metadata.interfaces.iter();
        interfaces.find(|listed| listed.mac == record.mac)
    };
    let mut seen = Vec::new();
    for mut record in records {
        let Some(interface) = listed(&record) else {
            continue;
        };
        let primary = record.primary();
        let secondary = interface
            .addresses
            .iter()
            .filter(|address| Some(**address) != primary);
        record.addresses.retain(|known| known.primary);
        record
            .addresses
            .extend(secondary.map(|address| model::eni::EniAddress {
                address: *address,
                primary: false,
            }));
        seen.push(record);
    }
    seen
}
