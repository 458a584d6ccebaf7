//! Which observations may prove absence. Must not: send describes (the node does) or change the inventory.
//!
//! EC2's describe lags, the kernel's links come late, IMDS is a hint. So an ENI is gone only when an EC2 read that
//! began well after our last change to it lacks it and the kernel has no link with its MAC; an address is gone only
//! when two such reads, at least [`APART`] from each other, lack it.

use model::id::EniId;
use model::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Two reads that far apart cannot both show the same lagging state (peers-and-ec2.md §10.6: lag ≤ 30 s).
pub(crate) const APART: Duration = Duration::from_secs(60);

/// What was missing, since when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Truth {
    changed: BTreeMap<EniId, Instant>,
    missing: BTreeMap<Ipv4Addr, Instant>,
    orphans: BTreeMap<EniId, Instant>,
    /// Until then, reads may show addresses that were released before this boot.
    distrusted_until: Option<Instant>,
    suspects: BTreeSet<Ipv4Addr>,
    /// Held addresses on no known ENI that were named.
    homeless: BTreeSet<Ipv4Addr>,
}

impl Truth {
    /// A call that changes the ENI ended (or was given up) now.
    pub(crate) fn changed(&mut self, eni: &EniId, now: Instant) {
        self.changed.insert(eni.clone(), now);
    }

    /// The ENI is gone: nothing is remembered of it.
    pub(crate) fn forget(&mut self, eni: &EniId) {
        self.changed.remove(eni);
        self.orphans.remove(eni);
    }

    /// Whether a read that began then may add to what we know of the ENI.
    pub(crate) fn may_add(&self, eni: &EniId, began: Instant) -> bool {
        self.changed
            .get(eni)
            .is_none_or(|changed| *changed <= began)
    }

    /// Whether a read that began then may count against the ENI (or an address of it).
    pub(crate) fn may_remove(&self, eni: &EniId, began: Instant) -> bool {
        self.changed
            .get(eni)
            .is_none_or(|changed| changed.after(APART) <= began)
    }

    /// A read that may remove lacks the address: true when it is the second one, long enough after the first.
    pub(crate) fn address_missing(&mut self, address: Ipv4Addr, began: Instant) -> bool {
        let first = *self.missing.entry(address).or_insert(began);
        let gone = began >= first.after(APART);
        if gone {
            self.missing.remove(&address);
        }
        gone
    }

    /// A read lists the address.
    pub(crate) fn address_seen(&mut self, address: Ipv4Addr) {
        self.missing.remove(&address);
    }

    /// The second read for these has come and said nothing of them: their ENI was busy or gone. They are looked at anew.
    pub(crate) fn settle_missing(&mut self, began: Instant, known: impl Fn(Ipv4Addr) -> bool) {
        self.missing.retain(|address, first| {
            if *first == began || began < first.after(APART) {
                return true;
            }
            *first = began;
            known(*address)
        });
    }

    /// When the second read for an address that was missing may begin.
    pub(crate) fn second_read_due(&self) -> Option<Instant> {
        self.missing.values().map(|first| first.after(APART)).min()
    }

    /// When the second look at an ENI that may be an orphan may begin.
    pub(crate) fn second_look_due(&self) -> Option<Instant> {
        self.orphans.values().map(|first| first.after(APART)).min()
    }

    /// An unattached ENI made for this instance that nobody knows was seen: true when it is the second time, long
    /// enough after the first. EC2 may have shown an ENI unattached that was attached a moment before.
    pub(crate) fn orphan_seen(&mut self, eni: &EniId, began: Instant) -> bool {
        let first = *self.orphans.entry(eni.clone()).or_insert(began);
        began >= first.after(APART)
    }

    /// Whether a held address on no known ENI was named.
    pub(crate) fn is_told_homeless(&self, address: Ipv4Addr) -> bool {
        self.homeless.contains(&address)
    }

    /// A held address has lost its ENI and was named.
    pub(crate) fn tell_homeless(&mut self, address: Ipv4Addr) {
        self.homeless.insert(address);
    }

    /// These, and no others, are held on no known ENI and were named.
    pub(crate) fn told_homeless(&mut self, homeless: BTreeSet<Ipv4Addr>) {
        self.homeless = homeless;
    }

    /// Nothing is remembered of what was released before this boot: reads that begin before then may show it still.
    pub(crate) fn distrust(&mut self, until: Instant) {
        self.distrusted_until = Some(until);
    }

    /// Until when an address that a read shows now must not be given out; it is remembered as a suspect.
    pub(crate) fn suspect(&mut self, address: Ipv4Addr, now: Instant) -> Option<Instant> {
        let until = self.distrusted_until.filter(|until| *until > now)?;
        self.suspects.insert(address);
        Some(until)
    }

    /// Whether this read is the one that tells which suspects are owned; if so, who they were.
    pub(crate) fn clear_suspects(&mut self, began: Instant) -> BTreeSet<Ipv4Addr> {
        match self.distrusted_until {
            Some(until) if until <= began => {
                self.distrusted_until = None;
                std::mem::take(&mut self.suspects)
            }
            Some(_) | None => BTreeSet::new(),
        }
    }

    /// The ENIs suspected to be orphans are only those of the latest read.
    pub(crate) fn keep_orphans(&mut self, seen: impl Fn(&EniId) -> bool) {
        self.orphans.retain(|eni, _| seen(eni));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_read_never_proves_that_an_address_is_gone() {
        let mut truth = Truth::default();
        let address = Ipv4Addr::new(10, 0, 1, 7);
        assert!(!truth.address_missing(address, Instant(0)));
        assert!(!truth.address_missing(address, Instant(59_999)));
        assert!(truth.address_missing(address, Instant(60_000)));
        assert!(
            !truth.address_missing(address, Instant(60_001)),
            "counting starts again"
        );
        truth.address_seen(address);
        assert!(!truth.address_missing(address, Instant(200_000)));
    }

    #[test]
    fn a_read_that_began_before_a_change_says_nothing() {
        let mut truth = Truth::default();
        let eni: EniId = "eni-1".parse().unwrap();
        truth.changed(&eni, Instant(100_000));
        assert!(!truth.may_add(&eni, Instant(99_999)));
        assert!(truth.may_add(&eni, Instant(100_000)));
        assert!(!truth.may_remove(&eni, Instant(159_999)));
        assert!(truth.may_remove(&eni, Instant(160_000)));
    }

    #[test]
    fn what_a_read_shows_early_in_a_boot_is_suspect_until_a_later_read() {
        let mut truth = Truth::default();
        let address = Ipv4Addr::new(10, 0, 1, 7);
        assert_eq!(
            truth.suspect(address, Instant(0)),
            None,
            "nothing to distrust"
        );
        truth.distrust(Instant(60_000));
        assert_eq!(
            truth.suspect(address, Instant(30_000)),
            Some(Instant(60_000))
        );
        assert!(truth.clear_suspects(Instant(59_999)).is_empty());
        assert_eq!(
            truth.clear_suspects(Instant(60_000)),
            BTreeSet::from([address])
        );
        assert_eq!(truth.suspect(address, Instant(60_000)), None);
    }

    #[test]
    fn an_unattached_eni_is_an_orphan_only_when_seen_twice() {
        let mut truth = Truth::default();
        let eni: EniId = "eni-1".parse().unwrap();
        assert!(!truth.orphan_seen(&eni, Instant(0)));
        assert!(truth.orphan_seen(&eni, Instant(60_000)));
        truth.keep_orphans(|_| false);
        assert!(!truth.orphan_seen(&eni, Instant(120_000)));
    }
}
