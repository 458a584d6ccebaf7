//! The end of a run: faults off, time passes, then the liveness invariants are judged.
//! Must not: help the machine in any other way.

use super::World;
use crate::invariant::{self, Check, Invariant};
use model::limits::InstanceLimits;
use model::time::{Duration, Instant};
use std::collections::BTreeSet;
use vpc::Lag;

/// How long the world is left alone.
const REST: Duration = Duration::from_secs(20 * 60);
/// The first part of it, in which callers still try again what failed.
const UNREST: Duration = Duration::from_secs(6 * 60);
/// The last part of it, in which nothing may be changed any more.
const QUIET: Duration = Duration::from_secs(5 * 60);

impl World<'_> {
    pub(super) fn settle(&mut self) -> Check {
        self.trace.line(self.now, format_args!("SETTLE"));
        self.faults_on = false;
        (self.disk_fails_until, self.checkpoint_fails_until) = (Instant(0), Instant(0));
        self.vpc.faults_mut().clear();
        self.vpc.buckets_mut().enable();
        *self.vpc.lag_mut() = Lag::default();
        self.end_trouble();
        let until = self.now.after(REST);
        self.run_until(self.now.after(UNREST))?;
        self.ages.constant(self.now);
        self.run_until(until)?;
        self.checked.count(&[
            Invariant::Satisfied,
            Invariant::NoLeak,
            Invariant::NoGhost,
            Invariant::Quiet,
        ]);
        // What is on disk would be restored as it was written.
        self.checked.count(&[Invariant::Durable]);
        self.disk
            .read()
            .map_err(|text| (Invariant::Durable, text))?;
        self.check_satisfied()?;
        if self.settings.provisioning {
            invariant::settled::check_no_leak(&self.vpc, &self.instance)?;
        }
        self.check_no_ghost()?;
        let quiet_since = Instant(until.0 - super::setup::millis(QUIET));
        let changes = self.changes.iter().filter(|at| **at >= quiet_since).count();
        invariant::settled::check_quiet(u64::try_from(changes).unwrap_or(u64::MAX))?;
        self.check_rest()
    }

    fn check_satisfied(&self) -> Check {
        let count = |list: Vec<usize>| u32::try_from(list.len()).unwrap_or(u32::MAX);
        let wanted = count(self.runtime.pods_where(|pod| pod.wanted));
        let wired = count(self.runtime.pods_where(|pod| pod.wanted && pod.wired));
        // Nothing is asked for then; whoever waits is told so.
        if !self.settings.provisioning {
            return Ok(());
        }
        // A full subnet is nobody's fault; what it still has may lie on an ENI that cannot take more.
        if self
            .vpc
            .subnet(&self.subnet.record.id)
            .is_none_or(|subnet| subnet.available() < 3)
        {
            return Ok(());
        }
        invariant::settled::check_satisfied(wanted, wired, self.room())
    }

    /// Pods that the node can have.
    pub(super) fn room(&self) -> u32 {
        let ours = self.enis().saturating_sub(self.foreign_enis).max(1);
        (ours * self.slots_per_eni()).min(self.settings.max_pods)
    }

    /// ENIs that the node may have, others' included.
    pub(super) fn enis(&self) -> u32 {
        let limits = self.limits();
        self.settings
            .max_enis
            .unwrap_or(u32::MAX)
            .min(limits.enis())
    }

    /// Secondary addresses of one ENI.
    pub(super) fn slots_per_eni(&self) -> u32 {
        self.limits().slots_per_eni()
    }

    fn limits(&self) -> InstanceLimits {
        InstanceLimits::of(self.plan.instance_type).expect("the plan's types are in the table")
    }

    fn check_no_ghost(&self) -> Check {
        let held = self
            .disk
            .checkpoint()
            .allocations
            .iter()
            .map(|entry| entry.key.clone());
        let living: BTreeSet<_> = held.filter(|key| self.is_living(key)).collect();
        invariant::settled::check_no_ghost(self.disk.checkpoint(), &living)
    }
}
