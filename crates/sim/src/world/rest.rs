//! The world at rest: what the node has, wants and remembers, an hour of nothing, and a restart that changes nothing.
//! Must not: cause anything but that restart.

use super::World;
use crate::invariant::{self, Check, Invariant, settled, target, truth};
use ipam::view::View;
use model::time::Duration;
use std::net::Ipv4Addr;
use vpc::Interface;

/// One seed in so many gets the hour and the restart: they cost as much as the run itself.
const LONG_REST_EVERY: u64 = 4;
const HOUR: Duration = Duration::from_secs(3600);
/// By then a restarted daemon has looked at everything it looks at.
const RESTARTED: Duration = Duration::from_secs(180);

impl World<'_> {
    pub(super) fn check_rest(&mut self) -> Check {
        self.checked.count(&[Invariant::Bounded]);
        self.check_idle()?;
        invariant::owned::check_reported(&self.vpc, &self.instance, &self.oracle)?;
        self.check_target()?;
        self.check_truth()?;
        self.check_size()?;
        if !self.plan.seed.is_multiple_of(LONG_REST_EVERY) {
            return Ok(());
        }
        let reads = self.reads;
        self.run_until(self.now.after(HOUR))?;
        settled::check_hour(self.reads - reads)?;
        self.check_idle()?;
        self.check_restart()
    }

    fn check_idle(&self) -> Check {
        let Some(daemon) = &self.daemon else {
            return invariant::violated(Invariant::Quiet, "no daemon runs".to_owned());
        };
        settled::check_idle(&settled::Open {
            operations: daemon.in_flight.count(),
            // Nothing may be sent for them while provisioning is off.
            intents: if self.settings.provisioning {
                self.disk.journal().len()
            } else {
                0
            },
            held: self.view().map_or(0, |view| view.held_effects),
        })
    }

    fn view(&self) -> Option<View> {
        let now = self.on_boot_clock(self.now);
        self.daemon.as_ref().map(|daemon| daemon.seam.view(now))
    }

    fn check_target(&self) -> Check {
        // Others' ENIs make it hard to say what the node could have; the other seeds say it.
        if self.foreign_enis > 0 || !self.settings.provisioning {
            return Ok(());
        }
        let owned: Vec<Ipv4Addr> = self
            .bound()
            .flat_map(|eni| eni.addresses.iter())
            .filter(|known| !known.primary)
            .map(|known| known.address)
            .collect();
        let allocations = &self.disk.checkpoint().allocations;
        let held = allocations
            .iter()
            .filter(|entry| owned.contains(&entry.address));
        let subnet = self.vpc.subnet(&self.subnet.record.id);
        target::check(&target::Pool {
            targets: self.settings.targets,
            total: number(owned.len()),
            held: number(held.count()),
            capacity: self.room(),
            slots_per_eni: self.slots_per_eni(),
            left_in_subnet: subnet.map_or(0, vpc::Subnet::available),
        })
    }

    fn check_truth(&self) -> Check {
        let Some(view) = self.view() else {
            return Ok(());
        };
        let attached: Vec<&Interface> = self.bound().collect();
        truth::check(&view, &attached)
    }

    fn check_size(&self) -> Check {
        let Some(daemon) = &self.daemon else {
            return Ok(());
        };
        let limits = self.settings.max_enis.unwrap_or(0).max(self.enis());
        let slots = limits * (self.slots_per_eni() + 1);
        let pods = number(self.runtime.pods.len());
        settled::check_size(daemon.seam.size(), slots + pods)
    }

    /// L5.
    fn check_restart(&mut self) -> Check {
        self.checked.count(&[Invariant::Restart]);
        let before = self.view();
        let (reads, changes) = (self.reads, self.changes.len());
        self.kill(Duration::from_secs(1))?;
        self.run_until(self.now.after(RESTARTED))?;
        let after = self.view();
        settled::check_restart(&settled::Restart {
            reads: self.reads - reads,
            mutations: self.changes.len() - changes,
            same: before.as_ref().map(shown) == after.as_ref().map(shown),
        })
    }

    /// The ENIs that EC2 binds to the instance.
    fn bound(&self) -> impl Iterator<Item = &Interface> {
        self.vpc.interfaces().filter(|eni| {
            eni.attachment
                .as_ref()
                .is_some_and(|a| a.instance == self.instance && a.detached_at.is_none())
        })
    }
}

/// What of a view must be the same after a restart: all but what waits, and what people took from pods.
fn shown(view: &View) -> String {
    let mut enis = view.enis.clone();
    for eni in &mut enis {
        eni.addresses -= std::mem::take(&mut eni.lost);
    }
    format!("{:?} {enis:?} {:?}", view.health, view.stats)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
