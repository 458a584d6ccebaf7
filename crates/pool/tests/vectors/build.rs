//! From the JSON of a vector to values of this crate. Must not: compute anything that a vector asserts.

use model::allocation::{Allocation, Cooling};
use model::block::Block;
use model::card::{DeviceIndex, NetworkCard};
use model::eni::EniKind;
use model::id::EniId;
use model::mac::Mac;
use model::pod::{PodKey, PodName};
use model::settings::{Mode, WarmTargets};
use model::time::{Duration, Instant, WallTime};
use pool::eni::{Eni, EniState};
use pool::inventory::{Inventory, PoolLimits};
use pool::targets::{Counts, targets_of};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The present of every vector: old enough for any age.
pub(crate) const NOW: Instant = Instant(100_000_000);

#[derive(Deserialize)]
pub(crate) struct Vector {
    pub(crate) mode: String,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) state: State,
    pub(crate) expected: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
pub(crate) struct State {
    #[serde(default)]
    enis: Vec<EniEntry>,
    #[serde(default)]
    pub(crate) network_card: u8,
    max_ips_per_eni: Option<u32>,
    max_eni: Option<u32>,
    max_pods: Option<u32>,
    #[serde(default)]
    unmanaged_enis: u32,
    /// What only some kinds have.
    #[serde(flatten)]
    pub(crate) more: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct EniEntry {
    id: String,
    cidrs: Vec<Cidr>,
    #[serde(default)]
    primary: bool,
    #[serde(default)]
    trunk: bool,
    #[serde(default)]
    efa: bool,
    #[serde(default)]
    excluded: bool,
    age_s: Option<u64>,
}

#[derive(Deserialize)]
struct Cidr {
    prefix: bool,
    assigned: u32,
    cooldown: u32,
}

impl Vector {
    pub(crate) fn parse(raw: &Value) -> Result<Self, String> {
        serde_json::from_value(raw.clone())
            .map_err(|error| format!("the vector cannot be read: {error}"))
    }

    pub(crate) fn is_secondary(&self) -> bool {
        self.mode == "secondary"
    }

    /// The warm targets, by way of `config`: only its rows of the warm pool are given to it.
    pub(crate) fn targets(&self) -> WarmTargets {
        let known = |name: &String| config::pool::ROWS.iter().any(|row| row.name == name);
        let raw = self
            .env
            .iter()
            .filter(|(name, _)| known(name))
            .map(|(name, value)| (name.clone(), value.clone()));
        let (config, _) = config::resolve(&raw.collect())
            .expect("the warm pool's variables of a vector are accepted");
        targets_of(NetworkCard(self.state.network_card), &config.node.targets)
    }

    pub(crate) fn limits(&self) -> PoolLimits {
        PoolLimits {
            max_enis: self.state.max_eni.unwrap_or(u32::MAX),
            slots_per_eni: self.state.max_ips_per_eni.unwrap_or(50),
            max_pods: self.state.max_pods.unwrap_or(u32::MAX),
            cooldown: Duration::from_secs(30),
        }
    }

    /// What the targets are compared with, in both modes.
    pub(crate) fn counts(&self) -> Counts {
        if self.is_secondary() {
            return Counts::from(self.inventory().stats(NOW));
        }
        let mut counts = Counts {
            mode: Mode::Prefix,
            ..Counts::default()
        };
        let cidrs = self
            .state
            .enis
            .iter()
            .filter(|eni| !eni.excluded)
            .flat_map(|eni| &eni.cidrs);
        for cidr in cidrs.filter(|cidr| cidr.prefix) {
            counts.total += 16;
            counts.held += cidr.assigned;
            counts.prefixes += 1;
            counts.free_prefixes += u32::from(cidr.assigned == 0);
        }
        counts
    }

    /// The state as an inventory. An excluded ENI is one that is not managed, which is the same for everything but
    /// freeing it.
    pub(crate) fn inventory(&self) -> Inventory {
        let mut inventory = Inventory::new(self.limits());
        for (position, entry) in self.state.enis.iter().enumerate() {
            let number = u8::try_from(position).expect("few ENIs");
            inventory.insert_eni(entry.eni(number));
            entry.add_addresses(&mut inventory, number);
        }
        for foreign in 0..self.state.unmanaged_enis {
            let number = 200 + u8::try_from(foreign).expect("few ENIs");
            inventory.insert_eni(Eni {
                managed: false,
                ..new_eni(eni_id(&format!("foreign{number}")), number)
            });
        }
        inventory
    }

    pub(crate) fn has_excluded(&self) -> bool {
        self.state.enis.iter().any(|eni| eni.excluded)
    }

    /// A number of a kind's own.
    pub(crate) fn number(&self, key: &str) -> Option<u32> {
        self.state
            .more
            .get(key)?
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
    }
}

impl EniEntry {
    fn eni(&self, number: u8) -> Eni {
        let kind = match (self.trunk, self.efa) {
            (true, _) => EniKind::Trunk,
            (false, true) => EniKind::Efa,
            (false, false) => EniKind::Standard,
        };
        let since = Instant(NOW.0 - self.age_s.unwrap_or(3600) * 1000);
        Eni {
            is_primary: self.primary,
            kind,
            managed: !self.excluded,
            since,
            ..new_eni(eni_id(&self.id), number)
        }
    }

    fn add_addresses(&self, inventory: &mut Inventory, number: u8) {
        let eni = eni_id(&self.id);
        let mut prefixes = Vec::new();
        for (position, cidr) in self.cidrs.iter().enumerate() {
            let last = u8::try_from(position + 1).expect("few addresses");
            if cidr.prefix {
                let network = format!("10.99.{number}.{}/28", usize::from(last) % 16 * 16);
                let network: ipnetwork::IpNetwork = network.parse().expect("a network");
                prefixes.push(Block::try_from(network).expect("a /28"));
                continue;
            }
            let address = Ipv4Addr::new(10, 0, number, last);
            inventory.add_address(&eni, address);
            if cidr.assigned > 0 {
                inventory
                    .restore(allocation(address))
                    .expect("each address has one holder");
            }
            if cidr.cooldown > 0 {
                inventory.restore_cooling(Cooling {
                    address,
                    until: Instant(NOW.0 + 1),
                });
            }
        }
        inventory.set_prefixes(&eni, prefixes);
    }
}

/// A vector's ENI names are short.
pub(crate) fn eni_id(name: &str) -> EniId {
    let text = if name.starts_with("eni-") {
        name.to_owned()
    } else {
        format!("eni-{name}")
    };
    text.parse().expect("an ENI id")
}

/// An ordinary, usable ENI.
pub(crate) fn new_eni(id: EniId, number: u8) -> Eni {
    Eni {
        id,
        mac: Mac([2, 0, 0, 0, 0, number]),
        primary: Ipv4Addr::new(10, 1, 0, number),
        index: DeviceIndex(number),
        card: NetworkCard(0),
        is_primary: false,
        kind: EniKind::Standard,
        managed: true,
        state: EniState::Usable,
        since: NOW,
        incoming: 0,
    }
}

pub(crate) fn key(name: &str) -> PodKey {
    PodKey {
        network: "aws-cni".to_owned(),
        container: name.to_owned(),
        interface: "eth0".to_owned(),
    }
}

fn allocation(address: Ipv4Addr) -> Allocation {
    let key = key(&address.to_string());
    Allocation {
        key,
        pod: PodName::default(),
        address,
        since: WallTime(0),
        interfaces: 1,
    }
}
