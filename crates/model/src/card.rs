//! Where an ENI sits on an instance and which route table that implies. Must not: create tables.

use serde::{Deserialize, Serialize};

/// Network card of an instance; 0 is the card of the primary ENI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct NetworkCard(pub u8);

/// Position of an ENI on its card; 0 on card 0 is the primary ENI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceIndex(pub u8);

impl DeviceIndex {
    /// Device indices that upstream considers on one card, lowest free first: 0 to 99 (ipamd.md §5.5).
    pub const LIMIT: u8 = 100;
}

/// A kernel routing table number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteTable(pub u32);

impl RouteTable {
    /// The kernel's main table (254), used for the primary ENI.
    pub const MAIN: Self = Self(254);

    /// The table of an ENI: card 0 device 0 is main, card 0 device `d` is `d + 1`, card `c > 0` is
    /// `10000 + 100 c + d` (datapath.md §3.6).
    pub fn of(card: NetworkCard, index: DeviceIndex) -> Self {
        match (card.0, index.0) {
            (0, 0) => Self::MAIN,
            (0, device) => Self(u32::from(device) + 1),
            (card, device) => Self(10_000 + 100 * u32::from(card) + u32::from(device)),
        }
    }
}

impl std::fmt::Display for RouteTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::MAIN {
            f.write_str("main")
        } else {
            self.0.fmt(f)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_upstreams() {
        for (card, device, table) in [
            (0, 0, 254),
            (0, 1, 2),
            (0, 14, 15),
            (1, 0, 10_100),
            (1, 1, 10_101),
            (2, 3, 10_203),
        ] {
            assert_eq!(
                RouteTable::of(NetworkCard(card), DeviceIndex(device)),
                RouteTable(table)
            );
        }
    }
}
