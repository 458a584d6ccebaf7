//! Addresses that people took away from the node in EC2, and whether the node has said so. Must not: know who holds them.

use model::id::EniId;
use model::time::Instant;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What was taken and not given back.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken(BTreeMap<Ipv4Addr, Loss>);

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
        self.0.insert(address, loss);
    }

    pub(super) fn give_back(&mut self, address: Ipv4Addr, to: &EniId) {
        self.0
            .retain(|taken, loss| *taken != address || loss.from.as_ref() != Some(to));
    }

    pub(super) fn report(&mut self, address: Ipv4Addr) {
        if let Some(loss) = self.0.get_mut(&address) {
            (loss.reported, loss.known) = (true, true);
        }
    }

    pub(super) fn since(&self, address: Ipv4Addr) -> Option<Instant> {
        self.0.get(&address).map(|loss| loss.since)
    }

    pub(super) fn forget_reports(&mut self) {
        for loss in self.0.values_mut() {
            loss.known = false;
        }
    }

    pub(super) fn is_known(&self, address: Ipv4Addr) -> bool {
        self.0.get(&address).is_some_and(|loss| loss.known)
    }

    pub(super) fn is_reported(&self, address: Ipv4Addr) -> bool {
        self.0.get(&address).is_some_and(|loss| loss.reported)
    }
}
