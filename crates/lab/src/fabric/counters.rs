//! What the fabric saw: packets and bytes per ENI, drops by reason, delivered echoes and dropped pairs. Pure.
//! Driven by `switch`. Must not: decide anything.

use crate::fabric::frame::Echo;
use model::id::EniId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Pairs kept at most, so that a port scan cannot fill the memory.
const PAIRS: usize = 65_536;

/// Why the fabric did not deliver a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, thiserror::Error)]
pub enum Reason {
    /// EC2's source check: the source is not an address of the ENI it left.
    #[error("source not assigned to the ENI it left")]
    SourceNotAssigned,
    /// No ENI of the VPC has the destination.
    #[error("no such destination")]
    NoSuchDestination,
    /// No ingress rule of the receiving ENI's security groups allows it.
    #[error("denied by the receiver's security groups")]
    DeniedByGroup,
    /// The ENI of the destination is not attached to an instance.
    #[error("the receiving ENI is not attached")]
    NotAttached,
    /// The frame's sender is not the ENI's hardware address.
    #[error("sent from a foreign MAC address")]
    ForeignMac,
    /// Not a frame.
    #[error("malformed")]
    Malformed,
    /// IPv6 and everything else that is neither IPv4 nor an ARP request.
    #[error("neither IPv4 nor an ARP request")]
    NotIpv4,
    /// Larger than a VPC carries (9001 bytes of IP).
    #[error("larger than the MTU")]
    TooLarge,
    /// The receiving link is not there yet or any more.
    #[error("the receiver has no link")]
    NoLink,
    /// The receiving link is down or its queue is full.
    #[error("the receiver's link refused it")]
    LinkRefused,
}

/// Counters of one ENI, as the guest sees the directions: `tx` left the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EniCounters {
    /// Packets that came from the guest.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Packets delivered to the guest.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Packets that came from the guest and were not delivered, by reason.
    pub drops: BTreeMap<Reason, u64>,
}

/// Delivered halves of ICMP echoes of one ordered pair (source, destination).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Echoes {
    /// Requests delivered.
    pub requests: u64,
    /// Replies delivered.
    pub replies: u64,
}

/// Everything counted so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// By ENI; an ENI stays in the list after it was detached.
    pub enis: BTreeMap<EniId, EniCounters>,
    /// Delivered echoes by (source, destination).
    pub echoes: BTreeMap<(Ipv4Addr, Ipv4Addr), Echoes>,
    /// Dropped IPv4 packets by (source, destination, reason).
    pub dropped: BTreeMap<(Ipv4Addr, Ipv4Addr, Reason), u64>,
}

impl Counters {
    /// A packet left a guest.
    pub fn sent(&mut self, from: &EniId, bytes: usize) {
        let eni = self.of(from);
        eni.tx_packets += 1;
        eni.tx_bytes += bytes as u64;
    }

    /// A packet reached a guest.
    pub fn delivered(&mut self, to: &EniId, bytes: usize) {
        let eni = self.of(to);
        eni.rx_packets += 1;
        eni.rx_bytes += bytes as u64;
    }

    /// Half of an echo reached its destination.
    pub fn echoed(&mut self, pair: (Ipv4Addr, Ipv4Addr), half: Echo) {
        if self.echoes.len() >= PAIRS && !self.echoes.contains_key(&pair) {
            return;
        }
        let echoes = self.echoes.entry(pair).or_default();
        match half {
            Echo::Request => echoes.requests += 1,
            Echo::Reply => echoes.replies += 1,
        }
    }

    /// A packet that left `from` was not delivered; `pair` when it was IPv4.
    pub fn dropped(&mut self, from: &EniId, pair: Option<(Ipv4Addr, Ipv4Addr)>, reason: Reason) {
        *self.of(from).drops.entry(reason).or_default() += 1;
        if let Some((src, dst)) = pair
            && (self.dropped.len() < PAIRS || self.dropped.contains_key(&(src, dst, reason)))
        {
            *self.dropped.entry((src, dst, reason)).or_default() += 1;
        }
    }

    fn of(&mut self, eni: &EniId) -> &mut EniCounters {
        if !self.enis.contains_key(eni) {
            self.enis.insert(eni.clone(), EniCounters::default());
        }
        self.enis.get_mut(eni).expect("inserted above")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_counted_by_eni_and_by_pair() {
        let eni: EniId = "eni-1".parse().unwrap();
        let (a, b) = (Ipv4Addr::new(10, 0, 1, 1), Ipv4Addr::new(10, 0, 1, 2));
        let mut counters = Counters::default();
        counters.sent(&eni, 100);
        counters.dropped(&eni, Some((a, b)), Reason::DeniedByGroup);
        counters.dropped(&eni, None, Reason::NotIpv4);
        let seen = &counters.enis[&eni];
        assert_eq!(
            (seen.tx_packets, seen.tx_bytes, seen.rx_packets),
            (1, 100, 0)
        );
        assert_eq!(
            seen.drops,
            BTreeMap::from([(Reason::DeniedByGroup, 1), (Reason::NotIpv4, 1)])
        );
        assert_eq!(
            counters.dropped,
            BTreeMap::from([((a, b, Reason::DeniedByGroup), 1)])
        );
    }

    #[test]
    fn echoes_are_counted_by_ordered_pair_and_half() {
        let (a, b) = (Ipv4Addr::new(10, 0, 1, 1), Ipv4Addr::new(10, 0, 1, 2));
        let mut counters = Counters::default();
        counters.echoed((a, b), Echo::Request);
        counters.echoed((b, a), Echo::Reply);
        assert_eq!(
            counters.echoes[&(a, b)],
            Echoes {
                requests: 1,
                replies: 0
            }
        );
        assert_eq!(
            counters.echoes[&(b, a)],
            Echoes {
                requests: 0,
                replies: 1
            }
        );
    }
}
