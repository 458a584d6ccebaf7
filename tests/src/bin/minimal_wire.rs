//! `minimal_wire`: the least work that wires a pod, as a yardstick for `aws-cni`. It is called like a plugin and makes
//! or removes the same kernel objects, from constants: no configuration, no daemon, no checks, no undo, no result.
//! Driven by `bench`. Must not: be used for anything else.

use anyhow::{Context, bail};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::sched::{CloneFlags, setns};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

/// Not in the lab's VPC, so in nobody's way.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
const MAC: [u8; 6] = [0x02, 0, 0, 0, 0x12, 0x34];
const MTU: u32 = 9001;
/// That of the ENI at device index 2, where the pods of `bench` are.
const TABLE: u8 = 3;
const MAIN: u8 = 254;
/// In a new namespace only the loopback link is older.
const POD_INDEX: u32 = 2;
const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;

#[expect(
    clippy::disallowed_methods,
    reason = "what differs between two calls comes as a plugin gets it"
)]
fn main() -> anyhow::Result<()> {
    match std::env::var("CNI_COMMAND").as_deref() {
        Ok("ADD") => add(
            &std::env::var("CNI_NETNS")?,
            &std::env::var("CNI_CONTAINERID")?,
        ),
        Ok("DEL") => delete(),
        other => bail!("CNI_COMMAND is {other:?}, not ADD or DEL"),
    }
}

fn add(netns: &str, container: &str) -> anyhow::Result<()> {
    let pod = File::open(netns).with_context(|| format!("open {netns}"))?;
    let home = File::open("/proc/self/ns/net").context("open this network namespace")?;
    let host_socket = open()?;
    setns(&pod, CloneFlags::CLONE_NEWNET).context("enter the pod's network namespace")?;
    let pod_socket = open()?;
    setns(&home, CloneFlags::CLONE_NEWNET).context("leave the pod's network namespace")?;
    let name = format!("min{}", container.get(..11).context("a container id")?);
    let index = make_pair(&host_socket, &name, &pod)?;
    for (key, value) in [
        ("accept_ra", "0"),
        ("accept_redirects", "1"),
        ("forwarding", "0"),
    ] {
        fs::write(format!("/proc/sys/net/ipv6/conf/{name}/{key}"), value)
            .with_context(|| format!("set {key} of {name}"))?;
    }
    batch(
        &pod_socket,
        vec![
            (RouteNetlinkMessage::SetLink(up(POD_INDEX)), 0),
            (RouteNetlinkMessage::NewAddress(address()), NEW),
            (
                RouteNetlinkMessage::NewRoute(route((GATEWAY, 32), None, POD_INDEX)),
                NEW,
            ),
            (
                RouteNetlinkMessage::NewRoute(route(
                    (Ipv4Addr::UNSPECIFIED, 0),
                    Some(GATEWAY),
                    POD_INDEX,
                )),
                NEW,
            ),
            (RouteNetlinkMessage::NewNeighbour(neighbour()), NEW),
        ],
    )?;
    batch(
        &host_socket,
        vec![
            (RouteNetlinkMessage::SetLink(up(index)), 0),
            (
                RouteNetlinkMessage::NewRoute(route((ADDRESS, 32), None, index)),
                NLM_F_CREATE | NLM_F_REPLACE,
            ),
            (RouteNetlinkMessage::NewRule(rule_to()), NEW),
            (RouteNetlinkMessage::NewRule(rule_from()), NEW),
        ],
    )
}

fn delete() -> anyhow::Result<()> {
    let mut any_link = route((ADDRESS, 32), None, 0);
    any_link
        .attributes
        .retain(|attribute| !matches!(attribute, RouteAttribute::Oif(_)));
    batch(
        &open()?,
        vec![
            (RouteNetlinkMessage::DelRule(rule_to()), 0),
            (RouteNetlinkMessage::DelRule(rule_from()), 0),
            (RouteNetlinkMessage::DelRoute(any_link), 0),
        ],
    )
}

fn open() -> anyhow::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE).context("open a netlink socket")?;
    socket.bind_auto().context("bind a netlink socket")?;
    Ok(socket)
}

/// Makes the veth pair; the index of the host's end.
fn make_pair(socket: &Socket, name: &str, pod: &File) -> anyhow::Result<u32> {
    let ends = |name: &str| {
        vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Mtu(MTU),
            LinkAttribute::TxQueueLen(0),
        ]
    };
    let mut peer = LinkMessage::default();
    peer.header.index = POD_INDEX;
    peer.attributes = ends("eth0");
    peer.attributes
        .push(LinkAttribute::NetNsFd(pod.as_raw_fd()));
    let mut host = LinkMessage::default();
    host.attributes = ends(name);
    host.attributes.push(LinkAttribute::Address(MAC.to_vec()));
    host.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    let flags = NEW | NLM_F_ECHO;
    let mut made = exchange(socket, vec![(RouteNetlinkMessage::NewLink(host), flags)])?;
    made.pop()
        .context("the kernel did not say which link it made")
}

