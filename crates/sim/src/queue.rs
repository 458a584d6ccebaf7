//! Virtual time: what happens next, ordered by time and then by order of insertion. Must not: know what it queues.
//! Driven by: `world`.

use model::time::Instant;
use std::collections::BTreeMap;

/// Things to happen.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: BTreeMap<(Instant, u64), T>,
    inserted: u64,
}

impl<T> Queue<T> {
    /// Nothing will happen.
    pub fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            inserted: 0,
        }
    }

    /// Lets something happen at `at`.
    pub fn push(&mut self, at: Instant, item: T) {
        self.inserted += 1;
        self.waiting.insert((at, self.inserted), item);
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<Instant> {
        self.waiting.keys().next().map(|(at, _)| *at)
    }

    /// Takes the next thing.
    pub fn pop(&mut self) -> Option<(Instant, T)> {
        self.waiting.pop_first().map(|((at, _), item)| (at, item))
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_first_then_first_come() {
        let mut queue = Queue::new();
        queue.push(Instant(5), "late");
        queue.push(Instant(1), "first");
        queue.push(Instant(1), "second");
        assert_eq!(queue.next_at(), Some(Instant(1)));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop())
            .map(|(_, item)| item)
            .collect();
        assert_eq!(order, ["first", "second", "late"]);
    }
}
