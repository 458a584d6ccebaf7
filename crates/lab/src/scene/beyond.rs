//! A scene's networks beyond the VPC, its public addresses and its load balancer. Must not: decide what crosses the
//! border (`vpc` does).

use super::Scene;
use crate::outside::Place;
use crate::talk::Protocol;
use std::net::{Ipv4Addr, SocketAddrV4};
use vpc::Side;

/// The load balancer's address, which no instance gets.
const BALANCER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 250);

impl Scene {
    /// A network beyond the VPC.
    ///
    /// # Panics
    /// When the scene was not described with [`super::builder::SceneBuilder::outside`].
    pub fn place(&self, side: Side) -> &Place {
        let place = self.places.get(&side);
        place.expect("the scene was described with networks beyond the VPC")
    }

    /// The Internet, behind the VPC's Internet gateway; see [`Scene::place`].
    pub fn internet(&self) -> &Place {
        self.place(Side::Internet)
    }

    /// The peered VPC; see [`Scene::place`].
    pub fn peer(&self) -> &Place {
        self.place(Side::Peer)
    }

    /// The premises, which have a route to the VPC's first range only; see [`Scene::place`].
    pub fn premises(&self) -> &Place {
        self.place(Side::Premises)
    }

    /// The n-th node's public address, if the scene has networks beyond the VPC.
    pub fn public(&self, index: usize) -> Option<Ipv4Addr> {
        self.vpc().public_address(&self.nodes[index].instance)
    }

    /// A load balancer on the Internet that sends what comes to its port to one of the targets, with the client's address
    /// kept; returns where it listens. None without networks beyond the VPC.
    pub fn balance(
        &self,
        (protocol, port): (Protocol, u16),
        targets: Vec<SocketAddrV4>,
    ) -> Option<SocketAddrV4> {
        let address = SocketAddrV4::new(BALANCER, port);
        let mut vpc = self.vpc();
        vpc.outside_mut()?
            .listen(protocol.number(), address, targets);
        Some(address)
    }
}
