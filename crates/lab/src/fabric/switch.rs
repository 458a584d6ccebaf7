//! What happens to one frame: answered by the VPC's router, handed to another ENI or to a network beyond the VPC, or
//! dropped with a reason. Pure. Driven by `router`. Must not: touch a device, know who may send what to whom (`vpc`
//! does), read a clock.
//!
//! As a VPC does it: ARP is answered for every address of the subnet (the owner's MAC, else the router's), the time to
//! live stays as it is, and the destination address alone says where a packet goes, whatever MAC it was sent to.

use crate::fabric::counters::{Counters, Reason};
use crate::fabric::frame::{self, Echo, Frame, Ipv4, Payload};
use ipnetwork::Ipv4Network;
use model::mac::Mac;
use model::time::Instant;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use vpc::{End, Ends, Hop, Traffic};

/// The router's hardware address on every subnet.
pub const ROUTER_MAC: Mac = Mac([0x06, 0xff, 0x00, 0x00, 0x00, 0x01]);
/// IP bytes a VPC carries in one packet.
pub const MTU: usize = 9001;
const ETHERNET: usize = 14;

/// What the switch asks of the VPC.
pub trait Mapping {
    /// Who receives the packet with which ends, or why nobody does.
    fn carry(&self, now: Instant, traffic: &mut Traffic, way: (&End, &Ends))
    -> Result<Hop, Reason>;
    /// The ENI in the subnet of `from` that has this address.
    fn owner(&self, from: &End, address: Ipv4Addr) -> Option<End>;
}

/// One plugged ENI or network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Its hardware address.
    pub mac: Mac,
    /// Its subnet; everything for a network beyond the VPC, whose every neighbour is the router.
    pub subnet: Ipv4Network,
    /// IP bytes of its largest packet.
    pub mtu: usize,
}

impl Port {
    /// The subnet's router: its first address.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.subnet.network().to_bits() + 1)
    }
}

/// What to do with a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send these bytes back to where it came from.
    Answer(Vec<u8>),
    /// Write the frame, whose MAC addresses have been set, to its receiver, then report with [`Switch::delivered`] or
    /// [`Switch::refused`].
    Forward(Forwarding),
    /// Nothing: it was dropped and counted.
    Nothing,
}

/// A frame on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarding {
    /// Receiver.
    pub to: End,
    pair: (Ipv4Addr, Ipv4Addr),
    echo: Option<Echo>,
}

/// All plugged ENIs and networks, what is remembered of their packets and what was counted.
#[derive(Debug, Default)]
pub struct Switch {
    ports: BTreeMap<End, Port>,
    traffic: Traffic,
    counters: Counters,
}

impl Switch {
    /// A link exists from now on.
    pub fn plug(&mut self, end: End, port: Port) {
        self.ports.insert(end, port);
    }

    /// Its link is gone.
    pub fn unplug(&mut self, end: &End) {
        self.ports.remove(end);
    }

    /// Everything counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Decides about a frame that was sent through `from`.
    pub fn receive(
        &mut self,
        now: Instant,
        mapping: &impl Mapping,
        from: &End,
        bytes: &mut [u8],
    ) -> Action {
        let Some(port) = self.ports.get(from).copied() else {
            return Action::Nothing;
        };
        self.counters.sent(from, bytes.len());
        let frame = match frame::decode(bytes) {
            Ok(frame) if frame.src == port.mac && fits(&port, bytes) => frame,
            Ok(frame) => {
                let reason = if frame.src == port.mac {
                    Reason::TooLarge
                } else {
                    Reason::ForeignMac
                };
                return self.drop(from, pair_of(&frame), reason);
            }
            Err(_) => return self.drop(from, None, Reason::Malformed),
        };
        match frame.payload {
            Payload::ArpRequest { sender, target } => {
                self.answer_arp(mapping, (from, &port), (sender, target))
            }
            Payload::Ipv4(packet) => self.forward(now, mapping, (from, &port), (&packet, bytes)),
            Payload::Other(_) => self.drop(from, None, Reason::NotIpv4),
        }
    }

