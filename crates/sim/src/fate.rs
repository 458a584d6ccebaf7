//! What happens to one certain call: a fault of a plan that is named by action and number instead of being drawn.
//! Must not: draw anything. Driven by: `plan` (part of one), `shrink` (makes drawn faults certain), `text` (their text).

use model::time::Duration;
use vpc::{Action, Code, Error, Outcome, Verdict};

/// The fate of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// Which action.
    pub action: Action,
    /// The how-manieth call of that action, from 1.
    pub ordinal: u64,
    /// What becomes of it.
    pub end: End,
    /// How long it takes to EC2.
    pub there: Duration,
    /// How long its answer takes.
    pub back: Duration,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Carried out and answered, only the time is special.
    Answered,
    /// Carried out, the answer is lost.
    ReplyLost,
    /// Lost on its way.
    Lost,
    /// `RequestLimitExceeded`
    Throttled,
    /// An error that passes.
    Refused,
    /// 500, not carried out.
    Broken,
    /// 500, carried out all the same.
    AppliedAndBroken,
}

impl End {
    /// Every end with its words.
    pub const WORDS: &[(Self, &str)] = &[
        (Self::Answered, "applied, answered"),
        (Self::ReplyLost, "applied, reply lost"),
        (Self::Lost, "lost unapplied"),
        (Self::Throttled, "throttled"),
        (Self::Refused, "refused for now"),
        (Self::Broken, "server error, not applied"),
        (Self::AppliedAndBroken, "server error, applied"),
    ];

    fn outcome(self) -> (bool, Outcome) {
        let error = |code, text: &str| Outcome::Error(Error::new(code, text));
        let broken = "An internal error has occurred";
        match self {
            Self::Answered => (true, Outcome::Answer),
            Self::ReplyLost => (true, Outcome::Lost),
            Self::Lost => (false, Outcome::Lost),
            Self::Throttled => (
                false,
                error(Code::RequestLimitExceeded, "Request limit exceeded."),
            ),
            Self::Refused => (
                false,
                error(
                    Code::ConcurrentTagAccess,
                    "Another operation is in progress.",
                ),
            ),
            Self::Broken => (false, error(Code::InternalError, broken)),
            Self::AppliedAndBroken => (true, error(Code::InternalError, broken)),
        }
    }
}

impl Fate {
    /// The fate that a drawn verdict means; `None`: a verdict that no fate describes.
    pub fn of(action: Action, ordinal: u64, verdict: &Verdict) -> Option<Self> {
        let same = |end: &End| end.outcome() == (verdict.applied, verdict.outcome.clone());
        let (end, _) = End::WORDS.iter().find(|(end, _)| same(end))?;
        Some(Self {
            action,
            ordinal,
            end: *end,
            there: verdict.before,
            back: verdict.after,
        })
    }

    /// As the account understands it.
    pub fn verdict(&self) -> Verdict {
        let (applied, outcome) = self.end.outcome();
        Verdict {
            before: self.there,
            applied,
            after: self.back,
            outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_is_found_again_in_its_verdict() {
        for (number, (end, words)) in End::WORDS.iter().enumerate() {
            let fate = Fate {
                action: Action::CreateNetworkInterface,
                ordinal: 3,
                end: *end,
                there: Duration::from_millis(20),
                back: Duration::from_millis(7),
            };
            assert_eq!(Fate::of(fate.action, 3, &fate.verdict()), Some(fate));
            assert!(
                End::WORDS[..number].iter().all(|(_, other)| other != words),
                "{words} is said twice"
            );
        }
        let unknown = Verdict::refused(Error::new(Code::SubnetNotFound, "gone"));
        assert_eq!(Fate::of(Action::CreateTags, 1, &unknown), None);
    }
}
