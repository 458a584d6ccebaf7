//! Addresses that EC2 has moved from one of the node's ENIs to another: somebody took one away, and an assign or create of
//! ours got it back elsewhere. Part of [`Node`].
//!
//! Must not: believe a read that may be older than our last change to either ENI.

use crate::node::{Node, Out};
use model::eni::EniRecord;
use model::id::EniId;
use model::time::Instant;
use pool::address::AddressState;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

impl Node {
    /// Whether the address is known on another ENI than this.
    pub(crate) fn is_elsewhere(&self, eni: &EniId, address: Ipv4Addr) -> bool {
        self.pool
            .state_of(address)
            .is_some_and(|(at, state)| at != *eni && state != AddressState::Lost)
    }

    /// An answer of EC2 says that the ENI has the address: if it was known on another one, that has lost it.
    pub(crate) fn displace(&mut self, to: &EniId, address: Ipv4Addr, out: &mut Out<'_>) {
        self.end_other_release(to, address);
        if let Some((_, state)) = self
            .pool
            .state_of(address)
            .filter(|(at, state)| at != to && *state != AddressState::Lost)
        {
            self.lose(address, &state, out);
        }
    }

    /// A read lists addresses on another ENI than known, and neither ENI was changed by us lately.
    pub(crate) fn displace_listed(
        &mut self,
        began: Instant,
        records: &[EniRecord],
        out: &mut Out<'_>,
    ) {
        let mut homes: BTreeMap<Ipv4Addr, Vec<&EniId>> = BTreeMap::new();
        for record in records {
            for known in &record.addresses {
                homes.entry(known.address).or_default().push(&record.id);
            }
        }
        for (address, listed) in homes {
            let [to] = listed.as_slice() else { continue };
            let quiet = |eni: &EniId| self.truth.may_remove(eni, began) && !self.is_busy(eni);
            let moved = self
                .pool
                .state_of(address)
                .is_some_and(|(at, _)| at != **to && quiet(&at) && quiet(to));
            if moved {
                self.displace(to, address, out);
            }
        }
    }
}
