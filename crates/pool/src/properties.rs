//! Properties of random histories: the inventory stays consistent, nobody shares an address, cooldowns are kept, plans
//! stay within the limits and come to rest.

use crate::eni::EniState;
use crate::grow::{Demand, Growth, Reach, plan_growth};
use crate::inventory::{Inventory, PoolLimits};
use crate::room::slots_left;
use crate::scene::{LATER, address, eni, id, key, now, pod};
use crate::shrink::{Release, plan_release};
use model::allocation::{Allocation, Cooling};
use model::settings::WarmTargets;
use model::time::{Duration, Instant, WallTime};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

#[derive(Debug, Clone)]
enum Step {
    Assign(u32),
    Release(u32),
    GiveBack(u32),
    Add(u8, u8),
    Forget(u8, u8),
    Leave(u8, u8),
    Stay(u8, u8),
    Link(u8, u8),
    Unlink(u8, u8),
    Attach(u8),
    Detach(u8),
    State(u8, u8),
    Restore(u32, u8, u8),
    RestoreCooling(u8, u8),
    Expire,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (key, eni, last) = (0..8u32, 0..3u8, 1..5u8);
    prop_oneof![
        4 => key.clone().prop_map(Step::Assign),
        3 => key.clone().prop_map(Step::Release),
        1 => key.clone().prop_map(Step::GiveBack),
        4 => (eni.clone(), last.clone()).prop_map(|(e, l)| Step::Add(e, l)),
        1 => (eni.clone(), last.clone()).prop_map(|(e, l)| Step::Forget(e, l)),
        1 => (eni.clone(), last.clone()).prop_map(|(e, l)| Step::Leave(e, l)),
        1 => (eni.clone(), last.clone()).prop_map(|(e, l)| Step::Stay(e, l)),
        1 => (eni.clone(), last.clone()).prop_map(|(e, l)| Step::Link(e, l)),
        1 => (eni.clone(), last.clone()).prop_map(|(e, l)| Step::Unlink(e, l)),
        2 => eni.clone().prop_map(Step::Attach),
        1 => eni.clone().prop_map(Step::Detach),
        1 => (eni.clone(), 0..3u8).prop_map(|(e, s)| Step::State(e, s)),
        1 => (key, eni.clone(), last.clone()).prop_map(|(k, e, l)| Step::Restore(k, e, l)),
        1 => (eni, last).prop_map(|(e, l)| Step::RestoreCooling(e, l)),
        1 => Just(Step::Expire),
        3 => (0..20_000u64).prop_map(Step::Wait),
    ]
}

/// A pool, its clock, and when each address may be given out again at the earliest.
struct History {
    pool: Inventory,
    clock: u64,
    resting: BTreeMap<Ipv4Addr, u64>,
}

impl History {
    fn new() -> Self {
        let limits = PoolLimits {
            max_enis: 3,
            slots_per_eni: 4,
            max_pods: 12,
            cooldown: Duration::from_secs(30),
        };
        Self {
            pool: Inventory::new(limits),
            clock: 0,
            resting: BTreeMap::new(),
        }
    }

    fn apply(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let boot = Instant(self.clock);
        match *step {
            Step::Assign(k) => self.assign(k)?,
            Step::Release(k) => {
                if let Some(grant) = self.pool.release(boot, &key(k)) {
                    self.resting.insert(grant.address, self.clock + 30_000);
                }
            }
            Step::GiveBack(k) => drop(self.pool.give_back(&key(k))),
            Step::Add(e, l) => self.pool.add_address(&id(e), address(e, l)),
            Step::Forget(e, l) => self.pool.forget_address(address(e, l)),
            Step::Leave(e, l) => drop(self.pool.start_leaving(address(e, l))),
            Step::Stay(e, l) => self.pool.cancel_leaving(address(e, l)),
            Step::Link(e, l) => self.pool.hold_by_link(address(e, l)),
            Step::Unlink(e, l) => self.pool.unhold_by_link(boot, address(e, l)),
            Step::Attach(e) => self.pool.insert_eni(eni(e)),
            Step::Detach(e) => self.detach(e)?,
            Step::State(e, s) => {
                if let Some(eni) = self.pool.eni_mut(&id(e)) {
                    eni.state =
                        [EniState::Coming, EniState::Usable, EniState::Leaving][usize::from(s)];
                }
            }
            Step::Restore(k, e, l) => {
                let address = address(e, l);
                let allocation = Allocation {
                    key: key(k),
                    pod: pod(k),
                    address,
                    since: WallTime(0),
                    interfaces: 1,
                };
                if self.pool.restore(allocation).is_ok() {
                    self.resting.remove(&address);
                }
            }
            Step::RestoreCooling(e, l) => {
                self.pool.restore_cooling(Cooling {
                    address: address(e, l),
                    until: Instant(self.clock + 5_000),
                });
            }
            Step::Expire => self.pool.expire(boot),
            Step::Wait(millis) => self.clock += millis,
        }
        Ok(())
    }

