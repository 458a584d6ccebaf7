//! How long things take: per view, how late a change is seen; how long attaching and detaching last.
//! Must not: know what changed.

use crate::hash::mix;
use model::time::Duration;

/// A range of delays; both ends can be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delay {
    /// The shortest.
    pub min: Duration,
    /// The longest; below `min` it counts as `min`.
    pub max: Duration,
}

impl Delay {
    /// No choice: always this long.
    pub fn exactly(delay: Duration) -> Self {
        Self {
            min: delay,
            max: delay,
        }
    }

    /// The delay that belongs to a hash, in whole milliseconds.
    pub fn draw(self, hash: u64) -> Duration {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (min, max) = (millis(self.min), millis(self.max).max(millis(self.min)));
        Duration::from_millis(match (max - min).checked_add(1) {
            Some(width) => min + hash % width,
            None => hash,
        })
    }
}

/// The delays of an account; all zero unless set. A setting applies to changes made after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// A change → DescribeNetworkInterfaces shows it.
    pub describe: Delay,
    /// A change of tags → describes and their filters see it.
    pub tags: Delay,
    /// A change (an attach: its end) → IMDS shows it.
    pub imds: Delay,
    /// The end of an attach, the begin of a detach → the guest's device comes or goes.
    pub link: Delay,
    /// `attaching` → `in-use`.
    pub attach: Delay,
    /// `detaching` → `available`.
    pub detach: Delay,
}

/// What a draw is for: each has its own, so that setting one delay does not move another.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Describe = 0,
    Tags = 1,
    Imds = 2,
    Link = 3,
    Attach = 4,
    Detach = 5,
}

impl Lag {
    /// The delay of one kind for one change.
    pub(crate) fn of(&self, kind: Kind, seed: u64, change: u64) -> Duration {
        let delay = match kind {
            Kind::Describe => self.describe,
            Kind::Tags => self.tags,
            Kind::Imds => self.imds,
            Kind::Link => self.link,
            Kind::Attach => self.attach,
            Kind::Detach => self.detach,
        };
        delay.draw(mix(seed, &[0x1a6, change, kind as u64]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_stays_in_its_range_and_reaches_both_ends() {
        let delay = Delay {
            min: Duration::from_millis(3),
            max: Duration::from_millis(5),
        };
        let drawn: std::collections::BTreeSet<_> = (0..100)
            .map(|n| delay.draw(mix(1, &[n])).as_millis())
            .collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
        let reversed = Delay {
            min: Duration::from_millis(3),
            max: Duration::ZERO,
        };
        assert_eq!(reversed.draw(77), Duration::from_millis(3));
    }
}
