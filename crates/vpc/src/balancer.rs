//! A load balancer that keeps the client's address: which target a connection has, and which answers are its.
//! Must not: know who may reach a target (`carry` asks the security groups), read a clock.
//!
//! The target sees the client itself, so only the balancer's memory of the connection tells an answer from a stray
//! packet: an answer comes from the address that was asked, by the ENI through which the question came.

use crate::flows::idle_limit;
use crate::outside::Outside;
use crate::route::{Drop, Ends};
use model::id::EniId;
use model::time::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

const CAPACITY: usize = 65_536;

#[derive(Debug, Clone)]
struct Connection {
    listener: SocketAddrV4,
    target: SocketAddrV4,
    eni: EniId,
    last: Instant,
}

/// Connections by protocol and client; a client's port serves one connection at a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections {
    open: BTreeMap<(u8, SocketAddrV4), Connection>,
}

impl Connections {
    /// Where a client's packet to a listener goes: to its connection's target, or to one that its port chooses.
    pub(crate) fn target(
        &self,
        now: Instant,
        outside: &Outside,
        ends: &Ends,
    ) -> Option<SocketAddrV4> {
        let targets = outside.targets(ends.protocol, ends.dst)?;
        let known = self.get(now, ends.protocol, ends.src);
        let known = known.filter(|it| it.listener == ends.dst && targets.contains(&it.target));
        match known {
            Some(connection) => Some(connection.target),
            None => {
                let choice = usize::from(ends.src.port()).checked_rem(targets.len())?;
                targets.get(choice).copied()
            }
        }
    }

    /// A client's packet to `listener` was delivered to a target through an ENI.
    pub(crate) fn record(&mut self, now: Instant, ends: &Ends, listener: SocketAddrV4, eni: EniId) {
        if self.open.len() >= CAPACITY {
            self.open
                .retain(|(protocol, _), it| now.since(it.last) < idle_limit(*protocol));
        }
        let connection = Connection {
            listener,
            target: ends.dst,
            eni,
            last: now,
        };
        if self.open.len() < CAPACITY {
            self.open.insert((ends.protocol, ends.src), connection);
        }
    }

    /// The listener that an answer must seem to come from; none for packets that belong to no connection.
    pub(crate) fn answer(
        &self,
        now: Instant,
        from: &EniId,
        ends: &Ends,
    ) -> Result<Option<SocketAddrV4>, Drop> {
        match self.get(now, ends.protocol, ends.dst) {
            None => Ok(None),
            Some(it) if it.target != ends.src => Err(Drop::AnotherSource),
            Some(it) if it.eni != *from => Err(Drop::AnotherEni),
            Some(it) => Ok(Some(it.listener)),
        }
    }

    fn get(&self, now: Instant, protocol: u8, client: SocketAddrV4) -> Option<&Connection> {
        let found = self.open.get(&(protocol, client));
        found.filter(|it| now.since(it.last) < idle_limit(protocol))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const TCP: u8 = 6;

    fn at(last: u8, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, last), port)
    }

    fn client(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 10), port)
    }

    const LISTENER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 80);

    fn ends(src: SocketAddrV4, dst: SocketAddrV4) -> Ends {
        Ends {
            protocol: TCP,
            src,
            dst,
        }
    }

    fn outside(targets: &[SocketAddrV4]) -> Outside {
        let mut outside = Outside::of("vpc-1".parse().unwrap());
        outside.listen(TCP, LISTENER, targets.to_vec());
        outside
    }

    #[test]
    fn a_connection_keeps_its_target_and_a_new_one_is_chosen_by_the_clients_port() {
        let both = outside(&[at(1, 30_080), at(2, 30_080)]);
        let mut open = Connections::default();
        let ask = |open: &Connections, outside: &Outside, port| {
            open.target(Instant(0), outside, &ends(client(port), LISTENER))
        };
        assert_eq!(ask(&open, &both, 40_000), Some(at(1, 30_080)));
        assert_eq!(ask(&open, &both, 40_001), Some(at(2, 30_080)));
        let eni: EniId = "eni-1".parse().unwrap();
        open.record(
            Instant(0),
            &ends(client(40_000), at(2, 30_080)),
            LISTENER,
            eni,
        );
        assert_eq!(ask(&open, &both, 40_000), Some(at(2, 30_080)), "stays");
        let gone = outside(&[at(1, 30_080)]);
        assert_eq!(
            ask(&open, &gone, 40_000),
            Some(at(1, 30_080)),
            "deregistered"
        );
        assert_eq!(ask(&open, &outside(&[]), 40_000), None, "no target");
        let elsewhere = ends(client(40_000), at(9, 80));
        assert_eq!(open.target(Instant(0), &both, &elsewhere), None);
    }

    #[test]
    fn an_answer_comes_from_the_address_that_was_asked_by_the_same_eni_while_the_connection_lives()
    {
        let (first, second): (EniId, EniId) = ("eni-1".parse().unwrap(), "eni-2".parse().unwrap());
        let mut open = Connections::default();
        let asked = ends(client(40_000), at(1, 30_080));
        open.record(Instant(0), &asked, LISTENER, first.clone());
        let reply = |src| ends(src, client(40_000));
        let answer = |now, eni: &EniId, src| open.answer(Instant(now), eni, &reply(src));
        assert_eq!(answer(1, &first, at(1, 30_080)), Ok(Some(LISTENER)));
        assert_eq!(answer(1, &second, at(1, 30_080)), Err(Drop::AnotherEni));
        assert_eq!(answer(1, &first, at(7, 80)), Err(Drop::AnotherSource));
        assert_eq!(answer(350_000, &first, at(7, 80)), Ok(None), "idle");
        let other = ends(at(1, 30_080), client(40_001));
        assert_eq!(open.answer(Instant(1), &first, &other), Ok(None));
    }
}
