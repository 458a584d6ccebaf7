//! The router's decisions against a table of owners. Must not: open a device.

use super::*;
use crate::fabric::counters::Echoes;
use crate::fabric::frame::ICMP;
use crate::fabric::frame::tests::{A, B, arp_request, ipv4};
use vpc::Side;

const C: Mac = Mac([2, 0, 0, 0, 0, 0xc]);
const INTERNET: Mac = Mac([2, 0, 0, 0, 0, 0xd]);
const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
const PUBLIC: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const NOW: Instant = Instant(1_000);

/// Three ENIs: a and b in one subnet, c in another; c accepts nothing but answers; the Internet sees all as one address.
struct Table;

impl Mapping for Table {
    fn carry(
        &self,
        now: Instant,
        traffic: &mut Traffic,
        (from, ends): (&End, &Ends),
    ) -> Result<Hop, Reason> {
        if owner(*ends.src.ip()).as_ref() != Some(from) {
            return Err(Reason::SourceNotAssigned);
        }
        let to = owner(*ends.dst.ip()).ok_or(Reason::NoSuchDestination)?;
        if to == eni("eni-c") && !traffic.flows.established(now, ends) {
            return Err(Reason::DeniedByGroup);
        }
        traffic.flows.record(now, ends);
        let mut ends = *ends;
        if to == End::Side(Side::Internet) {
            ends.src.set_ip(PUBLIC);
        }
        if *from == End::Side(Side::Internet) {
            ends.dst.set_ip(ip(1, 10));
        }
        Ok(Hop { to, ends })
    }

    fn owner(&self, from: &End, address: Ipv4Addr) -> Option<End> {
        owner(address).filter(|_| matches!(from, End::Eni(_)))
    }
}

fn owner(address: Ipv4Addr) -> Option<End> {
    match address.octets() {
        [10, 0, 1, 10 | 11] => Some(eni("eni-a")),
        [10, 0, 1, 20] => Some(eni("eni-b")),
        [10, 0, 2, 30] => Some(eni("eni-c")),
        [192, 0, 2, 10] => Some(eni("eni-a")),
        [198, 51, 100, _] => Some(End::Side(Side::Internet)),
        _ => None,
    }
}

fn eni(text: &str) -> End {
    End::Eni(text.parse().unwrap())
}

fn ip(third: u8, last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, third, last)
}

fn switch() -> Switch {
    let mut switch = Switch::default();
    for (name, mac, subnet) in [
        ("eni-a", A, "10.0.1.0/24"),
        ("eni-b", B, "10.0.1.0/24"),
        ("eni-c", C, "10.0.2.0/24"),
    ] {
        switch.plug(
            eni(name),
            Port {
                mac,
                subnet: subnet.parse().unwrap(),
                mtu: MTU,
            },
        );
    }
    let internet = Port {
        mac: INTERNET,
        subnet: "0.0.0.0/0".parse().unwrap(),
        mtu: 1500,
    };
    switch.plug(End::Side(Side::Internet), internet);
    switch
}

fn ping(mac: Mac, src: Ipv4Addr, dst: Ipv4Addr) -> Vec<u8> {
    ipv4(
        (mac, ROUTER_MAC),
        (src, dst),
        ICMP,
        &frame::echo_request(7, 1),
    )
}

fn pong(mac: Mac, src: Ipv4Addr, dst: Ipv4Addr) -> Vec<u8> {
    let request = ping(mac, dst, src);
    let mut reply = frame::echo_reply(&request, mac).unwrap();
    frame::readdress(&mut reply, ROUTER_MAC, mac);
    reply
}

fn drops(switch: &Switch, name: &str) -> BTreeMap<Reason, u64> {
    switch.counters().enis[&name.parse().unwrap()].drops.clone()
}

#[test]
fn arp_is_answered_for_the_router_for_neighbours_and_for_unused_addresses_of_the_subnet() {
    let mut switch = switch();
    for (target, answer) in [
        (ip(1, 1), ROUTER_MAC),
        (ip(1, 20), B),
        (ip(1, 77), ROUTER_MAC),
    ] {
        let action = switch.receive(
            NOW,
            &Table,
            &eni("eni-a"),
            &mut arp_request((A, ip(1, 10)), target),
        );
        assert_eq!(
            action,
            Action::Answer(frame::arp_reply((A, ip(1, 10)), target, answer)),
            "{target}"
        );
    }
}

