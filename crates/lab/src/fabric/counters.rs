//! What the fabric saw: packets and bytes per ENI, drops by reason, delivered echoes and dropped pairs. Pure.
//! Driven by `switch`. Must not: decide anything.

use crate::fabric::frame::Echo;
use model::id::EniId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use vpc::{End, Side};

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
    /// The Internet gateway translates an instance's primary address and no other.
    #[error("Internet gateway: source has no public address")]
    NoPublicAddress,
    /// The network that sent it has no route to the destination: a packet that went there gets no answer.
    #[error("the sending network has no route to the destination")]
    NoRouteBack,
    /// It came from a network that doesn't have its source address.
    #[error("source not of the network it came from")]
    ForeignSource,
    /// An answer to the load balancer's client by the wrong ENI.
    #[error("load balancer: reply left by another ENI than the request came in by")]
    AnotherEni,
    /// An answer to the load balancer's client from the wrong address.
    #[error("load balancer: reply's source is not what the request was sent to")]
    AnotherSource,
}

impl From<vpc::Drop> for Reason {
    fn from(drop: vpc::Drop) -> Self {
        match drop {
            vpc::Drop::NotAttached => Self::NotAttached,
            vpc::Drop::SourceNotAssigned => Self::SourceNotAssigned,
            vpc::Drop::NoSuchDestination => Self::NoSuchDestination,
            vpc::Drop::DeniedByGroup => Self::DeniedByGroup,
            vpc::Drop::NoPublicAddress => Self::NoPublicAddress,
            vpc::Drop::NoRouteBack => Self::NoRouteBack,
            vpc::Drop::ForeignSource => Self::ForeignSource,
            vpc::Drop::AnotherEni => Self::AnotherEni,
            vpc::Drop::AnotherSource => Self::AnotherSource,
        }
    }
}

/// Counters of one ENI, as the guest sees the directions: `tx` left the node. Of a network beyond the VPC likewise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LinkCounters {
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
    pub enis: BTreeMap<EniId, LinkCounters>,
    /// By network beyond the VPC.
    pub sides: BTreeMap<Side, LinkCounters>,
    /// Delivered echoes by (source, destination), with the addresses that they have in the VPC.
    pub echoes: BTreeMap<(Ipv4Addr, Ipv4Addr), Echoes>,
    /// Dropped IPv4 packets by (source, destination, reason), with the addresses that they were sent with.
    pub dropped: BTreeMap<(Ipv4Addr, Ipv4Addr, Reason), u64>,
}

impl Counters {
    /// A packet left a guest.
    pub fn sent(&mut self, from: &End, bytes: usize) {
        let link = self.of(from);
        link.tx_packets += 1;
        link.tx_bytes += bytes as u64;
    }

    /// A packet reached a guest.
    pub fn delivered(&mut self, to: &End, bytes: usize) {
        let link = self.of(to);
        link.rx_packets += 1;
        link.rx_bytes += bytes as u64;
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
    pub fn dropped(&mut self, from: &End, pair: Option<(Ipv4Addr, Ipv4Addr)>, reason: Reason) {
        *self.of(from).drops.entry(reason).or_default() += 1;
        if let Some((src, dst)) = pair
            && (self.dropped.len() < PAIRS || self.dropped.contains_key(&(src, dst, reason)))
        {
            *self.dropped.entry((src, dst, reason)).or_default() += 1;
        }
    }

    fn of(&mut self, end: &End) -> &mut LinkCounters {
        let eni = match end {
            End::Side(side) => return self.sides.entry(*side).or_default(),
            End::Eni(eni) => eni,
        };
        if !self.enis.contains_key(eni) {
            self.enis.insert(eni.clone(), LinkCounters::default());
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
        let (here, side) = (End::Eni(eni.clone()), End::Side(Side::Peer));
        counters.sent(&here, 100);
        counters.dropped(&here, Some((a, b)), Reason::DeniedByGroup);
        counters.dropped(&here, None, Reason::NotIpv4);
        counters.delivered(&side, 100);
        assert_eq!(counters.sides[&Side::Peer].rx_bytes, 100);
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
