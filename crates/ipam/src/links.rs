//! What the host's links say: which ENIs have one, which addresses are routed into one, whose pod has lost its own. Part
//! of [`Node`].
//!
//! Must not: read the kernel; a missing link alone releases nothing at once.

use crate::event::LinkView;
use crate::node::{Node, Out};
use crate::notice::Notice;
use model::allocation::Cooling;
use model::id::EniId;
use model::pod::PodKey;
use model::time::{Duration, Instant};
use pool::address::AddressState;
use pool::eni::Eni;
use std::net::Ipv4Addr;

/// How long an address rests whose rules are about to be removed: longer than the host task takes from a look to what
/// comes of it.
const REST: Duration = Duration::from_secs(5);
/// From an ENI's link going to asking EC2 about it: describes lag.
const LINK_GONE: Duration = Duration::from_secs(30);

impl Node {
    /// Whether the ENI's link is there, as far as is known.
    pub(crate) fn has_link(&self, eni: &EniId) -> bool {
        let Some(record) = self.pool.eni(eni) else {
            return false;
        };
        self.links
            .as_ref()
            .is_none_or(|links| links.macs.contains(&record.mac))
    }

    /// Tells of addresses that links still route though nobody is known to hold them.
    pub(crate) fn hold_routed(&mut self, out: &mut Out<'_>) {
        let Some(links) = &self.links else { return };
        for (address, link) in &links.routed {
            if self
                .pool
                .state_of(*address)
                .is_some_and(|(_, state)| state == AddressState::HeldByLink)
            {
                out.note(Notice::HeldByLink {
                    address: *address,
                    link: link.clone(),
                });
            }
        }
    }

    /// Whether an ENI had its link before and has it no more.
    fn has_lost_a_link(&self, links: &LinkView) -> bool {
        let had = |eni: &Eni| {
            self.links
                .as_ref()
                .is_some_and(|before| before.macs.contains(&eni.mac))
        };
        self.pool
            .enis()
            .any(|eni| had(eni) && !links.macs.contains(&eni.mac))
    }

    /// The host's links changed, or were looked at again.
    pub(crate) fn see_links(&mut self, links: LinkView, out: &mut Out<'_>) {
        let unrouted: Vec<_> = self
            .pool
            .enis()
            .flat_map(|eni| self.pool.addresses(&eni.id))
            .filter(|(address, state)| {
                **state == AddressState::HeldByLink && !links.routed.contains_key(address)
            })
            .map(|(address, _)| address)
            .collect();
        for address in unrouted {
            self.pool.unhold_by_link(out.boot(), address);
        }
        if self.is_serving() {
            self.find_leftovers(&links, out.boot());
            let held: Vec<_> = self.pool.allocations().collect();
            let told_at = |key: &PodKey| self.requests.told_at(key);
            for swept in self.sweep.look(out.boot(), &links, (&held, &told_at)) {
                self.pool.release(out.boot(), &swept.key);
                self.requests.forget(&swept.key);
                self.commit.touch(crate::effect::File::Checkpoint);
                out.note(Notice::Swept {
                    key: swept.key,
                    pod: swept.pod,
                    address: swept.address,
                });
            }
        }
        if self.has_lost_a_link(&links) {
            // Perhaps somebody takes an ENI off: EC2 tells, once it shows it.
            self.pace.refresh_by(out.boot().after(LINK_GONE));
        }
        self.links = Some(links);
    }

    /// Rules that name an address without holder or route are what a DEL left that was cut short. The address rests until
    /// they are gone, so that they are not mistaken for those of the pod that gets it next.
    fn find_leftovers(&mut self, links: &LinkView, now: Instant) {
        let is_unheld = |address: &Ipv4Addr| {
            let state = self.pool.state_of(*address).map(|(_, state)| state);
            matches!(
                state,
                Some(AddressState::Free | AddressState::Cooling { .. })
            )
        };
        let unrouted = links.ruled.iter().copied();
        let unrouted = unrouted.filter(|address| !links.routed.contains_key(address));
        let leftovers: Vec<_> = unrouted.filter(is_unheld).collect();
        for address in leftovers.iter().copied() {
            let until = now.after(REST);
            self.pool.restore_cooling(Cooling { address, until });
        }
        self.host.leftovers = leftovers;
    }
}
