//! Seeded draws: every choice of a run comes from its seed. Must not: read a random device. Driven by: `plan`, `world`.

/// A SplitMix64 generator; each subject draws from a stream of its own, so that one more draw here moves nothing there.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of one subject of one seed.
    pub fn new(seed: u64, subject: &str) -> Self {
        let mut random = Self(seed ^ fnv(FNV_START, subject.as_bytes()));
        random.draw();
        random
    }

    /// 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.draw() % (high.saturating_sub(low) + 1)
    }

    /// True in `permille` of 1,000 draws.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.draw() % 1000 < permille
    }

    /// One of the choices.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let last = u64::try_from(choices.len().saturating_sub(1)).expect("a list fits in memory");
        choices[usize::try_from(self.between(0, last)).expect("an index of the list")]
    }
}

/// Start value of [`fnv`].
pub const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// Continues a 64-bit FNV-1a hash.
pub fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_subject() {
        let draw = |seed, subject| Random::new(seed, subject).draw();
        assert_eq!(draw(7, "disk"), draw(7, "disk"));
        assert_ne!(draw(7, "disk"), draw(7, "pods"));
        assert_ne!(draw(7, "disk"), draw(8, "disk"));
    }

    #[test]
    fn bounds_are_included() {
        let mut random = Random::new(1, "bounds");
        let drawn: std::collections::BTreeSet<u64> =
            (0..200).map(|_| random.between(3, 5)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
    }
}