    fn assign(&mut self, number: u32) -> Result<(), TestCaseError> {
        let held_before = self.pool.holder(&key(number));
        let ready = self.pool.stats(Instant(self.clock)).assignable;
        let granted = self
            .pool
            .assign(now(self.clock), &key(number), &pod(number));
        if held_before.is_some() {
            prop_assert_eq!(granted, held_before);
            return Ok(());
        }
        prop_assert_eq!(granted.is_some(), ready > 0);
        if let Some(grant) = granted {
            let rest = self.resting.get(&grant.address).copied().unwrap_or(0);
            prop_assert!(
                self.clock >= rest,
                "{} was given out while it cools",
                grant.address
            );
        }
        Ok(())
    }

    fn detach(&mut self, number: u8) -> Result<(), TestCaseError> {
        let before = self.pool.allocations().count();
        let homeless = self.pool.homeless();
        let stranded = self.pool.remove_eni(&id(number));
        prop_assert_eq!(self.pool.allocations().count(), before);
        prop_assert_eq!(self.pool.homeless(), homeless + stranded.len());
        Ok(())
    }

    fn judge(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.pool.check(), Ok(()));
        let mut addresses: Vec<_> = self.pool.allocations().map(|a| a.address).collect();
        let count = addresses.len();
        addresses.sort_unstable();
        addresses.dedup();
        prop_assert_eq!(addresses.len(), count, "an address has two holders");
        let stats = self.pool.stats(Instant(self.clock));
        prop_assert_eq!(stats.available, stats.total - stats.held);
        prop_assert!(stats.assignable + stats.cooling <= stats.available);
        Ok(())
    }
}

/// A node that grows and shrinks as planned, each call answered at once.
struct Grower {
    pool: Inventory,
    targets: WarmTargets,
    created: u8,
    made: u8,
}

impl Grower {
    fn plan(&self, waiting: u32) -> Vec<Growth> {
        plan_growth(
            &self.pool,
            &self.targets,
            &Demand {
                waiting,
                creating: vec![],
            },
            &|_| false,
            LATER,
        )
    }

    /// Marks a plan as in flight; what is asked again must be nothing.
    fn in_flight(&self, plan: &[Growth], waiting: u32) -> Vec<Growth> {
        let mut pool = self.pool.clone();
        let mut creating = Vec::new();
        for growth in plan {
            match growth {
                Growth::Assign { eni, count } => pool.eni_mut(eni).unwrap().incoming += count,
                Growth::Create { secondary } => creating.push(*secondary),
            }
        }
        plan_growth(
            &pool,
            &self.targets,
            &Demand { waiting, creating },
            &|_| false,
            LATER,
        )
    }

    fn apply(&mut self, plan: &[Growth]) {
        for growth in plan {
            let (eni_id, count) = match growth {
                Growth::Assign { eni, count } => (eni.clone(), *count),
                Growth::Create { secondary } => {
                    self.created += 1;
                    self.pool.insert_eni(eni(self.created));
                    (id(self.created), *secondary)
                }
            };
            for _ in 0..count {
                self.made += 1;
                self.pool
                    .add_address(&eni_id, Ipv4Addr::new(10, 2, 0, self.made));
            }
        }
    }

    fn within_limits(&self) -> Result<(), TestCaseError> {
        let limits = self.pool.limits();
        prop_assert!(self.pool.enis().count() <= limits.max_enis as usize);
        prop_assert!(self.pool.stats(LATER).total <= limits.max_pods);
        for eni in self.pool.enis() {
            prop_assert!(self.pool.addresses(&eni.id).count() <= limits.slots_per_eni as usize);
        }
        Ok(())
    }

