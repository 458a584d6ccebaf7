//! Percentiles of measured times. Pure. Driven by `demo` and `bench`. Must not: measure.

use std::time::Duration;

/// The nearest-rank percentile: the smallest value that at least `percent` % of all values do not exceed.
///
/// # Panics
/// When there are no values, or `percent` is not 1 to 100.
pub fn percentile(values: &[Duration], percent: usize) -> Duration {
    assert!(!values.is_empty() && (1..=100).contains(&percent));
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

/// Milliseconds, for people.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values_by_rank_whatever_the_order() {
        let values: Vec<_> = [9, 1, 8, 2, 7, 3, 6, 4, 5, 10]
            .map(Duration::from_millis)
            .into();
        let rank = |percent| milliseconds(percentile(&values, percent));
        assert_eq!(
            (rank(1), rank(50), rank(99), rank(100)),
            (1.0, 5.0, 10.0, 10.0)
        );
        assert_eq!(percentile(&values[..1], 50), Duration::from_millis(9));
    }
}
