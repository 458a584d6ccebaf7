//! The plan that ends a deficit with the fewest EC2 calls, and how many pods that can serve. Must not: send a call,
//! remember a plan, choose a subnet.

use crate::eni::{Eni, EniState};
use crate::inventory::Inventory;
use crate::room::{enis_left, slots_left};
use crate::stats::Stats;
use crate::targets::wanted_free;
use model::id::EniId;
use model::settings::{Mode, WarmTargets};
use model::time::Instant;
use std::cmp::Reverse;

/// What the inventory does not show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    /// ADDs that wait for an address.
    pub waiting: u32,
    /// Secondary addresses of ENIs that are being created and have no id yet.
    pub creating: Vec<u32>,
}

/// One EC2 call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Growth {
    /// More addresses for an ENI.
    Assign {
        /// The ENI.
        eni: EniId,
        /// How many, at least 1.
        count: u32,
    },
    /// A new ENI.
    Create {
        /// Its secondary addresses, at least 1.
        secondary: u32,
    },
}

/// The calls that bring the pool to its targets, waiting ADDs counted as if they held an address already and everything
/// on its way as if it were there. Existing ENIs are filled before one is created. An ENI that is `blocked` (a call is in
/// flight) gets nothing now, and what it has room for is left to it rather than to a new ENI. Never more addresses than
/// the node may run pods.
pub fn plan_growth(
    inventory: &Inventory,
    targets: &WarmTargets,
    demand: &Demand,
    blocked: &dyn Fn(&EniId) -> bool,
    now: Instant,
) -> Vec<Growth> {
    let mut ask = Ask::new(inventory, targets, demand, now);
    let (later, mut open): (Vec<_>, Vec<_>) = rooms(inventory)
        .into_iter()
        .partition(|room| blocked(&room.eni.id));
    let mut plan = Vec::new();
    while let Some(position) = best_fit(&open, ask.deficit) {
        let room = open.swap_remove(position);
        match ask.take(room.left) {
            0 => break,
            count => plan.push(Growth::Assign {
                eni: room.eni.id.clone(),
                count,
            }),
        }
    }
    for room in later {
        ask.take(room.left);
    }
    for _ in 0..enis_left(inventory, demand.creating.len()) {
        match ask.take(inventory.limits.slots_per_eni) {
            0 => break,
            secondary => plan.push(Growth::Create { secondary }),
        }
    }
    plan
}

/// How many ADDs could get an address: what is free or stops cooling in time, what is on its way, and what ENIs and free
/// places still allow. It does not ask whether EC2 will deliver.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Of them without those that cool now.
    at_once: i64,
    /// When those that cool now can be had.
    cooling: Vec<Instant>,
}

impl Reach {
    /// What can be had, computed once for any number of deadlines.
    pub fn of(inventory: &Inventory, demand: &Demand, now: Instant) -> Self {
        let stats = inventory.stats(now);
        let supply = Supply::with(&stats, inventory, demand);
        let slots = i64::from(inventory.limits.slots_per_eni);
        let rooms: i64 = rooms(inventory)
            .iter()
            .map(|room| i64::from(room.left))
            .sum();
        // What is being given back makes place for what may be asked for anew.
        let returning = i64::from(stats.leaving);
        let leaving = inventory
            .enis()
            .filter(|eni| eni.managed && eni.state == EniState::Leaving)
            .count();
        let enis = i64::from(enis_left(inventory, demand.creating.len()))
            + i64::try_from(leaving).unwrap_or(0);
        let more = (rooms + returning + enis * slots)
            .min(i64::from(inventory.limits.max_pods) - supply.total)
            .max(0);
        Self {
            at_once: supply.ready + more,
            cooling: inventory.cooldown_ends(now).collect(),
        }
    }

    /// How many of them before `until`.
    pub fn until(&self, until: Instant) -> u32 {
        let in_time = self.cooling.iter().filter(|end| **end <= until).count();
        let in_time = i64::try_from(in_time).unwrap_or(0);
        u32::try_from(self.at_once + in_time).unwrap_or(u32::MAX)
    }
}