#[test]
fn arp_for_ones_own_address_or_another_subnet_is_not_answered() {
    let mut switch = switch();
    for target in [ip(1, 10), ip(1, 11), ip(2, 30), ip(2, 1)] {
        let action = switch.receive(
            NOW,
            &Table,
            &eni("eni-a"),
            &mut arp_request((A, ip(1, 10)), target),
        );
        assert_eq!(action, Action::Nothing, "{target}");
    }
}

#[test]
fn a_packet_goes_to_the_owner_with_its_mac_and_is_counted_when_written() {
    let mut switch = switch();
    let mut bytes = ping(A, ip(1, 10), ip(1, 20));
    let Action::Forward(forwarding) = switch.receive(NOW, &Table, &eni("eni-a"), &mut bytes) else {
        panic!("dropped")
    };
    assert_eq!(forwarding.to, eni("eni-b"));
    let frame = frame::decode(&bytes).unwrap();
    assert_eq!(
        (frame.dst, frame.src),
        (B, A),
        "same subnet: the sender's own MAC"
    );
    assert_eq!(switch.counters().echoes, BTreeMap::new());
    switch.delivered(&forwarding, bytes.len());
    assert_eq!(
        switch.counters().echoes[&(ip(1, 10), ip(1, 20))],
        Echoes {
            requests: 1,
            replies: 0
        }
    );
    assert_eq!(
        switch.counters().enis[&"eni-b".parse().unwrap()].rx_bytes,
        bytes.len() as u64
    );
    switch.refused(&eni("eni-a"), &forwarding, Reason::LinkRefused);
    assert_eq!(
        drops(&switch, "eni-a"),
        BTreeMap::from([(Reason::LinkRefused, 1)])
    );
}

#[test]
fn between_subnets_the_sender_is_the_router() {
    let mut switch = switch();
    let mut bytes = ping(C, ip(2, 30), ip(1, 10));
    let action = switch.receive(NOW, &Table, &eni("eni-c"), &mut bytes);
    assert!(matches!(action, Action::Forward(f) if f.to == eni("eni-a")));
    let frame = frame::decode(&bytes).unwrap();
    assert_eq!((frame.dst, frame.src), (A, ROUTER_MAC));
}

#[test]
fn the_router_answers_pings_to_the_gateway_of_the_subnet_only() {
    let mut switch = switch();
    let mut bytes = ping(A, ip(1, 10), ip(1, 1));
    let expected = frame::echo_reply(&bytes, ROUTER_MAC).unwrap();
    assert_eq!(
        switch.receive(NOW, &Table, &eni("eni-a"), &mut bytes),
        Action::Answer(expected)
    );
    let foreign = switch.receive(
        NOW,
        &Table,
        &eni("eni-a"),
        &mut ping(A, ip(1, 10), ip(2, 1)),
    );
    assert_eq!(foreign, Action::Nothing);
    assert_eq!(
        drops(&switch, "eni-a"),
        BTreeMap::from([(Reason::NoSuchDestination, 1)])
    );
}

#[test]
fn a_wrong_source_is_dropped_even_on_its_way_to_the_router() {
    let mut switch = switch();
    for dst in [ip(1, 20), ip(1, 1)] {
        let action = switch.receive(NOW, &Table, &eni("eni-a"), &mut ping(A, ip(1, 99), dst));
        assert_eq!(action, Action::Nothing);
    }
    assert_eq!(
        drops(&switch, "eni-a"),
        BTreeMap::from([(Reason::SourceNotAssigned, 2)])
    );
    assert_eq!(
        switch.counters().dropped[&(ip(1, 99), ip(1, 20), Reason::SourceNotAssigned)],
        1
    );
}

#[test]
fn a_closed_group_lets_only_answers_in() {
    let mut switch = switch();
    let action = switch.receive(
        NOW,
        &Table,
        &eni("eni-a"),
        &mut ping(A, ip(1, 10), ip(2, 30)),
    );
    assert_eq!(action, Action::Nothing);
    assert_eq!(
        drops(&switch, "eni-a"),
        BTreeMap::from([(Reason::DeniedByGroup, 1)])
    );
    let asked = switch.receive(
        NOW,
        &Table,
        &eni("eni-c"),
        &mut ping(C, ip(2, 30), ip(1, 10)),
    );
    assert!(matches!(asked, Action::Forward(_)));
    let answered = switch.receive(
        NOW,
        &Table,
        &eni("eni-a"),
        &mut pong(A, ip(1, 10), ip(2, 30)),
    );
    assert!(
        matches!(answered, Action::Forward(_)),
        "the answer was dropped"
    );
}

