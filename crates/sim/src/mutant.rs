//! Planted bugs, at the seam between the machine and the driver: events, effects and restored content are corrupted, so
//! that no production code knows of them. Each names the invariant that must find it first.
//! Must not: be reachable from a program that runs on a node. Driven by: `world`; read by the tests and `main`.

mod deep;

use crate::invariant::Invariant;
use crate::seam::Seam;
use deep::Deep;
use ipam::boot::Restored;
use ipam::effect::{Answer, Effect, File, FileContent};
use ipam::event::{Event, OpId, Outcome, Request};
use model::call::Call;
use model::card::DeviceIndex;
use model::error::{CallError, Class, Refusal};
use model::mac::Mac;
use model::pod::PodKey;
use model::settings::NodeSettings;
use model::time::Duration;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

macro_rules! mutants {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $invariant:ident $budget:literal,)*) => {
        /// A planted bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $($(#[$doc])* $variant,)*
        }

        impl Mutant {
            /// Every planted bug.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The invariant that must find it.
            pub fn found_by(self) -> Invariant {
                match self { $(Self::$variant => Invariant::$invariant,)* }
            }

            /// In how many seeds, from 0, it must be found at the latest.
            pub fn budget(self) -> u64 {
                match self { $(Self::$variant => $budget,)* }
            }
        }
    };
}

mutants! {
    /// A held answer leaves as soon as the checkpoint's write was started.
    ReplyBeforeWrite = "reply-before-write" Durable 20,
    /// A failed write of the checkpoint is taken for a good one.
    WriteErrorHidden = "write-error-hidden" Durable 200,
    /// DEL is answered, the machine never hears of it.
    DelNotTold = "del-not-told" Durable 20,
    /// The journal is not written, but reported as written.
    JournalNotWritten = "journal-not-written" Announced 20,
    /// A create is sent with another token than the announced one.
    TokenChanged = "token-changed" Announced 20,
    /// The restored file has lost its cooling addresses.
    CooldownLost = "cooldown-lost" Cooled 1000,
    /// The machine runs with no cooldown.
    CooldownZero = "cooldown-zero" Cooled 20,
    /// One address that a pod holds goes with each release.
    HeldReleased = "held-released" Cooled 1000,
    /// The restored file has lost an allocation.
    AllocationLost = "allocation-lost" Durable 1000,
    /// An answer carries an address that another pod was told.
    AnswerRepeated = "answer-repeated" Distinct 20,
    /// The unknown outcome of a release is taken for a refusal.
    UnknownReleaseAsRefused = "unknown-release-as-refused" Owned 2000,
    /// The unknown outcome of a create is taken for a refusal.
    UnknownCreateAsRefused = "unknown-create-as-refused" NoLeak 200,
    /// Links are reported before they exist.
    UsableBeforeLink = "usable-before-link" Owned 200,
    /// An answer carries an ENI's primary address.
    PrimaryTold = "primary-told" Managed 200,
    /// An answer carries another device index.
    IndexWrong = "index-wrong" Managed 20,
    /// Abandonment is not reported.
    AbandonmentDropped = "abandonment-dropped" Reply 200,
    /// Every tenth answer is lost.
    ReplyLost = "reply-lost" Reply 20,
    /// Every tenth answer is sent twice.
    ReplyTwice = "reply-twice" Reply 20,
    /// A mutating call is sent twice at once.
    CallTwice = "call-twice" Exclusive 20,
    /// A call carries the number of an earlier operation.
    NumberReused = "number-reused" Ids 20,
    /// A due timer stays due.
    DeadlinePast = "deadline-past" Deadline 20,
    /// No timer is set while somebody waits.
    TimerLost = "timer-lost" Stalled 50,
    /// The first read is followed by fifteen chains of reads without end.
    ReadStorm = "read-storm" Budget 50,
    /// The instance is taken for one with larger ENIs.
    LimitsMistaken = "limits-mistaken" Faultless 200,
    /// What the checkpoint cools goes with each release.
    CoolingReleased = "cooling-released" Cooled 1000,
    /// What IMDS lists is passed on as EC2's answer.
    ImdsAsEc2 = "imds-as-ec2" Owned 1000,
    /// Nobody is told of lost addresses.
    LossUnsaid = "loss-unsaid" Owned 1000,
    /// What would add addresses is refused before it is sent.
    GrowthRefused = "growth-refused" Satisfied 200,
    /// EC2 is read with every tenth timer.
    ReadHabit = "read-habit" Quiet 200,
    /// ENIs that are no ordinary ones are overlooked.
    ForeignOverlooked = "foreign-overlooked" NoLeak 200,
    /// Every pod seems to have its link for ever.
    SweepBlind = "sweep-blind" NoGhost 1000,
    /// A process begins with six more reads.
    ReadsAtStart = "reads-at-start" Restart 50,
    /// Attaches are refused for good before they are sent.
    AttachRefused = "attach-refused" Flapping 200,
    /// Nothing that happened is forgotten.
    NothingForgotten = "nothing-forgotten" Bounded 20,
}

