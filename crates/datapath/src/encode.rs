//! Our values → netlink requests. With `observe` the only file that names `netlink-packet-route`.
//! Must not: send. Facts about the encoding: datapath.md §3.1 (rules never carry a protocol, routes are `boot`).

use std::net::IpAddr;
use std::os::fd::RawFd;

use model::card::RouteTable;
use model::mac::Mac;
use netlink::Request;
use netlink_packet_core::{
    DefaultNla, NLA_F_NESTED, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    AfSpecInet, AfSpecUnspec, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkExtentMask,
    LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::diff::Change;
use crate::value::{Address, Neighbour, Object, Route, Rule, Scope, Setting};

const IFLA_INET_CONF: u16 = 1;
const IPV4_DEVCONF_RP_FILTER: u16 = 8;

const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;
const PUT: u16 = NLM_F_CREATE | NLM_F_REPLACE;

/// A veth pair to be made: the host end here, its peer in another namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) host_name: &'a str,
    pub(crate) host_mac: Mac,
    pub(crate) peer_name: &'a str,
    pub(crate) peer_namespace: RawFd,
    pub(crate) mtu: u32,
}

/// The one request that a change is.
pub(crate) fn change(change: &Change) -> Request {
    match change {
        Change::Set { link, to, .. } => {
            Request::new(RouteNetlinkMessage::SetLink(setting(*link, *to)), 0)
        }
        Change::Add(object) => Request::new(creation(object), NEW),
        Change::Replace { new, .. } => Request::new(creation(new), PUT),
        Change::Remove(object) => removal(object),
    }
}

pub(crate) fn removal(object: &Object) -> Request {
    let message = match object {
        Object::Address(it) => RouteNetlinkMessage::DelAddress(address(it)),
        Object::Neighbour(it) => RouteNetlinkMessage::DelNeighbour(neighbour(it)),
        Object::Rule(it) => RouteNetlinkMessage::DelRule(rule(it)),
        Object::Route(it) => {
            let mut message = route(it);
            // A protocol in a removal would have to match; upstream's routes may carry another.
            message.header.protocol = RouteProtocol::Unspec;
            RouteNetlinkMessage::DelRoute(message)
        }
    };
    Request::new(message, 0)
}

/// Removes one rule like this one, whatever table it looks up.
pub(crate) fn removal_in_any_table(like: &Rule) -> Request {
    let mut message = rule(like);
    message.header.table = 0;
    message
        .attributes
        .retain(|attribute| !matches!(attribute, RuleAttribute::Table(_)));
    Request::new(RouteNetlinkMessage::DelRule(message), 0)
}

pub(crate) fn pair(pair: &Pair<'_>) -> Request {
    let ends = |name: &str| {
        vec![
            LinkAttribute::IfName(name.into()),
            LinkAttribute::Mtu(pair.mtu),
            LinkAttribute::TxQueueLen(0),
        ]
    };
    let mut peer = LinkMessage::default();
    peer.attributes = ends(pair.peer_name);
    peer.attributes
        .push(LinkAttribute::NetNsFd(pair.peer_namespace));
    let mut host = LinkMessage::default();
    host.attributes = ends(pair.host_name);
    // Set at creation, else udev rewrites it later and the pod's permanent neighbour entry points nowhere.
    host.attributes
        .push(LinkAttribute::Address(pair.host_mac.0.to_vec()));
    host.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    Request::new(RouteNetlinkMessage::NewLink(host), NEW | NLM_F_ECHO)
}

pub(crate) fn link_removal(index: u32) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    Request::new(RouteNetlinkMessage::DelLink(message), 0)
}

pub(crate) fn link_by_name(name: &str) -> Request {
    let mut message = link_question();
    message.attributes.push(LinkAttribute::IfName(name.into()));
    Request::new(RouteNetlinkMessage::GetLink(message), 0)
}

pub(crate) fn all_links() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetLink(link_question())
}

pub(crate) fn all_addresses() -> RouteNetlinkMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    RouteNetlinkMessage::GetAddress(message)
}

pub(crate) fn all_neighbours() -> RouteNetlinkMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    RouteNetlinkMessage::GetNeighbour(message)
}

/// The kernel filters by table; rules it cannot filter.
pub(crate) fn routes_of(table: RouteTable) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.attributes.push(RouteAttribute::Table(table.0));
    RouteNetlinkMessage::GetRoute(message)
}

pub(crate) fn all_rules() -> RouteNetlinkMessage {
    let mut message = RuleMessage::default();
    message.header.family = AddressFamily::Inet;
    RouteNetlinkMessage::GetRule(message)
}

fn link_question() -> LinkMessage {
    let mut message = LinkMessage::default();
    // Statistics would cost 90 µs a link.
    message
        .attributes
        .push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    message
}

