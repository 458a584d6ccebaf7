//! One packet's way: from an ENI or a side to an ENI or a side, with the addresses it has there, or why nowhere.
//! Driven by `lab::fabric`. Must not: move bytes.

use crate::balancer::Connections;
use crate::eni::Interface;
use crate::flows::Flows;
use crate::outside::Side;
use crate::route::{Drop, End, Ends, Packet, carries};
use crate::vpc::Vpc;
use model::id::EniId;
use model::time::Instant;
use std::net::SocketAddrV4;

/// What the VPC remembers of packets it carried.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// Flows that security groups let through.
    pub flows: Flows,
    connections: Connections,
}

/// Where a packet goes and how it looks there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Who receives it.
    pub to: End,
    /// Its ends as the receiver sees them.
    pub ends: Ends,
}

impl Vpc {
    /// Decides about a packet and remembers what its answers need.
    pub fn carry(
        &self,
        now: Instant,
        traffic: &mut Traffic,
        (from, ends): (&End, &Ends),
    ) -> Result<Hop, Drop> {
        match from {
            End::Eni(eni) => self.carry_out_of(now, traffic, (eni, ends)),
            End::Side(side) => self.carry_in(now, traffic, (*side, ends)),
        }
    }

    fn carry_out_of(
        &self,
        now: Instant,
        traffic: &mut Traffic,
        (from, ends): (&EniId, &Ends),
    ) -> Result<Hop, Drop> {
        let sender = self.interface(from).filter(|eni| carries(eni));
        let sender = sender.ok_or(Drop::NotAttached)?;
        let answered = traffic.connections.answer(now, from, ends);
        // The source check would find this packet too; that it was an answer says more.
        if answered == Err(Drop::AnotherEni) {
            return Err(Drop::AnotherEni);
        }
        sender.check_source(*ends.src.ip())?;
        if let Some(listener) = answered? {
            let side = self
                .outside_of(&sender.vpc)
                .ok_or(Drop::NoSuchDestination)?
                .side_of(*ends.dst.ip());
            traffic.flows.record(now, ends);
            return Ok(hop(
                End::Side(side),
                Ends {
                    src: listener,
                    ..*ends
                },
            ));
        }
        if self.is_inside(&sender.vpc, *ends.dst.ip()) {
            let packet = packet_of(now, traffic, ends);
            let delivery = self.route(from, &packet)?;
            traffic.flows.record(now, ends);
            return Ok(hop(End::Eni(delivery.eni), *ends));
        }
        let hop = self.leave(sender, ends)?;
        traffic.flows.record(now, ends);
        Ok(hop)
    }

    fn leave(&self, sender: &Interface, ends: &Ends) -> Result<Hop, Drop> {
        let outside = self
            .outside_of(&sender.vpc)
            .ok_or(Drop::NoSuchDestination)?;
        let side = outside.side_of(*ends.dst.ip());
        let instance = &sender
            .attachment
            .as_ref()
            .ok_or(Drop::NotAttached)?
            .instance;
        let src = self.source_on(side, (instance, *ends.src.ip()))?;
        let src = SocketAddrV4::new(src, ends.src.port());
        Ok(hop(End::Side(side), Ends { src, ..*ends }))
    }

    fn carry_in(
        &self,
        now: Instant,
        traffic: &mut Traffic,
        (side, ends): (Side, &Ends),
    ) -> Result<Hop, Drop> {
        let outside = self.admit(side, *ends.src.ip())?;
        let target = match side {
            Side::Internet => traffic.connections.target(now, outside, ends),
            Side::Peer | Side::Premises => None,
        };
        let dst = match target {
            Some(target) => target,
            None => {
                let address = self.destination_from(side, outside, *ends.dst.ip())?;
                SocketAddrV4::new(address, ends.dst.port())
            }
        };
        let inner = Ends { dst, ..*ends };
        let packet = packet_of(now, traffic, &inner);
        let delivery = self.deliver(Vpc::surrounded(outside), None, &packet)?;
        traffic.flows.record(now, &inner);
        if target.is_some() {
            let eni = delivery.eni.clone();
            traffic.connections.record(now, &inner, ends.dst, eni);
        }
        Ok(hop(End::Eni(delivery.eni), inner))
    }
}

fn hop(to: End, ends: Ends) -> Hop {
    Hop { to, ends }
}

fn packet_of(now: Instant, traffic: &Traffic, ends: &Ends) -> Packet {
    Packet {
        src: *ends.src.ip(),
        dst: *ends.dst.ip(),
        protocol: ends.protocol,
        dst_port: (ends.dst.port() != 0).then(|| ends.dst.port()),
        established: traffic.flows.established(now, ends),
    }
}
