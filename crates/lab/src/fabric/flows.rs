//! Which flows were allowed, so that their answers pass: the state behind EC2's stateful security groups. Pure.
//! Must not: evaluate rules (`vpc` does), read a clock (`now` is an argument).

use crate::fabric::frame::{ICMP, Ipv4};
use model::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const TCP: u8 = 6;
const CAPACITY: usize = 65_536;

/// One direction of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Flow {
    protocol: u8,
    src: (Ipv4Addr, u16),
    dst: (Ipv4Addr, u16),
}

impl Flow {
    fn opposite(&self) -> Self {
        Self {
            protocol: self.protocol,
            src: self.dst,
            dst: self.src,
        }
    }
}

/// The flows that a security group allowed, by their first direction.
#[derive(Debug, Default)]
pub struct Flows {
    seen: BTreeMap<Flow, Instant>,
}

impl Flows {
    /// Whether the packet belongs to a flow, in either direction, that was allowed and is not idle for too long: EC2
    /// does not interrupt it when the rule that allowed it goes.
    pub fn established(&self, now: Instant, packet: &Ipv4) -> bool {
        let Some(flow) = flow_of(packet) else {
            return false;
        };
        let seen = |flow: &Flow| {
            self.seen
                .get(flow)
                .is_some_and(|last| now.since(*last) < idle_limit(flow.protocol))
        };
        seen(&flow) || seen(&flow.opposite())
    }

    /// Remembers a packet that rules allowed; an answer only keeps the flow it answers alive.
    pub fn record(&mut self, now: Instant, packet: &Ipv4) {
        let Some(flow) = flow_of(packet) else { return };
        if let Some(last) = self.seen.get_mut(&flow.opposite()) {
            *last = now;
            return;
        }
        if self.seen.len() >= CAPACITY && !self.seen.contains_key(&flow) {
            self.make_room(now);
        }
        self.seen.insert(flow, now);
    }

    fn make_room(&mut self, now: Instant) {
        self.seen
            .retain(|flow, last| now.since(*last) < idle_limit(flow.protocol));
        if self.seen.len() >= CAPACITY
            && let Some(oldest) = self
                .seen
                .iter()
                .min_by_key(|(_, last)| **last)
                .map(|(flow, _)| *flow)
        {
            self.seen.remove(&oldest);
        }
    }
}

fn flow_of(packet: &Ipv4) -> Option<Flow> {
    let (src, dst) = packet.ports?;
    Some(Flow {
        protocol: packet.protocol,
        src: (packet.src, src),
        dst: (packet.dst, dst),
    })
}

/// EC2's connection tracking: 350 s for TCP, 180 s for UDP streams, 30 s for ICMP.
fn idle_limit(protocol: u8) -> Duration {
    match protocol {
        TCP => Duration::from_secs(350),
        ICMP => Duration::from_secs(30),
        _ => Duration::from_secs(180),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(src: u8, dst: u8, ports: (u16, u16)) -> Ipv4 {
        let address = |last| Ipv4Addr::new(10, 0, 1, last);
        Ipv4 {
            src: address(src),
            dst: address(dst),
            protocol: TCP,
            ports: Some(ports),
            echo: None,
        }
    }

    #[test]
    fn both_directions_of_an_allowed_flow_are_established_and_nothing_else() {
        let mut flows = Flows::default();
        let now = Instant(1_000);
        flows.record(now, &packet(1, 2, (40_000, 80)));
        assert!(
            flows.established(now, &packet(2, 1, (80, 40_000))),
            "the answer"
        );
        assert!(
            flows.established(now, &packet(1, 2, (40_000, 80))),
            "what comes after the first packet"
        );
        assert!(
            !flows.established(now, &packet(2, 1, (81, 40_000))),
            "another port"
        );
        assert!(
            !flows.established(now, &packet(3, 1, (80, 40_000))),
            "another host"
        );
        let unanswerable = Ipv4 {
            ports: None,
            ..packet(1, 2, (0, 0))
        };
        flows.record(now, &unanswerable);
        assert!(
            !flows.established(now, &unanswerable),
            "a packet without ports is no flow"
        );
    }

    #[test]
    fn an_idle_flow_ends_and_traffic_keeps_it_alive() {
        let mut flows = Flows::default();
        flows.record(Instant(0), &packet(1, 2, (40_000, 80)));
        let answer = packet(2, 1, (80, 40_000));
        assert!(flows.established(Instant(349_000), &answer));
        flows.record(Instant(349_000), &answer);
        assert!(flows.established(Instant(600_000), &answer));
        assert!(!flows.established(Instant(700_000), &answer));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest_first() {
        let mut flows = Flows::default();
        for n in 0..=CAPACITY {
            let (high, low) = (
                u16::try_from(n / 60_000).unwrap(),
                u16::try_from(n % 60_000).unwrap(),
            );
            flows.record(
                Instant(u64::try_from(n).unwrap()),
                &packet(1, 2, (low, high)),
            );
        }
        assert_eq!(flows.seen.len(), CAPACITY);
        let now = Instant(u64::try_from(CAPACITY).unwrap());
        assert!(
            !flows.established(now, &packet(2, 1, (0, 0))),
            "the oldest is still there"
        );
        assert!(flows.established(now, &packet(2, 1, (0, 1))));
    }
}
