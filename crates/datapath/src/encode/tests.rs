//! What we write is what we read back, and the bits that upstream's objects have or lack.

use netlink_packet_core::NetlinkMessage;

use super::*;
use crate::observe;
use crate::value::{Mark, Protocol};

fn through_the_wire(request: Request) -> RouteNetlinkMessage {
    let mut message = NetlinkMessage::from(request.message);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let read = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).unwrap();
    let netlink_packet_core::NetlinkPayload::InnerMessage(inner) = read.payload else {
        panic!("no message")
    };
    inner
}

fn wide_rule() -> Rule {
    Rule {
        priority: 1536,
        from: Some("10.0.1.121/32".parse().unwrap()),
        to: Some("10.0.0.0/16".parse().unwrap()),
        mark: Some(Mark {
            value: 0x80,
            mask: 0x80,
        }),
        table: RouteTable(10_101),
    }
}

fn gateway_route(table: u32) -> Route {
    Route {
        table: RouteTable(table),
        destination: "10.2.0.0/16".parse().unwrap(),
        gateway: Some("10.0.1.1".parse().unwrap()),
        link: Some(7),
        scope: Scope::Global,
        source: Some("10.0.1.20".parse().unwrap()),
        metric: 5,
        protocol: Protocol::BOOT,
    }
}

#[test]
fn every_object_is_read_as_it_was_written() {
    let address = Address {
        link: 3,
        address: "10.0.1.20/24".parse().unwrap(),
    };
    let neighbour = Neighbour {
        link: 2,
        address: "169.254.1.1".parse().unwrap(),
        mac: Mac([2, 0, 0, 0, 0, 9]),
    };
    let mut default = gateway_route(254);
    default.destination = "0.0.0.0/0".parse().unwrap();
    let objects = [
        Object::Address(address),
        Object::Neighbour(neighbour),
        Object::Route(gateway_route(2)),
        Object::Route(gateway_route(10_101)),
        Object::Route(default),
        Object::Rule(wide_rule()),
        Object::Rule(Rule {
            table: RouteTable(2),
            mark: None,
            to: None,
            ..wide_rule()
        }),
    ];
    for object in objects {
        let message = through_the_wire(change(&Change::Add(object.clone())));
        assert_eq!(observe::object(&message), Some(object));
    }
}

#[test]
fn rules_are_exclusive_and_carry_no_protocol() {
    let request = change(&Change::Add(Object::Rule(wide_rule())));
    assert_eq!(request.flags, NLM_F_CREATE | NLM_F_EXCL);
    let RouteNetlinkMessage::NewRule(message) = request.message else {
        panic!("not a rule")
    };
    assert_eq!(message.header.action, RuleAction::ToTable);
    assert!(
        !message
            .attributes
            .iter()
            .any(|it| matches!(it, RuleAttribute::Protocol(_))),
        "{message:?}"
    );
}

#[test]
fn a_removal_in_any_table_names_none() {
    for table in [2, 10_101] {
        let RouteNetlinkMessage::DelRule(message) = removal_in_any_table(&Rule {
            table: RouteTable(table),
            ..wide_rule()
        })
        .message
        else {
            panic!("not a removal")
        };
        assert_eq!(message.header.table, 0);
        assert!(
            !message
                .attributes
                .iter()
                .any(|it| matches!(it, RuleAttribute::Table(_))),
            "{message:?}"
        );
        assert!(message.attributes.contains(&RuleAttribute::Priority(1536)));
    }
}

#[test]
fn a_route_is_removed_whoever_made_it() {
    let RouteNetlinkMessage::DelRoute(message) = removal(&Object::Route(gateway_route(2))).message
    else {
        panic!("not a removal")
    };
    assert_eq!(message.header.protocol, RouteProtocol::Unspec);
    assert_eq!(message.header.kind, RouteType::Unicast);
}

#[test]
fn a_reverse_path_filter_can_be_put_back_to_off() {
    let message = setting(4, Setting::RpFilter(0));
    let [LinkAttribute::AfSpecUnspec(families)] = &message.attributes[..] else {
        panic!("{message:?}")
    };
    let [AfSpecUnspec::Inet(inet)] = &families[..] else {
        panic!("{families:?}")
    };
    let mut expected = vec![8, 0, 8, 0];
    expected.extend(0u32.to_ne_bytes());
    assert_eq!(
        inet[..],
        [AfSpecInet::Other(DefaultNla::new(
            1 | NLA_F_NESTED,
            expected
        ))]
    );
}

#[test]
fn only_addresses_with_a_network_have_a_broadcast() {
    for (text, expected) in [
        ("10.0.1.20/24", Some("10.0.1.255")),
        ("10.0.1.20/31", None),
        ("10.0.1.20/32", None),
    ] {
        let message = address(&Address {
            link: 1,
            address: text.parse().unwrap(),
        });
        let found = message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                AddressAttribute::Broadcast(ip) => Some(ip.to_string()),
                _ => None,
            });
        assert_eq!(found.as_deref(), expected, "{text}");
    }
}

#[test]
fn both_ends_of_a_pair_have_size_and_no_queue_and_only_the_host_end_an_address() {
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    let request = pair(&Pair {
        host_name: "eni1",
        host_mac: mac,
        peer_name: "eth0",
        peer_namespace: 9,
        mtu: 9001,
    });
    assert_eq!(request.flags, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO);
    let RouteNetlinkMessage::NewLink(host) = request.message else {
        panic!("not a link")
    };
    let info = host
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(info) => Some(info.clone()),
            _ => None,
        });
    let Some(
        [
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ],
    ) = info.as_deref()
    else {
        panic!("{info:?}")
    };
    for end in [&host, peer] {
        assert!(end.attributes.contains(&LinkAttribute::Mtu(9001)));
        assert!(end.attributes.contains(&LinkAttribute::TxQueueLen(0)));
        // A peer that is up in the same message is refused with ENOTCONN.
        assert!(end.header.flags.is_empty());
    }
    assert!(
        host.attributes
            .contains(&LinkAttribute::Address(mac.0.to_vec()))
    );
    assert!(peer.attributes.contains(&LinkAttribute::NetNsFd(9)));
    assert!(
        !peer
            .attributes
            .iter()
            .any(|it| matches!(it, LinkAttribute::Address(_))),
        "{peer:?}"
    );
}

#[test]
fn rules_that_we_cannot_express_are_left_out() {
    let mut with_interface = rule(&wide_rule());
    with_interface
        .attributes
        .push(RuleAttribute::Iifname("eth0".into()));
    let mut inverted = rule(&wide_rule());
    inverted.header.flags = netlink_packet_route::rule::RuleFlags::Invert;
    let mut dropping = rule(&wide_rule());
    dropping.header.action = RuleAction::Blackhole;
    for message in [with_interface, inverted, dropping] {
        assert_eq!(
            observe::object(&RouteNetlinkMessage::NewRule(message.clone())),
            None,
            "{message:?}"
        );
    }
}
