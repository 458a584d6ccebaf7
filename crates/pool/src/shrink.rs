//! What the pool may give back, and when it should not. Must not: touch an address that anybody holds, that cools, or
//! that a link routes; send a call.
//!
//! Upstream frees an ENI on one rule and adds one on another, and with `WARM_ENI_TARGET=0` the two chase each other for
//! ever. Here nothing goes that growth would bring back: each step is checked against the targets as they would be after.

use crate::address::AddressState;
use crate::eni::EniState;
use crate::grow::Demand;
use crate::inventory::{Inventory, Slots};
use crate::targets::{Counts, assess, may_free_eni};
use model::id::EniId;
use model::settings::WarmTargets;
use model::time::{Duration, Instant};
use std::cmp::Reverse;
use std::net::Ipv4Addr;

/// An ENI younger than this is not freed.
const MINIMUM_AGE: Duration = Duration::from_secs(60);

/// One thing to give back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// Addresses of an ENI that stays.
    Addresses {
        /// The ENI.
        eni: EniId,
        /// Free ones, at least one.
        addresses: Vec<Ipv4Addr>,
    },
    /// An ENI with all its addresses, none of which is in use.
    Eni {
        /// The ENI.
        eni: EniId,
    },
}

/// What may go: whole ENIs first, then single addresses of the ENIs with the fewest pods. Nothing while an ADD waits,
/// something is on its way, or the pool is too low. Only addresses that [`Inventory::start_leaving`] accepts.
pub fn plan_release(
    inventory: &Inventory,
    targets: &WarmTargets,
    demand: &Demand,
    blocked: &dyn Fn(&EniId) -> bool,
    now: Instant,
) -> Vec<Release> {
    let mut counts = Counts::from(inventory.stats(now));
    if is_growing(inventory, demand) || assess(&counts, targets, inventory.limits()).too_low {
        return Vec::new();
    }
    let mut plan = Vec::new();
    let mut staying = Vec::new();
    for slots in leaving_order(inventory) {
        if blocked(&slots.eni.id) {
            continue;
        }
        if is_freeable(slots, now) && is_spare(inventory, targets, &counts, size(slots)) {
            counts.total -= size(slots);
            plan.push(Release::Eni {
                eni: slots.eni.id.clone(),
            });
        } else {
            staying.push(slots);
        }
    }
    let surplus = surplus(inventory, targets, &counts, now);
    plan.extend(take_addresses(&staying, surplus));
    plan
}

/// The ENIs of which any one could be freed by upstream's rules (ipamd.md §3.6), by id. [`plan_release`] frees fewer: not
/// those that growth would bring back.
pub fn deletable_enis(inventory: &Inventory, targets: &WarmTargets, now: Instant) -> Vec<EniId> {
    let counts = Counts::from(inventory.stats(now));
    let deletable = inventory
        .enis
        .values()
        .filter(|slots| is_freeable(slots, now));
    let deletable = deletable.filter(|slots| others_suffice(targets, &counts, size(slots)));
    deletable.map(|slots| slots.eni.id.clone()).collect()
}

/// Rules 1–4, 8 and 9 of §3.6, about the ENI itself: not primary, old enough, ordinary, nothing on it held or cooling. A
/// prefix may hide a pod. What EC2 has taken from a pod is not there any more.
fn is_freeable(slots: &Slots, now: Instant) -> bool {
    let idle = slots.prefixes.is_empty()
        && slots
            .addresses
            .states()
            .all(|state| state.is_assignable(now) || *state == AddressState::Lost);
    let old = now.since(slots.eni.since) >= MINIMUM_AGE;
    idle && old
        && !slots.eni.is_primary
        && slots.eni.may_change()
        && slots.eni.state == EniState::Usable
}

/// Rules 5 and 6 of §3.6: without `size` free addresses the IP targets are still met.
fn others_suffice(targets: &WarmTargets, counts: &Counts, size: u32) -> bool {
    let total = i64::from(counts.total) - i64::from(size);
    let free = total - i64::from(counts.held);
    let warm = targets.warm_ip == 0 || free >= i64::from(targets.warm_ip);
    warm && (targets.minimum_ip == 0 || total >= i64::from(targets.minimum_ip))
}

/// Whether an ENI with `size` free addresses may go so that the pool would not grow again.
fn is_spare(inventory: &Inventory, targets: &WarmTargets, counts: &Counts, size: u32) -> bool {
    let after = Counts {
        total: counts.total.saturating_sub(size),
        ..*counts
    };
    may_free_eni(counts, targets, inventory.limits())
        && others_suffice(targets, counts, size)
        && !assess(&after, targets, inventory.limits()).too_low
}

fn size(slots: &Slots) -> u32 {
    let owned = slots.addresses.states();
    let owned = owned.filter(|state| **state != AddressState::Lost);
    u32::try_from(owned.count()).unwrap_or(u32::MAX)
}

fn is_growing(inventory: &Inventory, demand: &Demand) -> bool {
    let coming = inventory
        .enis()
        .any(|eni| eni.counts() && (eni.incoming > 0 || eni.state == EniState::Coming));
    demand.waiting > 0 || !demand.creating.is_empty() || coming
}

/// ENIs that may change, those with the fewest pods first, the primary one last among equals.
fn leaving_order(inventory: &Inventory) -> Vec<&Slots> {
    let mut order: Vec<&Slots> = inventory
        .enis
        .values()
        .filter(|slots| slots.eni.may_change())
        .collect();
    order.sort_by_key(|slots| (slots.held(), slots.eni.is_primary, Reverse(slots.eni.index)));
    order
}

/// Addresses beyond the targets, but never so many that fewer than the warm target could be given out at once: cooling
/// addresses count as warm only for growth.
fn surplus(inventory: &Inventory, targets: &WarmTargets, counts: &Counts, now: Instant) -> usize {
    let over = assess(counts, targets, inventory.limits()).over;
    let stats = inventory.stats(now);
    let gone = stats.total - counts.total;
    let ready = stats
        .assignable
        .saturating_sub(gone)
        .saturating_sub(targets.warm_ip);
    usize::try_from(over.min(ready)).unwrap_or(usize::MAX)
}

fn take_addresses(staying: &[&Slots], mut surplus: usize) -> Vec<Release> {
    let mut plan = Vec::new();
    for slots in staying {
        let free = slots
            .addresses
            .iter()
            .rev()
            .filter(|(_, state)| **state == AddressState::Free);
        let addresses: Vec<Ipv4Addr> = free.take(surplus).map(|(address, _)| address).collect();
        if !addresses.is_empty() {
            surplus -= addresses.len();
            plan.push(Release::Addresses {
                eni: slots.eni.id.clone(),
                addresses,
            });
        }
    }
    plan
}

#[cfg(test)]
mod tests;
