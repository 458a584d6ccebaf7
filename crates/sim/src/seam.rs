//! The machine as the driver sees it: the real one, with a planted bug between it and the driver if one is asked for.
//! Must not: add behaviour without a planted bug. Driven by: `world`.

use crate::mutant::{Memory, Mutant};
use ipam::boot::Restored;
use ipam::effect::Effect;
use ipam::event::Event;
use ipam::node::Node;
use ipam::view::View;
use model::settings::NodeSettings;
use model::time::{Instant, Now};
use std::collections::VecDeque;

/// One process's machine.
#[derive(Debug, Clone)]
pub struct Seam {
    node: Node,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) memory: Memory,
    pub(crate) last: Instant,
}

impl Seam {
    /// A machine that restores this.
    pub fn new(
        settings: NodeSettings,
        restored: Restored,
        seed: u64,
        mutant: Option<Mutant>,
    ) -> Self {
        let settings = mutant.map_or(settings.clone(), |mutant| mutant.settings(settings));
        let restored = match mutant {
            Some(mutant) => mutant.restored(restored),
            None => restored,
        };
        Self {
            node: Node::new(settings, restored, seed),
            mutant,
            memory: Memory::default(),
            last: Instant(0),
        }
    }

    /// Begins start-up.
    pub fn start(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.last = now.boot;
        if self.mutant.is_none() {
            return self.node.start(now, effects);
        }
        let mut fresh = Vec::new();
        self.node.start(now, &mut fresh);
        self.pass(now, fresh, effects);
    }

    /// Applies one event.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        if self.mutant.is_none() {
            return self.node.handle(now, event, effects);
        }
        self.last = now.boot;
        let Some(event) = self.corrupt_event(event, effects) else {
            return;
        };
        let mut fresh = Vec::new();
        self.node.handle(now, event, &mut fresh);
        self.pass(now, fresh, effects);
    }

    /// When a timer is due.
    pub fn deadline(&self) -> Option<Instant> {
        if self.mutant == Some(Mutant::DeadlinePast) && self.node.is_serving() {
            return Some(self.last);
        }
        if self.forgets_timer() {
            return None;
        }
        self.node.deadline()
    }

    /// Whether start-up has finished.
    pub fn is_serving(&self) -> bool {
        self.node.is_serving()
    }

    /// What the machine shows.
    pub fn view(&self, now: Instant) -> View {
        self.node.view(now)
    }

    /// How much it remembers, in bytes of its text.
    pub fn size(&self) -> usize {
        format!("{:?}", self.node).len() + self.kept()
    }

    fn pass(&mut self, now: Now, fresh: Vec<Effect>, effects: &mut Vec<Effect>) {
        let mut queue = VecDeque::from(fresh);
        while let Some(effect) = queue.pop_front() {
            if let Some(event) = self.premature(&effect) {
                let mut more = Vec::new();
                self.node.handle(now, event, &mut more);
                queue.extend(more);
            }
            effects.extend(self.corrupt_effect(effect));
        }
    }
}
