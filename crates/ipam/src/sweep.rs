//! Allocations whose client died between our answer and its DEL: found by the missing host link.
//!
//! Must not: release anything (the node does). A link without its route is damage to repair, never a reason to release.

use crate::event::LinkView;
use model::allocation::Allocation;
use model::pod::{PodKey, PodName};
use model::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// How old an allocation must be: the longest ADD (90 s) and 60 s more, so that a plugin that is still wiring never loses
/// its address. Counted from the last answer that named it; what an earlier process answered counts from our start.
pub(crate) const AFTER: Duration = Duration::from_secs(150);
/// How far apart the two looks must be that find no link.
const APART: Duration = Duration::from_secs(10);
/// The links are looked at this often at least.
const LOOKS: Duration = Duration::from_secs(30);

/// Names of departed pods whose hash is kept.
const SPARE: usize = 64;

/// Digits of a pod's hash in the name of its host link.
const HASH: usize = 11;

/// All allocations, and when the address of each was last told to a caller.
type Held<'a> = (&'a [&'a Allocation], &'a dyn Fn(&PodKey) -> Option<Instant>);

/// Since when which allocation's link is missing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sweep {
    missing: BTreeMap<PodKey, Suspect>,
    /// The ends of pods' link names: a hash is not computed anew at every look.
    suffixes: BTreeMap<PodName, String>,
    swept: u64,
}

/// An allocation without its link.
#[derive(Debug, Clone)]
struct Suspect {
    address: Ipv4Addr,
    /// When the second look may be at the earliest.
    due: Instant,
}

impl Sweep {
    /// Looks at the links; returns the allocations to release. Entries without a pod name are never swept, nor those
    /// whose answer has not left.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        links: &LinkView,
        (allocations, told_at): Held<'_>,
    ) -> Vec<Allocation> {
        let mut missing = BTreeMap::new();
        let mut swept = Vec::new();
        let pods = PodLinks::of(links);
        if self.suffixes.len() > 2 * allocations.len() + SPARE {
            self.suffixes.clear();
        }
        for allocation in allocations {
            let suffix = match self.suffixes.get(&allocation.pod) {
                Some(suffix) => suffix,
                None => {
                    let suffix = allocation.pod.link_suffix(0);
                    self.suffixes
                        .entry(allocation.pod.clone())
                        .or_insert(suffix)
                }
            };
            let linked = allocation.pod.is_unnamed() || pods.0.contains(suffix.as_str());
            if linked && !is_replaced(allocation, suffix, links, allocations) {
                continue;
            }
            let Some(told) = told_at(&allocation.key) else {
                continue;
            };
            let first = now.after(APART).max(told.after(AFTER));
            let known = self.missing.get(&allocation.key);
            let due = known.map_or(first, |suspect| suspect.due.max(told.after(AFTER)));
            if due <= now {
                swept.push(Allocation::clone(allocation));
            } else {
                let address = allocation.address;
                missing.insert(allocation.key.clone(), Suspect { address, due });
            }
        }
        self.missing = missing;
        self.swept += swept.len() as u64;
        swept
    }

    /// Addresses that will have been released by this time unless their links appear after all.
    pub(crate) fn released_by(&self, at: Instant) -> impl Iterator<Item = Ipv4Addr> {
        self.missing
            .values()
            .filter(move |suspect| suspect.due.after(LOOKS) < at)
            .map(|suspect| suspect.address)
    }

    /// How many were released so far.
    pub(crate) fn count(&self) -> u64 {
        self.swept
    }
}

/// Two sandboxes of one pod share the name of the host link: the link belongs to the one whose address is routed to it.
fn is_replaced(
    allocation: &Allocation,
    suffix: &str,
    links: &LinkView,
    allocations: &[&Allocation],
) -> bool {
    let owns = |other: &Allocation| {
        let link = links.routed.get(&other.address);
        link.is_some_and(|link| link.ends_with(suffix))
    };
    let replaces = |other: &Allocation| other.key != allocation.key && other.pod == allocation.pod;
    !allocation.pod.is_unnamed()
        && !owns(allocation)
        && allocations
            .iter()
            .any(|other| replaces(other) && owns(other))
}

/// The ends of all link names: any prefix before a pod's hash is accepted (ipamd.md §3.5).
pub(crate) struct PodLinks<'a>(BTreeSet<&'a str>);

