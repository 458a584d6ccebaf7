//! The networks beyond the VPC: each is a network namespace of its own whose one link the fabric carries, with hosts that
//! real sockets can be opened on. Driven by `scene`. Must not: decide what may cross the border (`vpc` does), name
//! anything on the machine (a namespace lives as long as its `Place`).
//!
//! Every address of a network's ranges is there: it answers echoes, and a socket may be bound to it.

use crate::command::{self, CommandError};
use crate::fabric::Fabric;
use crate::fabric::switch::{MTU, Port, ROUTER_MAC};
use crate::namespace::{EnterError, Namespaces, isolate_network, open_network};
use crate::ping::{Ping, PingError, Pinged, ping};
use ipnetwork::Ipv4Network;
use model::mac::Mac;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use tappers::Interface;
use tappers::linux::Tap;
use vpc::Side;

const LINK: &str = "border";
/// The next hop of everything; what asks for its MAC is told the router's.
const ROUTER: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);

/// Why a network could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// No thread, no namespace or no device.
    #[error("make the network {side}")]
    Make {
        /// Which.
        side: Side,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Its link, addresses or routes.
    #[error("configure the network {side}")]
    Configure {
        /// Which.
        side: Side,
        /// Cause.
        #[source]
        source: CommandError,
    },
}

/// A network beyond the VPC.
#[derive(Debug)]
pub struct Place {
    side: Side,
    namespaces: Namespaces,
    file: i32,
}

/// The ranges of a network; its first host is the tenth address of the first one.
pub fn ranges(side: Side) -> Vec<Ipv4Network> {
    let texts: &[([u8; 4], u8)] = match side {
        Side::Internet => &[([198, 51, 100, 0], 24), ([203, 0, 113, 0], 24)],
        Side::Peer => &[([10, 1, 0, 0], 16)],
        Side::Premises => &[([192, 168, 0, 0], 16)],
    };
    let range = |(base, prefix): &([u8; 4], u8)| Ipv4Network::new((*base).into(), *prefix);
    texts
        .iter()
        .map(|text| range(text).expect("a prefix length of at most 32"))
        .collect()
}

impl Place {
    /// Makes the network and lets the fabric carry its frames.
    pub(crate) fn open(side: Side, fabric: &Fabric) -> Result<Self, PlaceError> {
        let make = |source| PlaceError::Make { side, source };
        let (network, tap) = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name(side.name().into());
            let made = thread
                .spawn_scoped(scope, || made_inside(side))
                .map_err(make)?;
            made.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let port = Port {
            mac: mac(side),
            subnet: Ipv4Network::new(Ipv4Addr::UNSPECIFIED, 0).expect("0 is a prefix length"),
            mtu: mtu(side),
        };
        fabric.border(side, port, tap);
        Ok(Self {
            side,
            file: network.as_raw_fd(),
            namespaces: Namespaces::of_network(network),
        })
    }

    /// Which one it is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The host that it speaks as unless told otherwise.
    pub fn address(&self) -> Ipv4Addr {
        first_host(self.side)
    }

    /// Its namespace, to open sockets in.
    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// Runs the closure inside; programs it starts are inside too.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, EnterError> {
        self.namespaces.run(work)
    }

    /// Sends echoes from one of its hosts.
    pub fn ping(&self, question: Ping) -> Result<Pinged, PingError> {
        ping(&self.namespaces, question)
    }

    /// The file through which other processes can enter: `nsenter --net=FILE`.
    pub fn file(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file)
    }
}

/// Runs on a thread that ends with it: it never leaves the namespace.
fn made_inside(side: Side) -> Result<(OwnedFd, Tap), PlaceError> {
    let make = || {
        isolate_network()?;
        let network = open_network(Path::new("/proc/thread-self/ns/net"))?;
        let tap = Tap::new_named(Interface::new(LINK)?)?;
        tap.set_nonblocking(true)?;
        Ok((network, tap))
    };
    let made = make().map_err(|source| PlaceError::Make { side, source })?;
    let configured = command::ip_batch(&lines(side));
    configured.map_err(|source| PlaceError::Configure { side, source })?;
    Ok(made)
}

fn lines(side: Side) -> Vec<String> {
    let (mac, mtu, host) = (mac(side), mtu(side), first_host(side));
    let mut lines = vec![
        "link set dev lo up".to_owned(),
        format!("link set dev {LINK} address {mac} mtu {mtu} txqueuelen 1000 up"),
        format!("address add {host}/32 dev {LINK}"),
        format!("neigh add {ROUTER} lladdr {ROUTER_MAC} dev {LINK} nud permanent"),
        format!("route add default via {ROUTER} dev {LINK} onlink src {host}"),
    ];
    let local = |range: Ipv4Network| format!("route add local {range} dev lo");
    lines.extend(ranges(side).into_iter().map(local));
    lines
}

fn first_host(side: Side) -> Ipv4Addr {
    let first = ranges(side)[0].network().to_bits();
    Ipv4Addr::from_bits(first + 10)
}

/// What Internet gateways and transit gateways carry in one packet, and VPCs of one Region.
fn mtu(side: Side) -> usize {
    match side {
        Side::Internet => 1500,
        Side::Peer => MTU,
        Side::Premises => 8500,
    }
}

fn mac(side: Side) -> Mac {
    let last = match side {
        Side::Internet => 1,
        Side::Peer => 2,
        Side::Premises => 3,
    };
    Mac([0x06, 0xff, 0, 0, 1, last])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_share_no_address_with_each_other_or_with_the_labs_vpc() {
        let vpc: Ipv4Network = "10.0.0.0/16".parse().unwrap();
        let all: Vec<Ipv4Network> = Side::ALL.into_iter().flat_map(ranges).collect();
        for (index, range) in all.iter().enumerate() {
            assert!(!range.overlaps(vpc), "{range}");
            let others = &all[index + 1..];
            assert!(
                !others.iter().any(|other| other.overlaps(*range)),
                "{range}"
            );
        }
    }

    #[test]
    fn a_network_has_its_host_its_ranges_and_one_way_out() {
        let want = [
            "link set dev lo up",
            "link set dev border address 06:ff:00:00:01:02 mtu 9001 txqueuelen 1000 up",
            "address add 10.1.0.10/32 dev border",
            "neigh add 169.254.0.1 lladdr 06:ff:00:00:00:01 dev border nud permanent",
            "route add default via 169.254.0.1 dev border onlink src 10.1.0.10",
            "route add local 10.1.0.0/16 dev lo",
        ];
        assert_eq!(lines(Side::Peer), want);
    }
}
