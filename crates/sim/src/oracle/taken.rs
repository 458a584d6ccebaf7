//! Addresses that people took away from the node in EC2, and whether the node has said so. Must not: know who holds them.

use model::id::EniId;
use model::time::Instant;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What was taken and not given back: each time that an address was, oldest first, because it may be taken again from the
/// ENI that EC2 assigned it to meanwhile.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken(BTreeMap<Ipv4Addr, Vec<Loss>>);

#[derive(Debug, Clone)]
struct Loss {
    from: Option<EniId>,
    since: Instant,
    reported: bool,
    /// Reported by the process that runs now: an earlier one's knowledge is gone.
    known: bool,
}

impl Taken {
    pub(super) fn take(&mut self, now: Instant, address: Ipv4Addr, from: Option<&EniId>) {
        let loss = Loss {
            from: from.cloned(),
            since: now,
            reported: false,
            known: false,
        };
        self.0.entry(address).or_default().push(loss);
    }

    pub(super) fn give_back(&mut self, address: Ipv4Addr, to: &EniId) {
        if let Some(losses) = self.0.get_mut(&address) {
            losses.retain(|loss| loss.from.as_ref() != Some(to));
            if losses.is_empty() {
                self.0.remove(&address);
            }
        }
    }

    /// The node names one loss at a time, the oldest first.
    pub(super) fn report(&mut self, address: Ipv4Addr) {
        let losses = self.0.get_mut(&address);
        if let Some(loss) = losses.and_then(|all| all.iter_mut().find(|loss| !loss.known)) {
            (loss.reported, loss.known) = (true, true);
        }
    }

    pub(super) fn since(&self, address: Ipv4Addr) -> Option<Instant> {
        self.last(address).map(|loss| loss.since)
    }

    pub(super) fn forget_reports(&mut self) {
        for loss in self.0.values_mut().flatten() {
            loss.known = false;
        }
    }

    pub(super) fn is_known(&self, address: Ipv4Addr) -> bool {
        self.last(address).is_some_and(|loss| loss.known)
    }

    pub(super) fn is_reported(&self, address: Ipv4Addr) -> bool {
        let losses = self.0.get(&address);
        losses.is_some_and(|all| all.iter().any(|loss| loss.reported))
    }

    fn last(&self, address: Ipv4Addr) -> Option<&Loss> {
        self.0.get(&address)?.last()
    }
}