#[test]
fn frames_that_ec2_does_not_carry_are_dropped_and_named() {
    let mut switch = switch();
    let a = eni("eni-a");
    let mut ipv6 = ping(A, ip(1, 10), ip(1, 20));
    ipv6[12..14].copy_from_slice(&[0x86, 0xdd]);
    let large = ipv4((A, ROUTER_MAC), (ip(1, 10), ip(1, 20)), 17, &[0; 9_100]);
    for mut bytes in [ipv6, large, ping(B, ip(1, 10), ip(1, 20)), vec![0; 9]] {
        assert_eq!(switch.receive(NOW, &Table, &a, &mut bytes), Action::Nothing);
    }
    let reasons = [
        Reason::NotIpv4,
        Reason::TooLarge,
        Reason::ForeignMac,
        Reason::Malformed,
    ];
    assert_eq!(
        drops(&switch, "eni-a"),
        reasons.map(|reason| (reason, 1)).into()
    );
}

#[test]
fn an_unplugged_receiver_has_no_link() {
    let mut switch = switch();
    switch.unplug(&eni("eni-b"));
    assert_eq!(
        switch.receive(
            NOW,
            &Table,
            &eni("eni-a"),
            &mut ping(A, ip(1, 10), ip(1, 20))
        ),
        Action::Nothing
    );
    assert_eq!(
        drops(&switch, "eni-a"),
        BTreeMap::from([(Reason::NoLink, 1)])
    );
}

#[test]
fn beyond_the_vpc_every_neighbour_is_the_router() {
    let mut switch = switch();
    let side = End::Side(Side::Internet);
    for target in [ip(1, 10), PUBLIC, Ipv4Addr::new(9, 9, 9, 9)] {
        let mut asked = arp_request((INTERNET, HOST), target);
        assert_eq!(
            switch.receive(NOW, &Table, &side, &mut asked),
            Action::Answer(frame::arp_reply((INTERNET, HOST), target, ROUTER_MAC))
        );
    }
}

#[test]
fn what_crosses_the_border_has_other_ends_and_is_counted_with_those_of_the_vpc() {
    let mut switch = switch();
    let side = End::Side(Side::Internet);
    let mut bytes = ping(A, ip(1, 20), HOST);
    bytes = ipv4((A, ROUTER_MAC), (ip(1, 10), HOST), ICMP, &bytes[34..]);
    let Action::Forward(out) = switch.receive(NOW, &Table, &eni("eni-a"), &mut bytes) else {
        panic!("dropped")
    };
    switch.delivered(&out, bytes.len());
    assert_eq!(out.to, side);
    let frame = frame::decode(&bytes).unwrap();
    assert_eq!((frame.src, frame.dst), (ROUTER_MAC, INTERNET));
    assert_eq!(
        bytes,
        ipv4((ROUTER_MAC, INTERNET), (PUBLIC, HOST), ICMP, &bytes[34..])
    );
    let mut answer = pong(INTERNET, HOST, PUBLIC);
    let Action::Forward(back) = switch.receive(NOW, &Table, &side, &mut answer) else {
        panic!("dropped")
    };
    switch.delivered(&back, answer.len());
    let seen = &switch.counters().echoes;
    assert_eq!(seen[&(ip(1, 10), HOST)].requests, 1);
    assert_eq!(seen[&(HOST, ip(1, 10))].replies, 1);
    assert_eq!(seen.len(), 2);
    assert_eq!(switch.counters().sides[&Side::Internet].rx_packets, 1);
}

#[test]
fn a_packet_that_the_next_network_does_not_carry_is_too_large() {
    let mut switch = switch();
    let mut large = ipv4((A, ROUTER_MAC), (ip(1, 10), HOST), 17, &[0; 1_481]);
    let action = switch.receive(NOW, &Table, &eni("eni-a"), &mut large);
    assert_eq!(action, Action::Nothing);
    let too_large = BTreeMap::from([(Reason::TooLarge, 1)]);
    assert_eq!(drops(&switch, "eni-a"), too_large);
}