fn up(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.change_mask = LinkFlags::Up;
    message.header.flags = LinkFlags::Up;
    message
}

fn address() -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.index = POD_INDEX;
    message.header.prefix_len = 32;
    message.attributes = vec![
        AddressAttribute::Local(ADDRESS.into()),
        AddressAttribute::Address(ADDRESS.into()),
    ];
    message
}

fn neighbour() -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = POD_INDEX;
    message.header.state = NeighbourState::Permanent;
    message.attributes = vec![
        NeighbourAttribute::Destination(GATEWAY.into()),
        NeighbourAttribute::LinkLayerAddress(MAC.to_vec()),
    ];
    message
}

fn route(
    (destination, prefix): (Ipv4Addr, u8),
    gateway: Option<Ipv4Addr>,
    link: u32,
) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = MAIN;
    message.header.destination_prefix_length = prefix;
    message.header.protocol = RouteProtocol::Boot;
    message.header.kind = RouteType::Unicast;
    message.header.scope = if gateway.is_some() {
        RouteScope::Universe
    } else {
        RouteScope::Link
    };
    if prefix > 0 {
        message
            .attributes
            .push(RouteAttribute::Destination(destination.into()));
    }
    message
        .attributes
        .extend(gateway.map(|gateway| RouteAttribute::Gateway(gateway.into())));
    message.attributes.push(RouteAttribute::Oif(link));
    message
}

fn rule_to() -> RuleMessage {
    let mut message = rule(512, MAIN);
    message.header.dst_len = 32;
    message
        .attributes
        .push(RuleAttribute::Destination(ADDRESS.into()));
    message
}

fn rule_from() -> RuleMessage {
    let mut message = rule(1536, TABLE);
    message.header.src_len = 32;
    message
        .attributes
        .push(RuleAttribute::Source(ADDRESS.into()));
    message
}

fn rule(priority: u32, table: u8) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.action = RuleAction::ToTable;
    message.header.table = table;
    message.attributes = vec![RuleAttribute::Priority(priority)];
    message
}

fn batch(socket: &Socket, requests: Vec<(RouteNetlinkMessage, u16)>) -> anyhow::Result<()> {
    exchange(socket, requests).map(drop)
}

/// Sends everything in one datagram and reads every acknowledgement; returns the index of each link that was echoed.
fn exchange(
    socket: &Socket,
    requests: Vec<(RouteNetlinkMessage, u16)>,
) -> anyhow::Result<Vec<u32>> {
    let mut missing = requests.len();
    let mut bytes = Vec::new();
    for (sequence, (message, flags)) in (1..).zip(requests) {
        let mut message = NetlinkMessage::from(message);
        message.header.flags = flags | NLM_F_REQUEST | NLM_F_ACK;
        message.header.sequence_number = sequence;
        message.finalize();
        let start = bytes.len();
        bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
        message.serialize(&mut bytes[start..]);
    }
    socket
        .send_to(&bytes, &SocketAddr::new(0, 0), 0)
        .context("send")?;
    let mut links = Vec::new();
    while missing > 0 {
        let (datagram, _) = socket.recv_from_full().context("receive")?;
        for frame in frames(&datagram) {
            match Frame::of(frame)? {
                Frame::Done => missing -= 1,
                Frame::Link(index) => links.push(index),
                Frame::Other => {}
            }
        }
    }
    Ok(links)
}

enum Frame {
    Done,
    Link(u32),
    Other,
}

impl Frame {
    /// Decodes by hand what is needed: an echoed link would cost the parser more than everything else here.
    fn of(frame: &[u8]) -> anyhow::Result<Self> {
        const ERROR: u16 = 2;
        const NEW_LINK: u16 = 16;
        let number = |range| {
            frame
                .get::<std::ops::Range<usize>>(range)?
                .first_chunk::<4>()
        };
        let kind = u16::from_ne_bytes(*frame[4..].first_chunk().context("a short frame")?);
        match kind {
            ERROR => match number(16..20).map(|code| i32::from_ne_bytes(*code)) {
                Some(0) => Ok(Self::Done),
                Some(code) => Err(std::io::Error::from_raw_os_error(-code))
                    .context("the kernel refuses an object"),
                None => bail!("a short acknowledgement"),
            },
            NEW_LINK => {
                Ok(number(20..24)
                    .map_or(Self::Other, |index| Self::Link(u32::from_ne_bytes(*index))))
            }
            _ => Ok(Self::Other),
        }
    }
}

fn frames(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*rest.first_chunk()?);
        let length = usize::try_from(length).ok().filter(|it| *it >= 16)?;
        let frame = rest.get(..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(frame)
    })
}
