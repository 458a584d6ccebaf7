//! What status, health and introspection show: a snapshot of the machine as plain values. Must not: change anything.

use crate::node::Node;
use model::call::Action;
use model::card::{DeviceIndex, RouteTable};
use model::id::{EniId, InstanceId};
use model::imds::InstanceMetadata;
use model::time::{Duration, Instant};
use pool::address::AddressState;
use pool::eni::EniState;
use pool::stats::Stats;
use std::net::Ipv4Addr;

/// Whether ADDs may be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Start-up has finished.
    Serving,
    /// Start-up waits for this.
    Waiting(String),
    /// The process was told to stop.
    Stopping,
}

/// One ENI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EniView {
    /// Which.
    pub id: EniId,
    /// Its own address.
    pub primary: Ipv4Addr,
    /// Position on its card.
    pub index: DeviceIndex,
    /// Routing table.
    pub table: RouteTable,
    /// Whether pods may use it.
    pub state: EniState,
    /// False: not ours to touch.
    pub managed: bool,
    /// Secondary addresses, whatever their state.
    pub addresses: usize,
    /// Of these, held by pods though EC2 doesn't route them to this node any more.
    pub lost: usize,
}

/// The machine at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// May ADDs be served.
    pub health: Health,
    /// This instance, once known.
    pub instance: Option<InstanceId>,
    /// ENIs in order of their ids.
    pub enis: Vec<EniView>,
    /// Counters of the inventory.
    pub stats: Stats,
    /// ADDs without an address.
    pub waiters: u32,
    /// How long the oldest of them waits.
    pub oldest_wait: Option<Duration>,
    /// Allocations that were released without a DEL since the process began.
    pub swept: u64,
    /// Answers and calls that wait for a write.
    pub held_effects: usize,
    /// Operations in flight.
    pub operations: usize,
    /// Announced mutations whose outcome is not known.
    pub open_intents: usize,
}

impl Node {
    /// Whether ADDs may be served, else why not.
    pub fn health(&self) -> Health {
        match &self.boot {
            _ if self.stopping => Health::Stopping,
            Some(boot) => Health::Waiting(boot.waiting_for.clone()),
            None => Health::Serving,
        }
    }

    /// What the node's first address for pods waits for; none when there is one, whoever holds it.
    pub fn lacks_address(&self, now: Instant) -> Option<String> {
        if self.pool.allocations().next().is_some() || self.pool.stats(now).total > 0 {
            return None;
        }
        let what = "a first address for pods";
        let last = |action| self.budget.last_failure(action);
        let fill = Action::AssignPrivateIpAddresses;
        // Another ENI may be on its way because the primary one got none: that it got none is what is known.
        let trouble = match self.growth_trouble(now, &last) {
            Some((action, _, error)) => Some((action, error)),
            None => last(fill).map(|blocked| (fill, blocked.error.clone())),
        };
        Some(match trouble {
            Some((action, error)) => format!("{what}: EC2 {}: {error}", action.name()),
            None => what.to_owned(),
        })
    }

    /// Identity of the instance, once IMDS has told it.
    pub fn metadata(&self) -> Option<&InstanceMetadata> {
        self.world.metadata.as_ref()
    }

    /// A snapshot.
    pub fn view(&self, now: Instant) -> View {
        let enis = self.pool.enis().map(|eni| EniView {
            id: eni.id.clone(),
            primary: eni.primary,
            index: eni.index,
            table: eni.table(),
            state: eni.state,
            managed: eni.managed,
            addresses: self.pool.addresses(&eni.id).count(),
            lost: self
                .pool
                .addresses(&eni.id)
                .filter(|(_, state)| **state == AddressState::Lost)
                .count(),
        });
        View {
            health: self.health(),
            instance: self
                .world
                .metadata
                .as_ref()
                .map(|metadata| metadata.instance.clone()),
            enis: enis.collect(),
            stats: self.pool.stats(now),
            waiters: self.requests.waiters(),
            oldest_wait: self.requests.oldest().map(|since| now.since(since)),
            swept: self.sweep.count(),
            held_effects: self.commit.held(),
            operations: self.ops.len(),
            open_intents: self.intents.calls().count(),
        }
    }
}