impl<'a> PodLinks<'a> {
    pub(crate) fn of(links: &'a LinkView) -> Self {
        let end = |name: &'a String| name.get(name.len().checked_sub(HASH)?..);
        Self(links.names.iter().filter_map(end).collect())
    }

    /// Whether the allocation's pod has a host link, or has no name to find it by.
    pub(crate) fn has(&self, allocation: &Allocation) -> bool {
        allocation.pod.is_unnamed() || self.0.contains(allocation.pod.link_suffix(0).as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::time::WallTime;

    fn allocation(name: &str) -> Allocation {
        Allocation {
            key: PodKey {
                network: "aws-cni".into(),
                container: format!("c-{name}"),
                interface: "eth0".into(),
            },
            pod: PodName {
                namespace: if name.is_empty() { "" } else { "default" }.into(),
                name: name.into(),
            },
            address: Ipv4Addr::new(10, 0, 1, 7),
            since: WallTime(0),
            interfaces: 1,
        }
    }

    fn look(sweep: &mut Sweep, at: u64, links: &LinkView, held: &[&Allocation]) -> Vec<Allocation> {
        sweep.look(Instant(at), links, (held, &|_| Some(Instant(0))))
    }

    #[test]
    fn an_old_allocation_is_swept_when_two_looks_ten_seconds_apart_find_no_link() {
        let (mut sweep, held) = (Sweep::default(), [&allocation("web-1"), &allocation("")]);
        let none = LinkView::default();
        let mut linked = LinkView::default();
        linked.names.insert("eni0761ccbeace".into());
        assert!(look(&mut sweep, 0, &none, &held).is_empty());
        assert!(
            look(&mut sweep, 149_999, &none, &held).is_empty(),
            "too young"
        );
        assert!(look(&mut sweep, 200_000, &linked, &held).is_empty());
        assert!(
            look(&mut sweep, 300_000, &none, &held).is_empty(),
            "it was there in between"
        );
        assert!(look(&mut sweep, 309_999, &none, &held).is_empty());
        let swept = look(&mut sweep, 310_000, &none, &held);
        assert_eq!(swept, [allocation("web-1")], "the unnamed one is exempt");
        assert_eq!(sweep.count(), 1);
    }

    #[test]
    fn an_answer_that_has_not_left_or_left_a_moment_ago_protects_its_allocation() {
        let (mut sweep, held) = (Sweep::default(), [&allocation("web-1")]);
        let (none, never) = (LinkView::default(), |_: &PodKey| None);
        for at in [0, 200_000, 400_000] {
            assert!(sweep.look(Instant(at), &none, (&held, &never)).is_empty());
        }
        let again = |_: &PodKey| Some(Instant(400_000));
        for at in [400_000, 549_999] {
            assert!(sweep.look(Instant(at), &none, (&held, &again)).is_empty());
        }
        let swept = sweep.look(Instant(550_000), &none, (&held, &again));
        assert_eq!(swept.len(), 1);
    }

    #[test]
    fn a_suspect_counts_as_released_once_a_look_must_have_confirmed_it() {
        let (mut sweep, held) = (Sweep::default(), [&allocation("web-1")]);
        look(&mut sweep, 200_000, &LinkView::default(), &held);
        assert_eq!(sweep.released_by(Instant(240_000)).count(), 0);
        assert_eq!(sweep.released_by(Instant(240_001)).count(), 1);
    }

    #[test]
    fn of_two_sandboxes_of_one_pod_the_one_that_the_link_does_not_route_is_swept() {
        let mut sweep = Sweep::default();
        let dead = allocation("web-1");
        let mut live = dead.clone();
        live.key.container = "newer".into();
        live.address = Ipv4Addr::new(10, 0, 1, 8);
        let held = [&dead, &live];
        let mut links = LinkView::default();
        links.names.insert("eni0761ccbeace".into());
        assert!(look(&mut sweep, 200_000, &links, &held).is_empty());
        let unrouted = look(&mut sweep, 300_000, &links, &held);
        assert!(
            unrouted.is_empty(),
            "a link without its route is damage to repair"
        );
        links.routed.insert(live.address, "eni0761ccbeace".into());
        assert!(look(&mut sweep, 400_000, &links, &held).is_empty());
        let swept = look(&mut sweep, 410_000, &links, &held);
        assert_eq!(swept.iter().collect::<Vec<_>>(), [&dead]);
    }
}
