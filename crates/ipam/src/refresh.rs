//! When EC2 is asked again what this instance has. Part of [`Node`].
//!
//! What is attached: every few minutes, and when something is in doubt. What was made for the instance and is attached
//! to nothing: at start, a minute later, after a create of unknown outcome, and hourly. Must not: judge the answers.

use crate::bucket::Lane;
use crate::node::{Node, Out};
use crate::plan::REFRESH;
use model::call::{Action, Call, Scope};
use model::time::Duration;

/// While an address is held whose ENI EC2 has not listed yet.
const HOMELESS: Duration = Duration::from_secs(15);
/// A create that was given up may be carried out later; after this it is visible if it was.
pub(crate) const ORPHAN_VISIBLE: Duration = Duration::from_secs(75);
const ORPHANS_EVERY: Duration = Duration::from_secs(3600);

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
            self.pace.refresh_by(now.after(HOMELESS));
        }
        if !self
            .budget
            .allows(Action::DescribeNetworkInterfaces, Lane::CleanUp, now)
        {
            return;
        }
        let second = self.truth.second_read_due().is_some_and(|at| at <= now);
        if second || self.pace.refresh_at.is_some_and(|at| at <= now) {
            self.pace.refresh_at = Some(now.after(self.random.jitter(REFRESH)));
            self.read(Scope::AttachedTo(instance.clone()), out);
        }
        let hourly = now.after(self.random.jitter(ORPHANS_EVERY));
        if (self.pace.take_orphan_look(now, hourly) || second) && self.settings.provisioning {
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
