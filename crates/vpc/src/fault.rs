//! What goes wrong with a call on its way: delays, refusals, answers that get lost, calls that are carried out late.
//! Must not: wait or lose anything itself. A door asks [`crate::Vpc::judge`] for a verdict when a call arrives, lets
//! `before` pass, calls [`crate::Vpc::carry_out`], lets `after` pass, then delivers or loses what came out. The
//! simulator does the same with scheduled events, so a call can be carried out after its caller died.

use crate::error::Error;
use crate::hash::{mix, of_text};
use crate::imds::{Refusal, Refusals};
use crate::lag::Delay;
use crate::request::Action;
use model::time::{Duration, Instant};
use std::collections::BTreeMap;

/// What happens to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// From arrival until the account carries the call out.
    pub before: Duration,
    /// Whether it is carried out at all.
    pub applied: bool,
    /// From there until the caller hears.
    pub after: Duration,
    /// What the caller hears.
    pub outcome: Outcome,
}

/// What the caller hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The account's own answer; when the call was not applied this is [`Outcome::Lost`].
    Answer,
    /// This error, whether or not the call was applied.
    Error(Error),
    /// Nothing: the connection ends without an answer.
    Lost,
}

impl Default for Verdict {
    fn default() -> Self {
        Self {
            before: Duration::ZERO,
            applied: true,
            after: Duration::ZERO,
            outcome: Outcome::Answer,
        }
    }
}

impl Verdict {
    /// Carried out, but the answer gets lost.
    pub fn applied_and_lost() -> Self {
        Self {
            outcome: Outcome::Lost,
            ..Self::default()
        }
    }

    /// Lost on the way there.
    pub fn lost_unapplied() -> Self {
        Self {
            applied: false,
            outcome: Outcome::Lost,
            ..Self::default()
        }
    }

    /// Refused with this error, nothing changed.
    pub fn refused(error: Error) -> Self {
        Self {
            applied: false,
            outcome: Outcome::Error(error),
            ..Self::default()
        }
    }
}

/// A verdict that some calls get, drawn by hash of (seed, action, ordinal).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chance {
    /// Which calls; all when `None`.
    pub action: Option<Action>,
    /// How many of a thousand.
    pub permille: u16,
    /// What they get.
    pub verdict: Verdict,
    /// Added to the verdict's `before`.
    pub before: Delay,
    /// Added to the verdict's `after`.
    pub after: Delay,
}

/// The faults of an account; none unless set.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    chances: Vec<Chance>,
    plan: BTreeMap<(Action, u64), Verdict>,
    ordinals: BTreeMap<Action, u64>,
    imds: Refusals,
    imds_delay: Delay,
    imds_requests: u64,
}

impl Faults {
    /// Adds a chance; the first one that strikes decides.
    pub fn add(&mut self, chance: Chance) {
        self.chances.push(chance);
    }

    /// Forgets all chances and the plan; what was counted stays counted.
    pub fn clear(&mut self) {
        self.chances.clear();
        self.plan.clear();
        self.imds.clear();
        self.imds_delay = Delay::default();
    }

    /// The verdict of the `ordinal`-th call (from 1) of an action; goes before every chance.
    pub fn plan(&mut self, action: Action, ordinal: u64, verdict: Verdict) {
        self.plan.insert((action, ordinal), verdict);
    }

    /// The verdict of the next call of an action.
    pub fn plan_next(&mut self, action: Action, verdict: Verdict) {
        self.plan(action, self.seen(action) + 1, verdict);
    }

    /// How many calls of an action have been judged.
    pub fn seen(&self, action: Action) -> u64 {
        self.ordinals.get(&action).copied().unwrap_or(0)
    }

    /// From now on IMDS answers every path that contains `part` with this status (404: missing; 429, 503: throttled).
    pub fn fail_imds(&mut self, part: &str, status: u16) {
        self.imds.set(Refusal::new(part, status));
    }

    /// IMDS refuses as this says; an earlier refusal of the same paths ends.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.imds.set(refusal);
    }

    /// From now on each answer of IMDS takes that long.
    pub fn delay_imds(&mut self, delay: Delay) {
        self.imds_delay = delay;
    }

    pub(crate) fn refuse_imds(&mut self, now: Instant, path: &str) -> Option<(u16, Option<u32>)> {
        self.imds.strike(now, path)
    }

    pub(crate) fn imds_delay(&mut self, seed: u64) -> Duration {
        self.imds_requests += 1;
        self.imds_delay
            .draw(mix(seed, &[0x1d5, self.imds_requests]))
    }

    pub(crate) fn judge(&mut self, seed: u64, action: Action) -> Verdict {
        let ordinal = self.seen(action) + 1;
        self.ordinals.insert(action, ordinal);
        if let Some(planned) = self.plan.get(&(action, ordinal)) {
            return planned.clone();
        }
        let draw = |what: u64, chance: usize| {
            mix(
                seed,
                &[0xfa, of_text(action.name()), ordinal, what, chance as u64],
            )
        };
        let struck = self.chances.iter().enumerate().find(|(number, chance)| {
            chance.action.is_none_or(|wanted| wanted == action)
                && draw(0, *number) % 1000 < u64::from(chance.permille)
        });
        struck.map_or_else(Verdict::default, |(number, chance)| Verdict {
            before: chance.verdict.before + chance.before.draw(draw(1, number)),
            after: chance.verdict.after + chance.after.draw(draw(2, number)),
            ..chance.verdict.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half() -> Faults {
        let mut faults = Faults::default();
        faults.add(Chance {
            action: Some(Action::CreateNetworkInterface),
            permille: 500,
            verdict: Verdict::applied_and_lost(),
            before: Delay::default(),
            after: Delay {
                min: Duration::ZERO,
                max: Duration::from_secs(9),
            },
        });
        faults
    }

    #[test]
    fn a_verdict_depends_on_seed_action_and_ordinal_but_not_on_other_calls() {
        let (mut alone, mut mixed) = (half(), half());
        let mut struck = 0;
        for _ in 0..200 {
            let verdict = alone.judge(7, Action::CreateNetworkInterface);
            struck += usize::from(verdict.outcome == Outcome::Lost);
            assert_eq!(
                mixed.judge(7, Action::DeleteNetworkInterface),
                Verdict::default()
            );
            assert_eq!(mixed.judge(7, Action::CreateNetworkInterface), verdict);
        }
        assert!((60..140).contains(&struck), "{struck} of 200");
    }

    #[test]
    fn the_plan_goes_before_chance_and_strikes_once() {
        let mut faults = Faults::default();
        faults.plan(Action::CreateTags, 2, Verdict::lost_unapplied());
        let verdicts: Vec<_> = (0..3)
            .map(|_| faults.judge(1, Action::CreateTags).applied)
            .collect();
        assert_eq!(verdicts, [true, false, true]);
        faults.plan_next(Action::CreateTags, Verdict::applied_and_lost());
        assert_eq!(
            faults.judge(1, Action::CreateTags),
            Verdict::applied_and_lost()
        );
    }
}