fn setting(link: u32, setting: Setting) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = link;
    match setting {
        Setting::Mtu(mtu) => message.attributes.push(LinkAttribute::Mtu(mtu)),
        Setting::RpFilter(value) => {
            let inet = AfSpecUnspec::Inet(vec![AfSpecInet::Other(device_configuration(
                IPV4_DEVCONF_RP_FILTER,
                value,
            ))]);
            message
                .attributes
                .push(LinkAttribute::AfSpecUnspec(vec![inet]));
        }
        Setting::Up(up) => {
            message.header.change_mask = LinkFlags::Up;
            message.header.flags = if up {
                LinkFlags::Up
            } else {
                LinkFlags::empty()
            };
        }
    }
    message
}

/// The library's own encoding leaves out values that are zero, so that a filter could not be put back to "off".
fn device_configuration(key: u16, value: u32) -> DefaultNla {
    let mut nested = 8u16.to_ne_bytes().to_vec();
    nested.extend(key.to_ne_bytes());
    nested.extend(value.to_ne_bytes());
    DefaultNla::new(IFLA_INET_CONF | NLA_F_NESTED, nested)
}

fn creation(object: &Object) -> RouteNetlinkMessage {
    match object {
        Object::Address(it) => RouteNetlinkMessage::NewAddress(address(it)),
        Object::Neighbour(it) => RouteNetlinkMessage::NewNeighbour(neighbour(it)),
        Object::Route(it) => RouteNetlinkMessage::NewRoute(route(it)),
        Object::Rule(it) => RouteNetlinkMessage::NewRule(rule(it)),
    }
}

fn address(it: &Address) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.index = it.link;
    message.header.prefix_len = it.address.prefix();
    let ip = IpAddr::V4(it.address.ip());
    message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
    if it.address.prefix() < 31 {
        message
            .attributes
            .push(AddressAttribute::Broadcast(it.address.broadcast()));
    }
    if it.address.prefix() < 32 {
        // A subnet route in main would take the node's own packets to the wrong ENI for as long as it stands.
        let flags = AddressFlags::Permanent | AddressFlags::Noprefixroute;
        message.attributes.push(AddressAttribute::Flags(flags));
    }
    message
}

fn neighbour(it: &Neighbour) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = it.link;
    message.header.state = NeighbourState::Permanent;
    message.attributes = vec![
        NeighbourAttribute::Destination(it.address.into()),
        NeighbourAttribute::LinkLayerAddress(it.mac.0.to_vec()),
    ];
    message
}

fn route(it: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = AddressFamily::Inet;
    header.destination_prefix_length = it.destination.prefix();
    header.protocol = RouteProtocol::from(it.protocol.0);
    header.kind = RouteType::Unicast;
    header.scope = match it.scope {
        Scope::Global => RouteScope::Universe,
        Scope::Link => RouteScope::Link,
        Scope::Other(other) => RouteScope::from(other),
    };
    let (table, wide) = table(it.table);
    header.table = table;
    let attributes = &mut message.attributes;
    attributes.extend(wide.map(RouteAttribute::Table));
    if it.destination.prefix() > 0 {
        attributes.push(RouteAttribute::Destination(it.destination.ip().into()));
    }
    attributes.extend(
        it.gateway
            .map(|gateway| RouteAttribute::Gateway(gateway.into())),
    );
    attributes.extend(
        it.source
            .map(|source| RouteAttribute::PrefSource(source.into())),
    );
    attributes.extend(it.link.map(RouteAttribute::Oif));
    attributes.extend((it.metric != 0).then_some(RouteAttribute::Priority(it.metric)));
    message
}

fn rule(it: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.action = RuleAction::ToTable;
    let (table, wide) = table(it.table);
    message.header.table = table;
    let attributes = &mut message.attributes;
    attributes.extend(wide.map(RuleAttribute::Table));
    attributes.push(RuleAttribute::Priority(it.priority));
    if let Some(from) = it.from {
        message.header.src_len = from.prefix();
        attributes.push(RuleAttribute::Source(from.ip().into()));
    }
    if let Some(to) = it.to {
        message.header.dst_len = to.prefix();
        attributes.push(RuleAttribute::Destination(to.ip().into()));
    }
    if let Some(mark) = it.mark {
        attributes.extend([
            RuleAttribute::FwMark(mark.value),
            RuleAttribute::FwMask(mark.mask),
        ]);
    }
    message
}

/// The header has one byte for a table; larger numbers go into an attribute.
fn table(table: RouteTable) -> (u8, Option<u32>) {
    u8::try_from(table.0).map_or((0, Some(table.0)), |small| (small, None))
}

#[cfg(test)]
mod tests;
