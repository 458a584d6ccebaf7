//! What each view sees of one ENI: the states it went through, each with the time from which a view shows it.
//! Must not: know why it changed.

use crate::eni::Interface;
use model::time::Instant;

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// DescribeNetworkInterfaces, all but tags.
    Describe = 0,
    /// The tags in it.
    Tags = 1,
    /// The instance metadata service.
    Imds = 2,
    /// The guest's devices.
    Link = 3,
}

/// From when each view shows a state.
pub(crate) type VisibleAt = [Instant; 4];

/// The states of one ENI that some view may still show, oldest first; the last one is the truth.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    states: Vec<State>,
    /// When each view will show the end of a detach that is under way. Drawn when it begins, so that the account
    /// knows every coming event even before somebody lets time pass.
    pub(crate) ending: Option<VisibleAt>,
}

#[derive(Debug, Clone)]
struct State {
    visible_at: VisibleAt,
    /// `None`: deleted.
    interface: Option<Interface>,
}

impl History {
    /// What is really so.
    pub(crate) fn truth(&self) -> Option<&Interface> {
        self.states
            .last()
            .and_then(|state| state.interface.as_ref())
    }

    /// What a view shows.
    pub(crate) fn seen(&self, view: View, now: Instant) -> Option<&Interface> {
        let shown = self
            .states
            .iter()
            .rev()
            .find(|state| state.visible_at[view as usize] <= now)?;
        shown.interface.as_ref()
    }

    /// Adds a state. No view ever goes back: a state is not shown before the one it follows.
    pub(crate) fn push(
        &mut self,
        mut visible_at: VisibleAt,
        interface: Option<Interface>,
    ) -> VisibleAt {
        if let Some(last) = self.states.last() {
            for (at, before) in visible_at.iter_mut().zip(last.visible_at) {
                *at = (*at).max(before);
            }
        }
        self.states.push(State {
            visible_at,
            interface,
        });
        visible_at
    }

    /// Drops what no view will show again. False when nothing is left but the news of the deletion.
    pub(crate) fn prune(&mut self, now: Instant) -> bool {
        let current = self
            .states
            .iter()
            .rposition(|state| state.visible_at.iter().all(|at| *at <= now));
        if let Some(current) = current {
            self.states.drain(..current);
        }
        !matches!(
            (current, self.states.as_slice()),
            (
                Some(_),
                [State {
                    interface: None,
                    ..
                }]
            )
        )
    }
}
