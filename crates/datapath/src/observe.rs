//! The kernel → our values. With `encode` the only file that names `netlink-packet-route`.
//! Must not: change anything, nor fail because of an object that we have no word for: it is left out, since what we
//! cannot express cannot be ours.
//! Driven by: the plans' hands, `ipamd::host`, `vpcctl`, tests.

use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::Ipv4Network;
use model::card::RouteTable;
use model::mac::Mac;
use netlink::{Dump, Socket};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    AfSpecInet, AfSpecUnspec, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use nix::errno::Errno;

use crate::encode;
use crate::error::ApplyError;
use crate::value::{Address, Link, LinkKind, Mark, Neighbour, Protocol, Route, Rule, Scope};

/// All links of the calling thread's namespace.
pub fn links() -> Result<Vec<Link>, ApplyError> {
    Ok(links_on(&mut open()?)?.known)
}

/// All IPv4 addresses of the calling thread's namespace.
pub fn addresses() -> Result<Vec<Address>, ApplyError> {
    addresses_on(&mut open()?)
}

/// The IPv4 unicast routes of one table with a single next hop; a table that does not exist has none.
pub fn routes(table: RouteTable) -> Result<Vec<Route>, ApplyError> {
    routes_on(&mut open()?, table)
}

/// The IPv4 rules that look up a table by source, destination and mark alone.
pub fn rules() -> Result<Vec<Rule>, ApplyError> {
    rules_on(&mut open()?)
}

/// The permanent IPv4 neighbour entries.
pub fn neighbours() -> Result<Vec<Neighbour>, ApplyError> {
    let dump = dump(&mut open()?, &encode::all_neighbours(), "list neighbours")?;
    Ok(dump.messages.iter().filter_map(neighbour).collect())
}

/// The number of the packet filter's ruleset: it changes with each transaction, whoever makes it.
pub fn ruleset_generation() -> Result<u32, ApplyError> {
    netlink::generation().map_err(|source| ApplyError::Wire {
        attempt: "ask for the number of the packet filter's ruleset".into(),
        source,
    })
}

/// A socket in the calling thread's namespace.
pub(crate) fn open() -> Result<Socket, ApplyError> {
    Socket::open().map_err(|source| ApplyError::Wire {
        attempt: "reach the kernel".into(),
        source,
    })
}

/// All links, and how many of them a newer kernel describes in a way that the parser refuses.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) known: Vec<Link>,
    pub(crate) unreadable: usize,
}

pub(crate) fn links_on(socket: &mut Socket) -> Result<Links, ApplyError> {
    let Dump { messages, skipped } = dump(socket, &encode::all_links(), "list links")?;
    Ok(Links {
        known: messages.iter().filter_map(link).collect(),
        unreadable: skipped,
    })
}

pub(crate) fn addresses_on(socket: &mut Socket) -> Result<Vec<Address>, ApplyError> {
    let dump = dump(socket, &encode::all_addresses(), "list addresses")?;
    Ok(dump.messages.iter().filter_map(address).collect())
}

pub(crate) fn routes_on(socket: &mut Socket, table: RouteTable) -> Result<Vec<Route>, ApplyError> {
    let attempt = format!("list routes of table {table}");
    match dump(socket, &encode::routes_of(table), &attempt) {
        Ok(dump) => Ok(dump.messages.iter().filter_map(route).collect()),
        Err(ApplyError::Refused { refusal, .. }) if refusal.errno == Errno::ENOENT => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn rules_on(socket: &mut Socket) -> Result<Vec<Rule>, ApplyError> {
    let dump = dump(socket, &encode::all_rules(), "list rules")?;
    Ok(dump.messages.iter().filter_map(rule).collect())
}

/// The link of that name, if there is one.
pub(crate) fn link_named(socket: &mut Socket, name: &str) -> Result<Option<Link>, ApplyError> {
    let attempt = || format!("look up link {name}");
    let response = socket.request(encode::link_by_name(name));
    let response = response.map_err(|source| ApplyError::Wire {
        attempt: attempt(),
        source,
    })?;
    match response.outcome {
        Ok(()) => match response.reply.as_ref().and_then(link) {
            Some(link) => Ok(Some(link)),
            None => Err(ApplyError::LinkUnseen { name: name.into() }),
        },
        Err(refusal) if refusal.errno == Errno::ENODEV => Ok(None),
        Err(refusal) => Err(ApplyError::Refused {
            attempt: attempt(),
            refusal,
        }),
    }
}

/// The link that a message is about.
pub(crate) fn link(message: &RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(LinkMessage {
        header, attributes, ..
    }) = message
    else {
        return None;
    };
    let mut link = Link {
        index: header.index,
        name: String::new(),
        mac: None,
        up: header.flags.contains(LinkFlags::Up),
        mtu: 0,
        kind: LinkKind::Other,
        peer: None,
        rp_filter: None,
    };
    for attribute in attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name.clone(),
            LinkAttribute::Address(bytes) => link.mac = mac(bytes),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Link(peer) => link.peer = Some(*peer),
            LinkAttribute::LinkInfo(info) if info.contains(&LinkInfo::Kind(InfoKind::Veth)) => {
                link.kind = LinkKind::Veth
            }
            LinkAttribute::AfSpecUnspec(families) => link.rp_filter = rp_filter(families),
            _ => {}
        }
    }
    (!link.name.is_empty()).then_some(link)
}

