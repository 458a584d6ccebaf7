//! Allocations whose client died between our answer and its DEL: found by the missing host link.
//!
//! Must not: release anything (the node does). A link without its route is damage to repair, never a reason to release.

use crate::event::LinkView;
use model::allocation::Allocation;
use model::pod::{PodKey, PodName};
use model::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// How long the link must be missing: the longest ADD (90 s) and 60 s more, so that a plugin that is still wiring
/// never loses its address.
pub(crate) const AFTER: Duration = Duration::from_secs(150);

/// Digits of a pod's hash in the name of its host link.
const HASH: usize = 11;

/// Since when which allocation's link is missing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sweep {
    missing: BTreeMap<PodKey, Instant>,
    /// The ends of pods' link names: a hash is not computed anew at every look.
    suffixes: BTreeMap<PodName, String>,
}

impl Sweep {
    /// Looks at the links; returns the allocations to release. Entries without a pod name are never swept.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        links: &LinkView,
        allocations: &[&Allocation],
    ) -> Vec<Allocation> {
        let mut missing = BTreeMap::new();
        let mut swept = Vec::new();
        let pods = PodLinks::of(links);
        if self.suffixes.len() > 2 * allocations.len() {
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
            let since = self.missing.get(&allocation.key).copied().unwrap_or(now);
            if now.since(since) >= AFTER {
                swept.push(Allocation::clone(allocation));
            } else {
                missing.insert(allocation.key.clone(), since);
            }
        }
        self.missing = missing;
        swept
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
    use std::net::Ipv4Addr;

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

    #[test]
    fn an_allocation_is_swept_only_after_its_link_was_missing_all_the_time() {
        let (mut sweep, held) = (Sweep::default(), [&allocation("web-1"), &allocation("")]);
        let none = LinkView::default();
        let mut linked = LinkView::default();
        linked.names.insert("eni0761ccbeace".into());
        assert!(sweep.look(Instant(0), &none, &held).is_empty());
        assert!(sweep.look(Instant(100_000), &linked, &held).is_empty());
        let again = sweep.look(Instant(150_000), &none, &held);
        assert!(again.is_empty(), "it was there in between");
        assert!(sweep.look(Instant(299_999), &none, &held).is_empty());
        let swept = sweep.look(Instant(300_000), &none, &held);
        assert_eq!(swept, [allocation("web-1")], "the unnamed one is exempt");
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
        assert!(sweep.look(Instant(0), &links, &held).is_empty());
        let unrouted = sweep.look(Instant(200_000), &links, &held);
        assert!(
            unrouted.is_empty(),
            "a link without its route is damage to repair"
        );
        links.routed.insert(live.address, "eni0761ccbeace".into());
        assert!(sweep.look(Instant(300_000), &links, &held).is_empty());
        assert_eq!(sweep.look(Instant(450_000), &links, &held), [dead.clone()]);
    }
}