impl Mutant {
    /// The planted bug of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|mutant| mutant.name() == name)
    }

    /// What the machine is configured with.
    pub(crate) fn settings(self, mut settings: NodeSettings) -> NodeSettings {
        if self == Self::CooldownZero {
            settings.cooldown = Duration::ZERO;
        }
        settings
    }

    /// What the machine restores.
    pub(crate) fn restored(self, mut restored: Restored) -> Restored {
        if let Some(checkpoint) = &mut restored.checkpoint {
            if self == Self::CooldownLost
                && let Some(extension) = &mut checkpoint.extension
            {
                extension.cooling.clear();
            }
            if self == Self::AllocationLost {
                checkpoint.allocations.pop();
            }
        }
        restored
    }
}

/// What a planted bug remembers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    checkpoint_writes: BTreeSet<OpId>,
    releases: BTreeSet<OpId>,
    creates: BTreeSet<OpId>,
    first_op: Option<OpId>,
    extra_ops: u64,
    answers: u64,
    told: Vec<(PodKey, Ipv4Addr)>,
    devices: BTreeSet<Mac>,
    primaries: Vec<Ipv4Addr>,
    deep: Deep,
}

impl Seam {
    /// The event that the machine gets; `None`: none. Effects may be made up.
    pub(crate) fn corrupt_event(
        &mut self,
        event: Event,
        effects: &mut Vec<Effect>,
    ) -> Option<Event> {
        let Some(mutant) = self.mutant else {
            return Some(event);
        };
        if let Event::Request(_, Request::Del { key, .. }) = &event {
            self.memory.told.retain(|(told, _)| told != key);
        }
        let event = self.corrupt_deeply(mutant, event, effects);
        match (mutant, event) {
            (Mutant::WriteErrorHidden, Event::Done(op, Outcome::Written(Err(_))))
                if self.memory.checkpoint_writes.contains(&op) =>
            {
                Some(Event::Done(op, Outcome::Written(Ok(()))))
            }
            (Mutant::DelNotTold, Event::Request(id, Request::Del { .. })) => {
                effects.push(Effect::Reply(id, Answer::UnknownPod));
                None
            }
            (Mutant::AbandonmentDropped, Event::Abandoned(_)) => None,
            (Mutant::UnknownReleaseAsRefused, Event::Done(op, outcome))
                if self.memory.releases.contains(&op) =>
            {
                Some(Event::Done(op, refused_if_unknown(outcome)))
            }
            (Mutant::UnknownCreateAsRefused, Event::Done(op, outcome))
                if self.memory.creates.contains(&op) =>
            {
                Some(Event::Done(op, refused_if_unknown(outcome)))
            }
            (Mutant::UsableBeforeLink, Event::HostState(version, mut report)) => {
                report
                    .ready
                    .extend(std::mem::take(&mut report.failed).into_keys());
                Some(Event::HostState(version, report))
            }
            (Mutant::UsableBeforeLink, Event::Links(mut links)) => {
                links.macs.extend(self.memory.devices.iter().copied());
                Some(Event::Links(links))
            }
            (_, event) => Some(event),
        }
    }

    /// The completion that the machine gets though nothing was done.
    pub(crate) fn premature(&self, effect: &Effect) -> Option<Event> {
        let hit = |op: &OpId, content: &FileContent| match self.mutant {
            Some(Mutant::ReplyBeforeWrite) => (content.file() == File::Checkpoint).then_some(*op),
            Some(Mutant::JournalNotWritten) => (content.file() == File::Journal).then_some(*op),
            Some(_) | None => None,
        };
        let (op, content) = match effect {
            Effect::Write(op, content) => (op, content),
            Effect::Call(op, call, _) => return self.refused_early(*op, call),
            Effect::Reply(..) | Effect::ReadImds(_) | Effect::Host(..) | Effect::Note(_) => {
                return None;
            }
        };
        hit(op, content).map(|op| Event::Done(op, Outcome::Written(Ok(()))))
    }

