//! Kernel objects as plain values that can be compared and printed as iproute2 prints them.
//! Must not: know netlink, or what an object is for.

use std::fmt;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use model::card::RouteTable;
use model::mac::Mac;

/// Everything we compare by set difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    Address(Address),
    Route(Route),
    Neighbour(Neighbour),
    Rule(Rule),
}

/// A link as observed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// Absent for links without an Ethernet address (tunnels).
    pub mac: Option<Mac>,
    pub up: bool,
    pub mtu: u32,
    pub kind: LinkKind,
    /// `IFLA_LINK`: a veth's other end, in the namespace of that end.
    pub peer: Option<u32>,
    /// `net.ipv4.conf.NAME.rp_filter`; absent when IPv4 is off on this link.
    pub rp_filter: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkKind {
    Veth,
    Other,
}

/// One attribute of a link that we set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    Mtu(u32),
    /// 0 off, 1 strict, 2 loose.
    RpFilter(u32),
    Up(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub link: u32,
    /// The address itself, with its prefix length.
    pub address: Ipv4Network,
}

/// An IPv4 unicast route with one next hop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub table: RouteTable,
    pub destination: Ipv4Network,
    pub gateway: Option<Ipv4Addr>,
    /// Always present in what is observed and wanted; absent in a removal it means any link.
    pub link: Option<u32>,
    pub scope: Scope,
    pub source: Option<Ipv4Addr>,
    pub metric: u32,
    pub protocol: Protocol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Global,
    Link,
    Other(u8),
}

/// Who made a route (`rtm_protocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Protocol(pub u8);

impl Protocol {
    pub const KERNEL: Self = Self(2);
    /// What upstream writes and iproute2 does not print.
    pub const BOOT: Self = Self(3);
}

/// A permanent neighbour entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbour {
    pub link: u32,
    pub address: Ipv4Addr,
    pub mac: Mac,
}

/// An IPv4 policy rule that looks a table up. Its `FRA_PROTOCOL` is not part of it: ours has none, and a rule that
/// differs in nothing else does the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    pub priority: u32,
    pub from: Option<Ipv4Network>,
    pub to: Option<Ipv4Network>,
    pub mark: Option<Mark>,
    pub table: RouteTable,
}

/// Some bits of a mark: `value` has none outside `mask`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub value: u32,
    pub mask: u32,
}

impl Object {
    /// True when the kernel holds only one of the two: it replaces the other instead of adding to it.
    pub fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Route(a), Self::Route(b)) => {
                (a.table, a.destination, a.metric) == (b.table, b.destination, b.metric)
            }
            (Self::Neighbour(a), Self::Neighbour(b)) => (a.link, a.address) == (b.link, b.address),
            _ => self == other,
        }
    }
}

impl Route {
    /// The line of `ip route show table all` (but the route's link is given by the caller, who knows its name).
    pub fn line(&self, device: &str) -> String {
        let mut line = plain(self.destination);
        if self.destination.prefix() == 0 {
            line = "default".into();
        }
        if let Some(gateway) = self.gateway {
            line.push_str(&format!(" via {gateway}"));
        }
        line.push_str(&format!(" dev {device}"));
        if self.table != RouteTable::MAIN {
            line.push_str(&format!(" table {}", TableName(self.table)));
        }
        match self.protocol {
            Protocol::BOOT => {}
            Protocol::KERNEL => line.push_str(" proto kernel"),
            Protocol(other) => line.push_str(&format!(" proto {other}")),
        }
        match self.scope {
            Scope::Global => {}
            Scope::Link => line.push_str(" scope link"),
            Scope::Other(other) => line.push_str(&format!(" scope {other}")),
        }
        if let Some(source) = self.source {
            line.push_str(&format!(" src {source}"));
        }
        if self.metric != 0 {
            line.push_str(&format!(" metric {}", self.metric));
        }
        line
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => {
                write!(f, "address {} on link {}", address.address, address.link)
            }
            Self::Route(route) => {
                let device = route
                    .link
                    .map_or_else(|| "any".into(), |index| format!("#{index}"));
                write!(f, "route {}", route.line(&device))
            }
            Self::Neighbour(it) => write!(
                f,
                "neighbour {} lladdr {} on link {}",
                it.address, it.mac, it.link
            ),
            Self::Rule(rule) => write!(f, "rule {rule}"),
        }
    }
}

/// The line of `ip rule`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:\tfrom {}",
            self.priority,
            self.from.map_or_else(|| "all".into(), plain)
        )?;
        if let Some(to) = self.to {
            write!(f, " to {}", plain(to))?;
        }
        if let Some(Mark { value, mask }) = self.mark {
            write!(f, " fwmark {value:#x}")?;
            if mask != u32::MAX {
                write!(f, "/{mask:#x}")?;
            }
        }
        write!(f, " lookup {}", TableName(self.table))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mtu(mtu) => write!(f, "mtu {mtu}"),
            Self::RpFilter(value) => write!(f, "rp_filter {value}"),
            Self::Up(true) => f.write_str("up"),
            Self::Up(false) => f.write_str("down"),
        }
    }
}

/// A table as iproute2 names it without a configuration file.
struct TableName(RouteTable);

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.0 {
            253 => f.write_str("default"),
            254 => f.write_str("main"),
            255 => f.write_str("local"),
            number => number.fmt(f),
        }
    }
}

fn plain(network: Ipv4Network) -> String {
    if network.prefix() == 32 {
        network.ip().to_string()
    } else {
        network.to_string()
    }
}