    /// The frame was written to its receiver.
    pub fn delivered(&mut self, forwarding: &Forwarding, bytes: usize) {
        self.counters.delivered(&forwarding.to, bytes);
        if let Some(half) = forwarding.echo {
            self.counters.echoed(forwarding.pair, half);
        }
    }

    /// The receiver's link did not take the frame.
    pub fn refused(&mut self, from: &End, forwarding: &Forwarding, reason: Reason) {
        self.counters.dropped(from, Some(forwarding.pair), reason);
    }

    fn answer_arp(
        &self,
        mapping: &impl Mapping,
        (from, port): (&End, &Port),
        ends: (Ipv4Addr, Ipv4Addr),
    ) -> Action {
        let (sender, target) = ends;
        let owner = mapping.owner(from, target);
        // An answer for the asker's own address would look like a duplicate address to it.
        if !port.subnet.contains(target) || owner.as_ref() == Some(from) {
            return Action::Nothing;
        }
        let answer = owner
            .and_then(|eni| self.ports.get(&eni))
            .map_or(ROUTER_MAC, |other| other.mac);
        Action::Answer(frame::arp_reply((port.mac, sender), target, answer))
    }

    fn forward(
        &mut self,
        now: Instant,
        mapping: &impl Mapping,
        (from, port): (&End, &Port),
        (packet, bytes): (&Ipv4, &mut [u8]),
    ) -> Action {
        let pair = (packet.src, packet.dst);
        let (src, dst) = packet.ports.unwrap_or_default();
        let ends = Ends {
            protocol: packet.protocol,
            src: SocketAddrV4::new(packet.src, src),
            dst: SocketAddrV4::new(packet.dst, dst),
        };
        let hop = match mapping.carry(now, &mut self.traffic, (from, &ends)) {
            Ok(hop) => hop,
            Err(Reason::NoSuchDestination) if packet.dst == port.gateway() => {
                return frame::echo_reply(bytes, ROUTER_MAC)
                    .map_or(Action::Nothing, Action::Answer);
            }
            Err(reason) => return self.drop(from, Some(pair), reason),
        };
        let Some(receiver) = self.ports.get(&hop.to) else {
            return self.drop(from, Some(pair), Reason::NoLink);
        };
        if !fits(receiver, bytes) {
            return self.drop(from, Some(pair), Reason::TooLarge);
        }
        let sender = if receiver.subnet == port.subnet {
            port.mac
        } else {
            ROUTER_MAC
        };
        frame::readdress(bytes, receiver.mac, sender);
        frame::translate(bytes, (&ends, &hop.ends));
        Action::Forward(Forwarding {
            pair: inside(&hop, pair),
            to: hop.to,
            echo: packet.echo,
        })
    }

    fn drop(&mut self, from: &End, pair: Option<(Ipv4Addr, Ipv4Addr)>, reason: Reason) -> Action {
        self.counters.dropped(from, pair, reason);
        Action::Nothing
    }
}

/// The addresses that a packet has in the VPC: those before it left or after it came in.
fn inside(hop: &Hop, sent: (Ipv4Addr, Ipv4Addr)) -> (Ipv4Addr, Ipv4Addr) {
    match hop.to {
        End::Eni(_) => (*hop.ends.src.ip(), *hop.ends.dst.ip()),
        End::Side(_) => sent,
    }
}

fn fits(port: &Port, bytes: &[u8]) -> bool {
    bytes.len() <= port.mtu + ETHERNET
}

fn pair_of(frame: &Frame) -> Option<(Ipv4Addr, Ipv4Addr)> {
    match &frame.payload {
        Payload::Ipv4(packet) => Some((packet.src, packet.dst)),
        Payload::ArpRequest { .. } | Payload::Other(_) => None,
    }
}

#[cfg(test)]
mod tests;
