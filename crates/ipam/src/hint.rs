//! IMDS as a hint: what it lists otherwise than the inventory is a reason to ask EC2, and nothing more. Part of [`Node`].
//!
//! EC2's describes are few for a whole account, IMDS is this node's own: it is read every minute, so that what others took
//! away is noticed soon, and EC2 is asked only then and hourly. Must not: add, remove or free anything; IMDS lags and lies.

use crate::budget::backoff;
use crate::effect::Effect;
use crate::lifecycle::Process;
use crate::node::{Node, Out};
use crate::operations::Operation;
use crate::pace::REFRESH;
use model::eni::EniKind;
use model::id::EniId;
use model::imds::{ImdsInterface, InstanceMetadata};
use model::time::{Duration, Instant};
use pool::address::AddressState;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// How often IMDS is read; with jitter, half of it at least.
const EVERY: Duration = Duration::from_secs(60);
/// EC2 is not asked more often for what IMDS says: it may say something else each time. Doubled as long as it says the
/// same.
const BELIEVED_EVERY: Duration = Duration::from_secs(300);

/// What IMDS said last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hint {
    read_at: Option<Instant>,
    /// What was in doubt then.
    asked: BTreeSet<Doubt>,
    /// How often EC2 was asked about it, and when last.
    repeats: u32,
    believed_at: Option<Instant>,
    /// When EC2 is asked (again).
    ask_at: Option<Instant>,
}

/// Something that IMDS lists and the inventory doesn't know, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Doubt {
    Eni(EniId),
    Address(Ipv4Addr),
}

impl Hint {
    pub(crate) fn serving_since(&mut self, now: Instant) {
        self.read_at = Some(now.after(EVERY));
    }

    pub(crate) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        [self.read_at, self.ask_at].into_iter().flatten()
    }
}

impl Node {
    /// Reads IMDS again when it is time, and asks EC2 about what was put off.
    pub(crate) fn advance_hint(&mut self, out: &mut Out<'_>) {
        let now = out.boot();
        if !self.is_serving() || self.stopping {
            return;
        }
        if self.hint.ask_at.is_some_and(|at| at <= now) {
            self.hint.ask_at = None;
            self.hint.believed_at = Some(now);
            self.hint.repeats += 1;
            self.pace.refresh_by(now);
        }
        if self.hint.read_at.is_some_and(|at| at <= now) && !self.ops.reads_imds() {
            self.hint.read_at = Some(now.after(self.random.jitter(EVERY)));
            let op = self.ops.start(Operation::Imds);
            out.effects.push(Effect::ReadImds(op));
        }
    }

    /// IMDS was read while serving: EC2 is asked about what wasn't in doubt before, and more and more rarely about what
    /// still is.
    pub(crate) fn take_hint(&mut self, metadata: &InstanceMetadata, now: Instant) {
        let doubts = self.doubts(&metadata.interfaces, now);
        if !doubts.is_subset(&self.hint.asked) {
            self.hint.repeats = 0;
        }
        let pause = backoff(BELIEVED_EVERY, REFRESH, self.hint.repeats);
        let earliest = self.hint.believed_at.map_or(now, |at| at.after(pause));
        self.hint.ask_at = (!doubts.is_empty()).then_some(earliest.max(now));
        self.hint.asked = doubts;
    }

    fn doubts(&self, listed: &[ImdsInterface], now: Instant) -> BTreeSet<Doubt> {
        let mut doubts = BTreeSet::new();
        let unknown = |eni: &&EniId| {
            let leaves = |process: &Process| process.is_leaving();
            self.pool.eni(eni).is_none()
                && !self.lifecycle.enis.get(*eni).is_some_and(leaves)
                && !self.intents.is_deleted(eni)
        };
        // An ENI that is being created may be attached before its create is known to have succeeded.
        if self.lifecycle.creations.is_empty() {
            let ids = listed.iter().filter_map(|eni| eni.id.as_ref());
            doubts.extend(ids.filter(unknown).cloned().map(Doubt::Eni));
        }
        let settled = |eni: &EniId| !self.is_blocked(eni, now) && self.truth.may_remove(eni, now);
        for eni in self.pool.enis().filter(|eni| settled(&eni.id)) {
            match listed.iter().find(|other| other.mac == eni.mac) {
                None => {
                    doubts.insert(Doubt::Eni(eni.id.clone()));
                }
                // Its fields are missing: IMDS doesn't know either.
                Some(other) if other.id.is_none() => {}
                Some(_) if !eni.managed || eni.kind == EniKind::Trunk => {}
                Some(other) => self.doubt_addresses(eni, &other.addresses, &mut doubts),
            }
        }
        doubts
    }

    fn doubt_addresses(
        &self,
        eni: &pool::eni::Eni,
        listed: &[Ipv4Addr],
        doubts: &mut BTreeSet<Doubt>,
    ) {
        let gone =
            |state: &AddressState| matches!(state, AddressState::Leaving | AddressState::Lost);
        let known = self.pool.addresses(&eni.id);
        let missing = known
            .filter(|(address, state)| !gone(state) && !listed.contains(address))
            .map(|(address, _)| address);
        doubts.extend(missing.map(Doubt::Address));
        let extra = listed.iter().filter(|address| {
            **address != eni.primary
                && !self.intents.is_released(&eni.id, **address)
                && self
                    .pool
                    .state_of(**address)
                    .is_none_or(|(_, state)| state == AddressState::Lost)
        });
        doubts.extend(extra.copied().map(Doubt::Address));
    }
}
