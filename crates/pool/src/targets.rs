//! The warm targets as arithmetic (ipamd.md §4.1–4.3), for secondary addresses and for prefixes. Must not: know an ENI or
//! an address; plan a call.

use crate::inventory::PoolLimits;
use crate::stats::Stats;
use model::card::NetworkCard;
use model::settings::{Mode, WarmTargets};

/// Addresses in a delegated IPv4 prefix.
const PREFIX_SIZE: i64 = 16;

/// What the targets are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// What a slot holds.
    pub mode: Mode,
    /// Addresses (upstream's `T`).
    pub total: u32,
    /// Addresses in use (upstream's `A`).
    pub held: u32,
    /// Prefixes (upstream's `P`); 0 in secondary mode.
    pub prefixes: u32,
    /// Prefixes of which no address is in use (upstream's `Pf`); 0 in secondary mode.
    pub free_prefixes: u32,
}

impl From<Stats> for Counts {
    fn from(stats: Stats) -> Self {
        Self {
            mode: Mode::Secondary,
            total: stats.total,
            held: stats.held,
            prefixes: 0,
            free_prefixes: 0,
        }
    }
}

/// What the targets say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assessment {
    /// `WARM_IP_TARGET` or `MINIMUM_IP_TARGET` decides; otherwise `short` and `over` are 0.
    pub targets_defined: bool,
    /// Slots (addresses, in prefix mode prefixes) that are missing.
    pub short: u32,
    /// Slots that are too many.
    pub over: u32,
    /// The pool is to grow.
    pub too_low: bool,
    /// Slots are to be given back.
    pub too_high: bool,
}

/// The targets of a card: those of the environment on card 0, one spare address on the others.
pub fn targets_of(card: NetworkCard, configured: &WarmTargets) -> WarmTargets {
    if card == NetworkCard(0) {
        *configured
    } else {
        WarmTargets {
            warm_ip: 1,
            minimum_ip: 1,
            ..*configured
        }
    }
}

/// Compares a pool with its targets.
pub fn assess(counts: &Counts, targets: &WarmTargets, limits: &PoolLimits) -> Assessment {
    let (total, held) = (i64::from(counts.total), i64::from(counts.held));
    let free = total - held;
    let full = counts.total >= limits.max_pods;
    if !targets.ip_targets_defined() {
        let too_low = !full && free < wanted_free(counts.mode, targets, limits);
        let too_high = counts.mode == Mode::Prefix && counts.free_prefixes > targets.warm_prefix;
        return Assessment {
            targets_defined: false,
            short: 0,
            over: 0,
            too_low,
            too_high,
        };
    }
    let (warm, minimum) = (i64::from(targets.warm_ip), i64::from(targets.minimum_ip));
    let short = (warm - free).max(0).max(minimum - total);
    let (short, over) = match counts.mode {
        Mode::Secondary => (short, (free - warm).max(0).min(total - minimum).max(0)),
        Mode::Prefix => (prefixes_for(short), prefixes_over(counts, warm, minimum)),
    };
    let (short, over) = (narrow(short), narrow(over));
    Assessment {
        targets_defined: true,
        short,
        over,
        too_low: !full && short > 0,
        too_high: over > 0,
    }
}

/// Free addresses that `WARM_ENI_TARGET` (in prefix mode `WARM_PREFIX_TARGET`) asks for: at least one.
pub(crate) fn wanted_free(mode: Mode, targets: &WarmTargets, limits: &PoolLimits) -> i64 {
    let wanted = match mode {
        Mode::Secondary => enis_worth(targets.warm_eni, limits),
        Mode::Prefix => PREFIX_SIZE * i64::from(targets.warm_prefix),
    };
    wanted.max(1)
}

/// Upstream's rule for trying to free an ENI in secondary mode: always with IP targets, else when one more full ENI is
/// free than the target asks for.
pub fn may_free_eni(counts: &Counts, targets: &WarmTargets, limits: &PoolLimits) -> bool {
    let free = i64::from(counts.total) - i64::from(counts.held);
    targets.ip_targets_defined() || free >= enis_worth(targets.warm_eni.saturating_add(1), limits)
}

/// Addresses of so many full ENIs, cut where no node comes near it.
fn enis_worth(enis: u32, limits: &PoolLimits) -> i64 {
    i64::from(enis.saturating_mul(limits.slots_per_eni))
}

/// How many prefixes hold so many addresses.
pub fn prefixes_for(addresses: i64) -> i64 {
    (addresses + PREFIX_SIZE - 1).div_euclid(PREFIX_SIZE)
}

fn prefixes_over(counts: &Counts, warm: i64, minimum: i64) -> i64 {
    let prefixes = i64::from(counts.prefixes);
    let over = i64::from(counts.free_prefixes)
        .min(prefixes - prefixes_for(i64::from(counts.held) + warm))
        .max(0);
    over.min(prefixes - prefixes_for(minimum)).max(0)
}

fn narrow(slots: i64) -> u32 {
    u32::try_from(slots).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::inventory;

    fn secondary(total: u32, held: u32) -> Counts {
        Counts {
            total,
            held,
            ..Counts::default()
        }
    }

    fn ip_targets(warm_ip: u32, minimum_ip: u32) -> WarmTargets {
        WarmTargets {
            warm_ip,
            minimum_ip,
            ..WarmTargets::default()
        }
    }

    #[test]
    fn ip_targets_are_short_or_over_by_whole_addresses() {
        let limits = *inventory(3, 9, &[]).limits();
        for (targets, total, held, short, over) in [
            (ip_targets(5, 0), 5, 0, 0, 0),
            (ip_targets(5, 0), 4, 1, 2, 0),
            (ip_targets(2, 10), 5, 0, 5, 0),
            (ip_targets(2, 10), 14, 1, 0, 4),
            (ip_targets(0, 3), 2, 2, 1, 0),
            (ip_targets(0, 3), 9, 2, 0, 6),
        ] {
            let got = assess(&secondary(total, held), &targets, &limits);
            assert_eq!(
                (got.targets_defined, got.short, got.over),
                (true, short, over),
                "{targets:?} {total} {held}"
            );
            assert_eq!((got.too_low, got.too_high), (short > 0, over > 0));
        }
    }

    #[test]
    fn a_pool_as_large_as_the_node_may_run_pods_is_never_too_low() {
        let mut limits = *inventory(3, 9, &[]).limits();
        limits.max_pods = 18;
        assert!(!assess(&secondary(18, 18), &WarmTargets::default(), &limits).too_low);
        assert!(!assess(&secondary(18, 18), &ip_targets(3, 0), &limits).too_low);
        assert!(assess(&secondary(17, 17), &WarmTargets::default(), &limits).too_low);
    }

    #[test]
    fn enormous_targets_do_not_overflow() {
        let limits = *inventory(3, 9, &[]).limits();
        let targets = WarmTargets {
            warm_eni: u32::MAX,
            warm_ip: 0,
            minimum_ip: 0,
            warm_prefix: u32::MAX,
        };
        assert!(assess(&secondary(9, 0), &targets, &limits).too_low);
        assert_eq!(
            assess(&secondary(0, 9), &ip_targets(u32::MAX, u32::MAX), &limits).short,
            u32::MAX
        );
    }

    #[test]
    fn other_cards_keep_one_address_whatever_is_configured() {
        let configured = ip_targets(9, 9);
        assert_eq!(targets_of(NetworkCard(0), &configured), configured);
        assert_eq!(targets_of(NetworkCard(2), &configured), ip_targets(1, 1));
    }
}
