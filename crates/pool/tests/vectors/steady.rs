//! Kinds that let a pool grow and shrink until it rests. Must not: look at what the vector expects.

use crate::build::{NOW, Vector, eni_id, key, new_eni};
use crate::kinds::{NotYet, Outputs, not_yet, only_secondary};
use model::pod::PodName;
use model::settings::WarmTargets;
use model::time::{Instant, Now, WallTime};
use pool::grow::{Demand, Growth, plan_growth};
use pool::inventory::Inventory;
use pool::shrink::{Release, plan_release};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

pub(crate) fn steady_state(vector: &Vector) -> Result<Outputs, NotYet> {
    only_secondary(vector)?;
    let mut node = FreshNode::new(vector);
    let pods = vector
        .number("pods")
        .ok_or_else(|| not_yet("no number of pods"))?;
    let mut rest = node.settle();
    for number in 0..pods {
        node.place(number);
        rest &= node.settle();
    }
    if let Some(remaining) = vector.number("then_scale_down_to") {
        for number in remaining..pods {
            node.inventory.give_back(&key(&number.to_string()));
        }
        rest &= node.settle();
    }
    let stats = node.inventory.stats(node.clock);
    let mut per_eni: Vec<usize> = node
        .inventory
        .enis()
        .map(|eni| node.inventory.addresses(&eni.id).count())
        .collect();
    per_eni.sort_unstable_by(|a, b| b.cmp(a));
    Ok(BTreeMap::from([
        ("enis", json!(per_eni.len())),
        ("placed_pods", json!(stats.held)),
        ("total_ips", json!(stats.total)),
        ("available_ips", json!(stats.available)),
        ("cidrs_per_eni", json!(per_eni)),
        ("oscillates", json!(!rest)),
    ]))
}

/// These record a defect of upstream, which never comes to rest here. Ours must, and that is what is checked.
pub(crate) fn oscillation(vector: &Vector) -> Result<Outputs, NotYet> {
    let settled = steady_state(vector)?["oscillates"] == json!(false);
    Ok(BTreeMap::from([("oscillates", json!(settled))]))
}

/// A node whose primary ENI has no secondary address; each call is answered at once, and an hour passes between steps.
struct FreshNode {
    inventory: Inventory,
    targets: WarmTargets,
    clock: Instant,
    enis: u8,
    addresses: u32,
}

impl FreshNode {
    fn new(vector: &Vector) -> Self {
        let mut inventory = Inventory::new(vector.limits());
        let mut primary = new_eni(eni_id("0"), 0);
        primary.is_primary = true;
        inventory.insert_eni(primary);
        Self {
            inventory,
            targets: vector.targets(),
            clock: NOW,
            enis: 0,
            addresses: 0,
        }
    }

    fn place(&mut self, number: u32) {
        let now = Now {
            boot: self.clock,
            wall: WallTime(0),
        };
        self.inventory
            .assign(now, &key(&number.to_string()), &PodName::default());
    }

    /// Whether the pool comes to rest.
    fn settle(&mut self) -> bool {
        for _ in 0..50 {
            self.clock = Instant(self.clock.0 + 3_600_000);
            let plan = plan_growth(
                &self.inventory,
                &self.targets,
                &Demand::default(),
                &|_| false,
                self.clock,
            );
            let grown = !plan.is_empty();
            plan.into_iter().for_each(|growth| self.grow(growth));
            self.clock = Instant(self.clock.0 + 3_600_000);
            let enis = self.inventory.enis().count();
            let (freed, _) = release(&mut self.inventory, &self.targets, self.clock);
            if !grown && freed == 0 && self.inventory.enis().count() == enis {
                return true;
            }
        }
        false
    }

    fn grow(&mut self, growth: Growth) {
        let (eni, count) = match growth {
            Growth::Assign { eni, count } => (eni, count),
            Growth::Create { secondary } => {
                self.enis += 1;
                let mut eni = new_eni(eni_id(&self.enis.to_string()), self.enis);
                eni.since = self.clock;
                self.inventory.insert_eni(eni);
                (eni_id(&self.enis.to_string()), secondary)
            }
        };
        for _ in 0..count {
            self.addresses += 1;
            self.inventory
                .add_address(&eni, Ipv4Addr::from_bits(0x0a02_0000 + self.addresses));
        }
    }
}

/// Carries a release plan out; returns how many single addresses went, in how many calls.
pub(crate) fn release(
    inventory: &mut Inventory,
    targets: &WarmTargets,
    now: Instant,
) -> (usize, usize) {
    let (mut freed, mut batches) = (0, 0);
    for release in plan_release(inventory, targets, &Demand::default(), &|_| false, now) {
        match release {
            Release::Eni { eni } => drop(inventory.remove_eni(&eni)),
            Release::Addresses { addresses, .. } => {
                freed += addresses.len();
                batches += 1;
                addresses
                    .into_iter()
                    .for_each(|address| inventory.forget_address(address));
            }
        }
    }
    (freed, batches)
}