    /// The effects that leave instead of this one.
    pub(crate) fn corrupt_effect(&mut self, effect: Effect) -> Vec<Effect> {
        let Some(mutant) = self.mutant else {
            return vec![effect];
        };
        self.remember(&effect);
        if self.drops(&effect) {
            return vec![];
        }
        match (mutant, effect) {
            (Mutant::JournalNotWritten, Effect::Write(_, FileContent::Journal(_))) => vec![],
            (Mutant::TokenChanged, Effect::Call(op, Call::CreateInterface(mut create), limit)) => {
                create.token = format!("cni-{}", op.0).parse().expect("digits are allowed");
                vec![Effect::Call(op, Call::CreateInterface(create), limit)]
            }
            (
                Mutant::HeldReleased,
                Effect::Call(op, Call::UnassignAddresses { eni, mut addresses }, limit),
            ) => {
                addresses.extend(self.memory.told.last().map(|(_, address)| *address));
                vec![Effect::Call(
                    op,
                    Call::UnassignAddresses { eni, addresses },
                    limit,
                )]
            }
            (
                Mutant::CoolingReleased,
                Effect::Call(op, Call::UnassignAddresses { eni, mut addresses }, limit),
            ) => {
                addresses.extend(self.memory.deep.cooling(self.last));
                let call = Call::UnassignAddresses { eni, addresses };
                vec![Effect::Call(op, call, limit)]
            }
            (Mutant::CallTwice, Effect::Call(op, call, limit)) if call.eni().is_some() => {
                self.memory.extra_ops += 1;
                let second =
                    Effect::Call(OpId(u64::MAX - self.memory.extra_ops), call.clone(), limit);
                vec![Effect::Call(op, call, limit), second]
            }
            (Mutant::NumberReused, Effect::Call(op, call, limit)) => {
                let first = *self.memory.first_op.get_or_insert(op);
                vec![Effect::Call(first, call, limit)]
            }
            (_, Effect::Reply(id, answer)) => {
                let answer = self.corrupt_answer(mutant, answer);
                self.memory.answers += 1;
                let tenth = self.memory.answers.is_multiple_of(10);
                let copies = if !tenth {
                    1
                } else if mutant == Mutant::ReplyLost {
                    0
                } else {
                    1 + usize::from(mutant == Mutant::ReplyTwice)
                };
                std::iter::repeat_n(Effect::Reply(id, answer), copies).collect()
            }
            (_, effect) => vec![effect],
        }
    }

    fn corrupt_answer(&mut self, mutant: Mutant, answer: Answer) -> Answer {
        let Answer::Added(mut grant) = answer else {
            return answer;
        };
        let told = grant.address;
        if mutant == Mutant::AnswerRepeated {
            let mut others = self
                .memory
                .told
                .iter()
                .rev()
                .filter(|(key, _)| *key != grant.key);
            grant.address = others.next().map_or(told, |(_, address)| *address);
        }
        if mutant == Mutant::PrimaryTold {
            grant.address = self.memory.primaries.first().copied().unwrap_or(told);
        }
        if mutant == Mutant::IndexWrong {
            grant.index = DeviceIndex(grant.index.0 + 1);
        }
        self.memory.told.push((grant.key.clone(), told));
        Answer::Added(grant)
    }

    fn remember(&mut self, effect: &Effect) {
        self.memory.deep.remember(effect);
        match effect {
            Effect::Write(op, FileContent::Checkpoint(_)) => {
                self.memory.checkpoint_writes.insert(*op);
            }
            Effect::Host(_, desired) => {
                self.memory
                    .devices
                    .extend(desired.enis.iter().map(|eni| eni.mac));
                self.memory.primaries = desired.enis.iter().map(|eni| eni.address).collect();
            }
            Effect::Call(op, Call::UnassignAddresses { .. }, _) => {
                self.memory.releases.insert(*op);
            }
            Effect::Call(op, Call::CreateInterface(_), _) => {
                self.memory.creates.insert(*op);
            }
            Effect::Write(_, FileContent::Journal(_))
            | Effect::Reply(..)
            | Effect::Call(..)
            | Effect::ReadImds(_)
            | Effect::Note(_) => {}
        }
    }
}

/// A refusal that passes.
fn transient() -> Outcome {
    refused(Class::Transient)
}

fn refused(class: Class) -> Outcome {
    Outcome::Called(Err(CallError::Refused(Refusal {
        class,
        code: "Planted".into(),
        message: String::new(),
    })))
}

fn refused_if_unknown(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Unknown | Outcome::Called(Err(CallError::Unknown(_))) => transient(),
        Outcome::Written(_) | Outcome::Called(_) | Outcome::Imds(_) => outcome,
    }
}
