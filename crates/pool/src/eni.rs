//! One ENI as the pool sees it. Must not: know its addresses (the inventory does) or how it is set up.

use model::card::{DeviceIndex, NetworkCard, RouteTable};
use model::eni::EniKind;
use model::id::EniId;
use model::mac::Mac;
use model::time::Instant;
use std::net::Ipv4Addr;

/// Where an ENI is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EniState {
    /// Attached or being attached, not yet usable for new pods.
    Coming,
    /// Its addresses may be given to pods.
    Usable,
    /// Being detached and deleted.
    Leaving,
}

/// One ENI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eni {
    /// `eni-…`
    pub id: EniId,
    /// Hardware address.
    pub mac: Mac,
    /// Primary address; never a pod's.
    pub primary: Ipv4Addr,
    /// Position on its card.
    pub index: DeviceIndex,
    /// Network card.
    pub card: NetworkCard,
    /// Whether it is the instance's primary ENI.
    pub is_primary: bool,
    /// Ordinary, trunk or EFA.
    pub kind: EniKind,
    /// `false`: it counts against the limit, but is never used or changed.
    pub managed: bool,
    /// Where it is in its life.
    pub state: EniState,
    /// When it entered the inventory.
    pub since: Instant,
    /// Addresses asked for by a call in flight.
    pub incoming: u32,
}

impl Eni {
    /// The route table of its pods.
    pub fn table(&self) -> RouteTable {
        RouteTable::of(self.card, self.index)
    }

    /// Whether its addresses belong to the pool: ours to use, no trunk, and not on the way out.
    pub(crate) fn counts(&self) -> bool {
        self.managed
            && self.state != EniState::Leaving
            && !matches!(self.kind, EniKind::Trunk | EniKind::EfaOnly)
    }

    /// Whether new pods may get its addresses.
    pub(crate) fn gives(&self) -> bool {
        self.counts() && self.state == EniState::Usable
    }

    /// Whether the pool may change it: its own, on no way out, neither trunk nor EFA.
    pub(crate) fn may_change(&self) -> bool {
        self.counts() && self.kind == EniKind::Standard
    }
}
