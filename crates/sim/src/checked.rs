//! How often each invariant was looked at: a check that is never made proves nothing. Must not: influence the run.
//! Driven by: `world`, where the checks are made; read by the program's last lines.

use crate::invariant::Invariant;

/// Counts per invariant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked([u64; 32]);

impl Checked {
    /// These are checked now.
    pub fn count(&mut self, invariants: &[Invariant]) {
        for invariant in invariants {
            self.0[*invariant as usize] += 1;
        }
    }

    /// Adds the counts of another run.
    pub fn merge(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }

    /// How often an invariant was checked.
    pub fn of(&self, invariant: Invariant) -> u64 {
        self.0[invariant as usize]
    }

    /// Those that never were.
    pub fn missing(&self) -> Vec<Invariant> {
        let never = |invariant: &Invariant| self.of(*invariant) == 0;
        Invariant::ALL.iter().copied().filter(never).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutant::Mutant;

    #[test]
    fn every_invariant_has_a_count_of_its_own() {
        let mut checked = Checked::default();
        for (number, invariant) in (1..).zip(Invariant::ALL) {
            (0..number).for_each(|_| checked.count(&[*invariant]));
        }
        let counts: Vec<u64> = Invariant::ALL.iter().map(|i| checked.of(*i)).collect();
        assert_eq!(counts, (1..=counts.len() as u64).collect::<Vec<_>>());
        let mut twice = checked.clone();
        twice.merge(&checked);
        assert_eq!(twice.of(Invariant::Distinct), 2);
        assert_eq!(Checked::default().missing(), Invariant::ALL);
    }

    #[test]
    fn every_invariant_that_a_planted_bug_breaks_is_listed() {
        for mutant in Mutant::ALL {
            assert!(
                Invariant::ALL.contains(&mutant.found_by()),
                "{}",
                mutant.name()
            );
        }
    }
}