/// Addresses that are there or on their way.
struct Supply {
    /// All of them.
    total: i64,
    /// Those that are or will be held.
    held: i64,
    /// Those a waiting ADD can get; cooling ones cannot be had in time.
    ready: i64,
}

impl Supply {
    fn of(inventory: &Inventory, demand: &Demand, at: Instant) -> Self {
        Self::with(&inventory.stats(at), inventory, demand)
    }

    /// With the numbers of that time at hand.
    fn with(stats: &Stats, inventory: &Inventory, demand: &Demand) -> Self {
        let incoming: i64 = inventory
            .enis()
            .filter(|eni| eni.counts())
            .map(|eni| i64::from(eni.incoming))
            .sum();
        let creating: i64 = demand.creating.iter().map(|count| i64::from(*count)).sum();
        let coming = incoming + creating;
        Self {
            total: i64::from(stats.total) + coming,
            held: i64::from(stats.held),
            // Free addresses of a coming ENI included: they are usable as soon as the ENI is.
            ready: i64::from(stats.available - stats.cooling) + coming,
        }
    }
}

/// What is still to be asked for.
struct Ask {
    deficit: i64,
    /// Addresses that the limit of pods leaves.
    headroom: i64,
    /// Without IP targets an ENI is filled whole, as upstream does.
    whole: bool,
}

impl Ask {
    fn new(inventory: &Inventory, targets: &WarmTargets, demand: &Demand, now: Instant) -> Self {
        let supply = Supply::of(inventory, demand, now);
        let waiting = i64::from(demand.waiting);
        let free = supply.total - supply.held - waiting;
        let for_targets = if targets.ip_targets_defined() {
            (i64::from(targets.warm_ip) - free).max(i64::from(targets.minimum_ip) - supply.total)
        } else {
            wanted_free(Mode::Secondary, targets, &inventory.limits) - free
        };
        Self {
            deficit: for_targets.max(waiting - supply.ready),
            headroom: i64::from(inventory.limits.max_pods) - supply.total,
            whole: !targets.ip_targets_defined(),
        }
    }

    /// Asks for addresses where `left` fit; returns how many.
    fn take(&mut self, left: u32) -> u32 {
        if self.deficit <= 0 {
            return 0;
        }
        let wanted = if self.whole {
            i64::from(left)
        } else {
            self.deficit.min(i64::from(left))
        };
        let count = wanted.min(self.headroom).max(0);
        self.deficit -= count;
        self.headroom -= count;
        u32::try_from(count).expect("no more than fits on an ENI")
    }
}

/// An ENI that takes more addresses.
struct Room<'a> {
    eni: &'a Eni,
    left: u32,
}

fn rooms(inventory: &Inventory) -> Vec<Room<'_>> {
    let per_eni = inventory.limits.slots_per_eni;
    let ours = inventory
        .enis
        .values()
        .filter(|slots| slots.eni.may_change());
    let rooms = ours.map(|slots| Room {
        eni: &slots.eni,
        left: slots_left(slots, per_eni),
    });
    rooms.filter(|room| room.left > 0).collect()
}

/// The smallest room that takes the whole deficit, a usable ENI's first; else the largest one.
fn best_fit(rooms: &[Room<'_>], deficit: i64) -> Option<usize> {
    let all = || rooms.iter().enumerate();
    let enough = all().filter(|(_, room)| i64::from(room.left) >= deficit);
    let enough = enough.min_by_key(|(_, room)| {
        (
            room.eni.state == EniState::Coming,
            room.left,
            room.eni.index,
        )
    });
    let largest = || all().max_by_key(|(_, room)| (room.left, Reverse(room.eni.index)));
    enough.or_else(largest).map(|(position, _)| position)
}

#[cfg(test)]
mod tests;
