//! What an instance type allows. Must not: ask EC2 (the machine does, for a type that is not in the table).
//!
//! `limits.csv` is made by `crates/model/limits.py` from the DescribeInstanceTypes data in PyPI's `moto`; the drift
//! test in `make lint` makes it again and compares.

use std::num::NonZeroU32;

/// Hypervisor of an instance type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hypervisor {
    /// Nitro.
    Nitro,
    /// Xen.
    Xen,
    /// EC2 says nothing (bare metal).
    Unknown,
}

/// What an instance type allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceLimits {
    /// ENIs of each network card, indexed by card; the first is the default card's.
    pub enis_per_card: Vec<NonZeroU32>,
    /// IPv4 slots of one ENI, its primary address included.
    pub addresses_per_eni: NonZeroU32,
    /// Hypervisor.
    pub hypervisor: Hypervisor,
    /// Whether the type is bare metal.
    pub bare_metal: bool,
}

impl InstanceLimits {
    /// ENIs on the default card (card 0).
    pub fn enis(&self) -> u32 {
        self.enis_per_card.first().map_or(1, |enis| enis.get())
    }

    /// Slots of one ENI that pods can use: all but the primary address (ipamd.md §2.4).
    pub fn slots_per_eni(&self) -> u32 {
        self.addresses_per_eni.get() - 1
    }

    /// The limits of a type of the built-in table.
    pub fn of(instance_type: &str) -> Option<Self> {
        TABLE
            .lines()
            .skip_while(|line| line.starts_with('#'))
            .skip(1)
            .find_map(|line| {
                let rest = line.strip_prefix(instance_type)?.strip_prefix(',')?;
                Some(parse_row(rest).expect("limits.csv is checked by a test"))
            })
    }

    /// Limits that every type of the built-in table has or exceeds: one ENI, with one address besides its own.
    pub fn least() -> Self {
        Self {
            enis_per_card: vec![NonZeroU32::MIN],
            addresses_per_eni: NonZeroU32::MIN.saturating_add(1),
            hypervisor: Hypervisor::Unknown,
            bare_metal: false,
        }
    }

    /// The names of all types of the built-in table.
    pub fn known_types() -> impl Iterator<Item = &'static str> {
        TABLE
            .lines()
            .skip_while(|line| line.starts_with('#'))
            .skip(1)
            .filter_map(|line| line.split(',').next())
    }
}

const TABLE: &str = include_str!("limits.csv");

/// `enis of card 0;enis of card 1;…,addresses,hypervisor,metal`
fn parse_row(row: &str) -> Option<InstanceLimits> {
    let mut fields = row.split(',');
    let enis_per_card = fields
        .next()?
        .split(';')
        .map(|n| n.parse().ok())
        .collect::<Option<Vec<_>>>()?;
    let addresses_per_eni = fields.next()?.parse().ok()?;
    let hypervisor = match fields.next()? {
        "nitro" => Hypervisor::Nitro,
        "xen" => Hypervisor::Xen,
        "unknown" => Hypervisor::Unknown,
        _ => return None,
    };
    let bare_metal = fields.next()?.parse().ok()?;
    fields.next().is_none().then_some(InstanceLimits {
        enis_per_card,
        addresses_per_eni,
        hypervisor,
        bare_metal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_parses_and_no_type_is_listed_twice() {
        let mut names: Vec<_> = InstanceLimits::known_types().collect();
        for name in &names {
            assert!(InstanceLimits::of(name).is_some(), "{name}");
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(count >= 600, "only {count} types");
    }

    #[test]
    fn no_type_allows_less_than_the_least() {
        let least = InstanceLimits::least();
        for limits in InstanceLimits::known_types().filter_map(InstanceLimits::of) {
            assert!(limits.enis() >= least.enis(), "{limits:?}");
            assert!(limits.addresses_per_eni >= least.addresses_per_eni);
        }
    }

    #[test]
    fn well_known_types_have_their_limits() {
        // ipamd.md §2.4
        for (name, enis, addresses, hypervisor) in [
            ("t3.small", 3, 4, Hypervisor::Nitro),
            ("t3.medium", 3, 6, Hypervisor::Nitro),
            ("m5.large", 3, 10, Hypervisor::Nitro),
            ("m4.4xlarge", 8, 30, Hypervisor::Xen),
            ("c5n.18xlarge", 15, 50, Hypervisor::Nitro),
        ] {
            let limits = InstanceLimits::of(name).expect(name);
            assert_eq!(
                (
                    limits.enis(),
                    limits.addresses_per_eni.get(),
                    limits.hypervisor
                ),
                (enis, addresses, hypervisor),
                "{name}"
            );
        }
        let many_cards = InstanceLimits::of("p4d.24xlarge").expect("listed");
        assert_eq!(many_cards.enis_per_card.len(), 4);
        assert!(InstanceLimits::of("m5.metal").expect("listed").bare_metal);
        assert_eq!(InstanceLimits::of("m5"), None);
        assert_eq!(InstanceLimits::of("no.such"), None);
    }
}