/// The object that a message is about, when it is one that we have a word for.
#[cfg(test)]
pub(crate) fn object(message: &RouteNetlinkMessage) -> Option<crate::value::Object> {
    use crate::value::Object;
    None.or_else(|| address(message).map(Object::Address))
        .or_else(|| neighbour(message).map(Object::Neighbour))
        .or_else(|| route(message).map(Object::Route))
        .or_else(|| rule(message).map(Object::Rule))
}

fn rp_filter(families: &[AfSpecUnspec]) -> Option<u32> {
    let inet = families.iter().find_map(|family| match family {
        AfSpecUnspec::Inet(inet) => Some(inet),
        _ => None,
    })?;
    inet.iter().find_map(|entry| match entry {
        AfSpecInet::DevConf(configuration) => u32::try_from(configuration.rp_filter).ok(),
        _ => None,
    })
}

fn address(message: &RouteNetlinkMessage) -> Option<Address> {
    let RouteNetlinkMessage::NewAddress(AddressMessage {
        header, attributes, ..
    }) = message
    else {
        return None;
    };
    // On a link with a peer, ADDRESS is the peer's; our own is LOCAL.
    let ip = attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(ip)) => Some(*ip),
        _ => None,
    })?;
    let address = Ipv4Network::new(ip, header.prefix_len).ok()?;
    (header.scope == AddressScope::Universe).then_some(Address {
        link: header.index,
        address,
    })
}

fn neighbour(message: &RouteNetlinkMessage) -> Option<Neighbour> {
    let RouteNetlinkMessage::NewNeighbour(NeighbourMessage {
        header, attributes, ..
    }) = message
    else {
        return None;
    };
    let address = attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => Some(*ip),
        _ => None,
    })?;
    let mac = attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => mac(bytes),
        _ => None,
    })?;
    (header.state == NeighbourState::Permanent).then_some(Neighbour {
        link: header.ifindex,
        address,
        mac,
    })
}

fn route(message: &RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(RouteMessage {
        header, attributes, ..
    }) = message
    else {
        return None;
    };
    let scope = match header.scope {
        RouteScope::Universe => Scope::Global,
        RouteScope::Link => Scope::Link,
        other => Scope::Other(other.into()),
    };
    let mut route = Route {
        table: RouteTable(u32::from(header.table)),
        destination: Ipv4Network::new(Ipv4Addr::UNSPECIFIED, header.destination_prefix_length)
            .ok()?,
        gateway: None,
        link: None,
        scope,
        source: None,
        metric: 0,
        protocol: Protocol(header.protocol.into()),
    };
    for attribute in attributes {
        match attribute {
            RouteAttribute::Table(table) => route.table = RouteTable(*table),
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => {
                route.destination = Ipv4Network::new(*ip, header.destination_prefix_length).ok()?;
            }
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => route.gateway = Some(*ip),
            RouteAttribute::PrefSource(RouteAddress::Inet(ip)) => route.source = Some(*ip),
            RouteAttribute::Oif(index) => route.link = Some(*index),
            RouteAttribute::Priority(metric) => route.metric = *metric,
            _ => {}
        }
    }
    // Several next hops or a blackhole leave the link out.
    (header.kind == RouteType::Unicast && header.tos == 0 && route.link.is_some()).then_some(route)
}

fn rule(message: &RouteNetlinkMessage) -> Option<Rule> {
    let RouteNetlinkMessage::NewRule(RuleMessage {
        header, attributes, ..
    }) = message
    else {
        return None;
    };
    let mut rule = Rule {
        priority: 0,
        from: None,
        to: None,
        mark: None,
        table: RouteTable(u32::from(header.table)),
    };
    for attribute in attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(table) => rule.table = RouteTable(*table),
            RuleAttribute::Source(IpAddr::V4(ip)) => {
                rule.from = Ipv4Network::new(*ip, header.src_len).ok()
            }
            RuleAttribute::Destination(IpAddr::V4(ip)) => {
                rule.to = Ipv4Network::new(*ip, header.dst_len).ok()
            }
            RuleAttribute::FwMark(value) => rule.mark.get_or_insert(FULL_MASK).value = *value,
            RuleAttribute::FwMask(mask) => rule.mark.get_or_insert(FULL_MASK).mask = *mask,
            RuleAttribute::Protocol(_) => {}
            // The kernel always tells that it suppresses nothing.
            RuleAttribute::SuppressPrefixLen(u32::MAX)
            | RuleAttribute::SuppressIfGroup(u32::MAX) => {}
            _ => return None,
        }
    }
    let plain = header.action == RuleAction::ToTable
        && header.tos == 0
        && !header.flags.contains(RuleFlags::Invert);
    plain.then_some(rule)
}

const FULL_MASK: Mark = Mark {
    value: 0,
    mask: u32::MAX,
};

fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

fn dump(
    socket: &mut Socket,
    question: &RouteNetlinkMessage,
    attempt: &str,
) -> Result<Dump, ApplyError> {
    let attempt = attempt.to_owned();
    socket.dump(question).map_err(|error| match error {
        netlink::Error::Refused(refusal) => ApplyError::Refused { attempt, refusal },
        source => ApplyError::Wire { attempt, source },
    })
}
