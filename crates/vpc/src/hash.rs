//! Deterministic draws: a number for each (seed, words), whatever was drawn before. Must not: keep state.

/// A well mixed 64-bit number for these words (splitmix64's finaliser, folded over the words).
pub(crate) fn mix(seed: u64, words: &[u64]) -> u64 {
    words
        .iter()
        .fold(finish(seed), |state, word| finish(state ^ finish(*word)))
}

/// A stable number for a text, so that reordering an enum does not change what a seed means (FNV-1a).
pub(crate) fn of_text(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn finish(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
