//! Which flows were allowed, so that their answers pass: the state behind EC2's stateful security groups. Pure.
//! Must not: evaluate rules (`vpc` does), read a clock (`now` is an argument).

use crate::route::Ends;
use model::time::{Duration, Instant};
use std::collections::BTreeMap;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const CAPACITY: usize = 65_536;

/// The flows that a security group allowed, by their first direction.
#[derive(Debug, Clone, Default)]
pub struct Flows {
    seen: BTreeMap<Ends, Instant>,
}

impl Flows {
    /// Whether the packet belongs to a flow, in either direction, that was allowed and is not idle for too long: EC2
    /// does not interrupt it when the rule that allowed it goes.
    pub fn established(&self, now: Instant, ends: &Ends) -> bool {
        let seen = |flow: &Ends| {
            self.seen
                .get(flow)
                .is_some_and(|last| now.since(*last) < idle_limit(flow.protocol))
        };
        has_ports(ends) && (seen(ends) || seen(&opposite(ends)))
    }

    /// Remembers a packet that rules allowed; an answer only keeps the flow it answers alive.
    pub fn record(&mut self, now: Instant, ends: &Ends) {
        if !has_ports(ends) {
            return;
        }
        if let Some(last) = self.seen.get_mut(&opposite(ends)) {
            *last = now;
            return;
        }
        if self.seen.len() >= CAPACITY && !self.seen.contains_key(ends) {
            self.make_room(now);
        }
        self.seen.insert(*ends, now);
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

/// Later fragments and protocols without ports are no flow.
fn has_ports(ends: &Ends) -> bool {
    (ends.src.port(), ends.dst.port()) != (0, 0)
}

fn opposite(ends: &Ends) -> Ends {
    Ends {
        src: ends.dst,
        dst: ends.src,
        ..*ends
    }
}

/// EC2's connection tracking: 350 s for TCP, 180 s for UDP streams, 30 s for ICMP.
pub(crate) fn idle_limit(protocol: u8) -> Duration {
    match protocol {
        TCP => Duration::from_secs(350),
        ICMP => Duration::from_secs(30),
        _ => Duration::from_secs(180),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddrV4};

    fn packet(src: u8, dst: u8, ports: (u16, u16)) -> Ends {
        let at = |last, port| SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, last), port);
        Ends {
            protocol: TCP,
            src: at(src, ports.0),
            dst: at(dst, ports.1),
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
        let unanswerable = packet(1, 2, (0, 0));
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
                u16::try_from(n / 60_000 + 1).unwrap(),
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
            !flows.established(now, &packet(2, 1, (0, 1))),
            "the oldest is still there"
        );
        assert!(flows.established(now, &packet(2, 1, (1, 1))));
    }
}
