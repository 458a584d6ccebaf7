//! When EC2 is asked again what this instance has. Part of [`Node`].
//!
//! What is attached: every hour or two, and when something is in doubt. What was made for the instance and is attached to
//! nothing: at start, a minute later, and after whatever may leave such an ENI behind. Must not: judge the answers.

use crate::bucket::Lane;
use crate::node::{Node, Out};
use crate::pace::REFRESH;
use model::call::{Action, Call, Scope};
use model::time::{Duration, Instant};

/// A create that was given up may be carried out later; after this it is visible if it was.
pub(crate) const ORPHAN_VISIBLE: Duration = Duration::from_secs(75);

impl Node {
    /// Asks EC2 again what this instance has, when it is time.
    pub(crate) fn advance_truth(&mut self, out: &mut Out<'_>) {
        let now = out.boot();
        let metadata = self.world.metadata.as_ref();
        let Some(instance) = metadata.map(|metadata| metadata.instance.clone()) else {
            return;
        };
        if !self.is_serving() || self.stopping {
            return;
        }
        if self.pool.homeless() > 0 {
            self.pace.seek_homeless(now);
        }
        if !self
            .budget
            .allows(Action::DescribeNetworkInterfaces, Lane::CleanUp, now)
        {
            return;
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let (second_read, second_look) = (
            is_due(self.truth.second_read_due()),
            is_due(self.truth.second_look_due()),
        );
        let next = now.after(self.random.jitter(REFRESH));
        if self.pace.take_refresh(now, next) || second_read {
            self.read(Scope::AttachedTo(instance.clone()), out);
        }
        if (self.pace.take_orphan_look(now) || second_look) && self.settings.provisioning {
            self.read(Scope::MadeFor(instance), out);
        }
    }

    fn read(&mut self, scope: Scope, out: &mut Out<'_>) {
        let call = Call::DescribeInterfaces(scope);
        if !self.ops.any_call(|open| *open == call) {
            self.call(call, out);
        }
    }
}
