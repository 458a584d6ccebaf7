//! The runners: one kind of effect each, started without waiting, completed exactly once.
//!
//! Owns: which runner an effect goes to. Must not: decide whether or when. Driven by: `owner`.

pub mod disk;
pub mod ec2;
pub mod imds;
pub mod notice;

use crate::inbox::Events;
use ipam::effect::{Effect, HostDesired};
use std::sync::Arc;
use tokio::sync::watch;

/// The newest state that the kernel should have, with its version.
pub type Desired = Option<(u64, HostDesired)>;

/// Everything an effect can be given to.
pub struct Runners {
    /// Where completions go.
    pub events: Events,
    /// EC2.
    pub ec2: Arc<dyn ec2::Ec2>,
    /// The metadata service.
    pub imds: imds::Runner,
    /// Our files.
    pub disk: disk::Runner,
    /// The host task.
    pub host: watch::Sender<Desired>,
}

impl Runners {
    /// Starts an effect. Never waits. Replies are the owner's own business.
    pub(crate) fn start(&self, effect: Effect) {
        match effect {
            Effect::Reply(..) => {}
            Effect::Write(op, content) => self.disk.start(self.events.ticket(op), content),
            Effect::Call(op, call, deadline) => {
                ec2::start(&self.ec2, self.events.ticket(op), call, deadline)
            }
            Effect::ReadImds(op) => self.imds.start(self.events.ticket(op)),
            Effect::Host(version, desired) => {
                drop(self.host.send_replace(Some((version, desired))))
            }
            Effect::Note(note) => notice::tell(&note),
        }
    }
}

#[cfg(test)]
mod tests;