    fn release(&mut self) -> Result<bool, TestCaseError> {
        let plan = plan_release(
            &self.pool,
            &self.targets,
            &Demand::default(),
            &|_| false,
            LATER,
        );
        for release in &plan {
            match release {
                Release::Eni { eni } => {
                    prop_assert_eq!(self.pool.remove_eni(eni), [], "an ENI with pods was freed");
                }
                Release::Addresses { addresses, .. } => {
                    for address in addresses {
                        prop_assert!(
                            self.pool.start_leaving(*address),
                            "{} cannot leave",
                            address
                        );
                        self.pool.forget_address(*address);
                    }
                }
            }
        }
        Ok(!plan.is_empty())
    }
}

fn targets() -> impl Strategy<Value = WarmTargets> {
    (
        0..4u32,
        prop_oneof![Just(0u32), 0..8u32],
        prop_oneof![Just(0u32), 0..20u32],
    )
        .prop_map(|(warm_eni, warm_ip, minimum_ip)| WarmTargets {
            warm_eni,
            warm_ip,
            minimum_ip,
            warm_prefix: 0,
        })
}

fn grower() -> impl Strategy<Value = Grower> {
    (1..5u32, 1..10u32, 1..40u32, targets()).prop_map(
        |(max_enis, slots_per_eni, max_pods, targets)| {
            let cooldown = Duration::from_secs(30);
            let mut pool = Inventory::new(PoolLimits {
                max_enis,
                slots_per_eni,
                max_pods,
                cooldown,
            });
            pool.insert_eni(eni(0));
            Grower {
                pool,
                targets,
                created: 0,
                made: 0,
            }
        },
    )
}

impl std::fmt::Debug for Grower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.pool.limits(), self.targets)
    }
}

proptest! {
    #[test]
    fn any_history_keeps_the_inventory_consistent_and_every_address_with_one_pod(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut history = History::new();
        for step in &steps {
            history.apply(step)?;
            history.judge()?;
        }
    }

    #[test]
    fn one_plan_serves_all_who_can_be_served_stays_within_the_limits_and_is_not_repeated(
        mut node in grower(),
        waiting in 0..30u32,
    ) {
        let promised = Reach::of(&node.pool, &Demand::default(), LATER).until(LATER);
        let plan = node.plan(waiting);
        prop_assert_eq!(node.in_flight(&plan, waiting), []);
        node.apply(&plan);
        node.within_limits()?;
        let mut served = 0;
        while served < waiting && node.pool.assign(now(LATER.0), &key(served), &pod(served)).is_some() {
            served += 1;
        }
        prop_assert_eq!(served, waiting.min(promised));
        prop_assert_eq!(node.plan(waiting - served), []);
    }

    #[test]
    fn pods_that_come_and_go_leave_a_pool_at_rest(
        mut node in grower(),
        waves in proptest::collection::vec((0..30u32, 0..30u32), 1..4),
    ) {
        let mut next = 0;
        let mut running = Vec::new();
        for (come, go) in waves {
            for growth in [node.plan(come), vec![]] {
                node.apply(&growth);
            }
            for number in next..next + come {
                if node.pool.assign(now(LATER.0), &key(number), &pod(number)).is_some() {
                    running.push(number);
                }
            }
            next += come;
            for number in running.drain(..(go as usize).min(running.len())) {
                node.pool.give_back(&key(number));
            }
            let mut rounds = 0;
            loop {
                let growth = node.plan(0);
                node.apply(&growth);
                let released = node.release()?;
                node.within_limits()?;
                if growth.is_empty() && !released {
                    break;
                }
                rounds += 1;
                prop_assert!(rounds <= 3, "growth and release chase each other");
            }
        }
    }

    #[test]
    fn room_and_what_is_taken_make_the_limit(taken in 0..9u8, incoming in 0..9u32) {
        let mut pool = crate::scene::inventory(3, 9, &[(0, taken)]);
        pool.eni_mut(&id(0)).unwrap().incoming = incoming;
        let left = slots_left(&pool.enis[&id(0)], 9);
        prop_assert_eq!(left, 9u32.saturating_sub(u32::from(taken) + incoming));
    }
}
