//! Ethernet frames as bytes: what the router must know of one, and the few it makes itself. Pure.
//! Must not: decide where a frame goes (`switch` does), read or write a device (`router` does).

use model::mac::Mac;
use std::net::Ipv4Addr;
use vpc::Ends;

const ETHERNET: usize = 14;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ICMP_ECHO_REPLY: u8 = 0;
const ICMP_ECHO_REQUEST: u8 = 8;

/// IP protocol number of ICMP.
pub const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What the router looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Sender on the link.
    pub src: Mac,
    /// Receiver on the link.
    pub dst: Mac,
    /// What it carries.
    pub payload: Payload,
}

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Somebody asks who has `target`.
    ArpRequest {
        /// Who asks.
        sender: Ipv4Addr,
        /// The wanted address.
        target: Ipv4Addr,
    },
    /// An IPv4 packet.
    Ipv4(Ipv4),
    /// Anything else (IPv6, ARP answers, LLDP …); its EtherType.
    Other(u16),
}

/// The parts of an IPv4 packet that decide where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv4 {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// IP protocol number.
    pub protocol: u8,
    /// Source and destination port (TCP, UDP); the identifier twice for ICMP echo; none in later fragments.
    pub ports: Option<(u16, u16)>,
    /// Which half of an ICMP echo this is, if it is one.
    pub echo: Option<Echo>,
}

/// Half of an ICMP echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// The question.
    Request,
    /// The answer.
    Reply,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(&'static str);

/// Reads a frame.
pub fn decode(bytes: &[u8]) -> Result<Frame, Malformed> {
    let header: &[u8; ETHERNET] = bytes.first_chunk().ok_or(Malformed("ethernet header"))?;
    let body = &bytes[ETHERNET..];
    let payload = match u16::from_be_bytes([header[12], header[13]]) {
        ETHERTYPE_IPV4 => Payload::Ipv4(decode_ipv4(body)?),
        ETHERTYPE_ARP => decode_arp(body)?,
        other => Payload::Other(other),
    };
    Ok(Frame {
        dst: mac_at(bytes, 0),
        src: mac_at(bytes, 6),
        payload,
    })
}

/// Sets receiver and sender of a frame that [`decode`] accepted.
pub fn readdress(bytes: &mut [u8], dst: Mac, src: Mac) {
    bytes[0..6].copy_from_slice(&dst.0);
    bytes[6..12].copy_from_slice(&src.0);
}

/// Gives a packet other ends: addresses, and ports of TCP and UDP, with checksums to match. Leaves one alone that has
/// them already.
pub fn translate(bytes: &mut [u8], (old, new): (&Ends, &Ends)) {
    let Some((header, total)) = bytes.get(ETHERNET..).and_then(lengths) else {
        return;
    };
    let body = &mut bytes[ETHERNET..ETHERNET + total];
    let first_fragment = u16::from_be_bytes([body[6], body[7]]) & 0x1fff == 0;
    let (ip, transport) = body.split_at_mut(header);
    let addresses = |ends: &Ends| [ends.src.ip().octets(), ends.dst.ip().octets()].concat();
    ip[12..20].copy_from_slice(&addresses(new));
    amend(&mut ip[10..12], (&addresses(old), &addresses(new)));
    let sum = match old.protocol {
        TCP => 16,
        UDP => 6,
        _ => return,
    };
    if !first_fragment || transport.len() < sum + 2 {
        return;
    }
    let ports =
        |ends: &Ends| [ends.src.port().to_be_bytes(), ends.dst.port().to_be_bytes()].concat();
    transport[0..4].copy_from_slice(&ports(new));
    let words = |ends: &Ends| [addresses(ends), ports(ends)].concat();
    // UDP's zero says that there is no checksum.
    if old.protocol == TCP || transport[sum..sum + 2] != [0, 0] {
        amend(&mut transport[sum..sum + 2], (&words(old), &words(new)));
    }
}

/// The answer "`target` is at `answer`" to the one who asked.
pub fn arp_reply(asker: (Mac, Ipv4Addr), target: Ipv4Addr, answer: Mac) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(42);
    bytes.extend(asker.0.0);
    bytes.extend(answer.0);
    bytes.extend(ETHERTYPE_ARP.to_be_bytes());
    bytes.extend([0, 1, 8, 0, 6, 4, 0, 2]);
    bytes.extend(answer.0);
    bytes.extend(target.octets());
    bytes.extend(asker.0.0);
    bytes.extend(asker.1.octets());
    bytes
}

/// Turns an echo request into its answer: everything swapped, sent back by `router`. `None` when it is no echo request.
pub fn echo_reply(bytes: &[u8], router: Mac) -> Option<Vec<u8>> {
    let frame = decode(bytes).ok()?;
    let Payload::Ipv4(Ipv4 {
        src,
        dst,
        echo: Some(Echo::Request),
        ..
    }) = frame.payload
    else {
        return None;
    };
    let mut reply = bytes.to_vec();
    readdress(&mut reply, frame.src, router);
    // Swapping source and destination leaves the header's checksum as it was.
    reply[ETHERNET + 12..ETHERNET + 16].copy_from_slice(&dst.octets());
    reply[ETHERNET + 16..ETHERNET + 20].copy_from_slice(&src.octets());
    let (header, total) = lengths(&reply[ETHERNET..])?;
    let icmp = &mut reply[ETHERNET + header..ETHERNET + total];
    icmp[0] = ICMP_ECHO_REPLY;
    icmp[2..4].fill(0);
    let sum = checksum(icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    Some(reply)
}

/// An ICMP echo request message (no IP header): what a raw ICMP socket sends.
pub fn echo_request(id: u16, sequence: u16) -> Vec<u8> {
    let mut message = vec![ICMP_ECHO_REQUEST, 0, 0, 0];
    message.extend(id.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    message.extend(*b"vpc-lab packet that was counted.");
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// Sender, identifier and sequence number of an echo reply, from an IPv4 packet as a raw socket receives it.
pub fn echo_answer(packet: &[u8]) -> Option<(Ipv4Addr, u16, u16)> {
    let ipv4 = decode_ipv4(packet).ok()?;
    if ipv4.echo != Some(Echo::Reply) {
        return None;
    }
    let (header, _) = lengths(packet)?;
    let sequence = packet.get(header + 6..header + 8)?;
    Some((
        ipv4.src,
        ipv4.ports?.0,
        u16::from_be_bytes([sequence[0], sequence[1]]),
    ))
}

fn decode_arp(body: &[u8]) -> Result<Payload, Malformed> {
    let arp: &[u8; 28] = body.first_chunk().ok_or(Malformed("arp packet"))?;
    if arp[..8] != [0, 1, 8, 0, 6, 4, 0, 1] {
        return Ok(Payload::Other(ETHERTYPE_ARP));
    }
    Ok(Payload::ArpRequest {
        sender: address_at(arp, 14),
        target: address_at(arp, 24),
    })
}

fn decode_ipv4(body: &[u8]) -> Result<Ipv4, Malformed> {
    let (header, total) = lengths(body).ok_or(Malformed("ipv4 header"))?;
    let (src, dst, protocol) = (address_at(body, 12), address_at(body, 16), body[9]);
    let later_fragment = u16::from_be_bytes([body[6], body[7]]) & 0x1fff != 0;
    let transport = &body[header..total];
    let (mut ports, mut echo) = (None, None);
    if !later_fragment && transport.len() >= 8 {
        let word = |at: usize| u16::from_be_bytes([transport[at], transport[at + 1]]);
        match (protocol, transport[0]) {
            (ICMP, ICMP_ECHO_REQUEST) => {
                (ports, echo) = (Some((word(4), word(4))), Some(Echo::Request))
            }
            (ICMP, ICMP_ECHO_REPLY) => {
                (ports, echo) = (Some((word(4), word(4))), Some(Echo::Reply))
            }
            (TCP | UDP, _) => ports = Some((word(0), word(2))),
            _ => {}
        }
    }
    Ok(Ipv4 {
        src,
        dst,
        protocol,
        ports,
        echo,
    })
}

/// Length of header and of the whole packet, when both lie inside the bytes.
fn lengths(body: &[u8]) -> Option<(usize, usize)> {
    let fixed: &[u8; 20] = body.first_chunk()?;
    let header = usize::from(fixed[0] & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    (fixed[0] >> 4 == 4 && header >= 20 && total >= header && total <= body.len())
        .then_some((header, total))
}

fn mac_at(bytes: &[u8], at: usize) -> Mac {
    Mac(std::array::from_fn(|i| bytes[at + i]))
}

fn address_at(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    !fold(words(bytes).map(u32::from).sum())
}

/// A checksum after some of the words below it changed (RFC 1624).
fn amend(sum: &mut [u8], (old, new): (&[u8], &[u8])) {
    let was = u32::from(!u16::from_be_bytes([sum[0], sum[1]]));
    let gone: u32 = words(old).map(|word| u32::from(!word)).sum();
    let come: u32 = words(new).map(u32::from).sum();
    sum.copy_from_slice(&(!fold(was + gone + come)).to_be_bytes());
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u16> {
    let pairs = bytes.chunks(2);
    pairs.map(|pair| u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]))
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded to 16 bits")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
    pub(crate) const B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

    /// A frame with an IPv4 packet around `transport`, header checksum included.
    pub(crate) fn ipv4(
        link: (Mac, Mac),
        ends: (Ipv4Addr, Ipv4Addr),
        protocol: u8,
        transport: &[u8],
    ) -> Vec<u8> {
        let total = u16::try_from(20 + transport.len()).unwrap();
        let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        header[2..4].copy_from_slice(&total.to_be_bytes());
        header.extend(ends.0.octets());
        header.extend(ends.1.octets());
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        [&link.1.0[..], &link.0.0, &[8, 0], &header, transport].concat()
    }

    pub(crate) fn arp_request(from: (Mac, Ipv4Addr), target: Ipv4Addr) -> Vec<u8> {
        let fixed = [0, 1, 8, 0, 6, 4, 0, 1];
        [
            &[0xff; 6][..],
            &from.0.0,
            &[8, 6],
            &fixed,
            &from.0.0,
            &from.1.octets(),
            &[0; 6],
            &target.octets(),
        ]
        .concat()
    }

    #[test]
    fn an_arp_request_and_its_reply_name_the_same_addresses() {
        let (me, you) = (Ipv4Addr::new(10, 0, 1, 5), Ipv4Addr::new(10, 0, 1, 1));
        let frame = decode(&arp_request((A, me), you)).unwrap();
        assert_eq!(
            frame.payload,
            Payload::ArpRequest {
                sender: me,
                target: you
            }
        );
        assert_eq!((frame.src, frame.dst), (A, Mac([0xff; 6])));
        let reply = arp_reply((A, me), you, B);
        assert_eq!(reply.len(), 42);
        assert_eq!(
            decode(&reply).unwrap(),
            Frame {
                src: B,
                dst: A,
                payload: Payload::Other(0x0806)
            }
        );
        assert_eq!(reply[20..22], [0, 2], "operation is not a reply");
        assert_eq!((mac_at(&reply, 22), address_at(&reply, 28)), (B, you));
        assert_eq!((mac_at(&reply, 32), address_at(&reply, 38)), (A, me));
    }

    #[test]
    fn an_echo_reply_answers_the_request_it_was_made_from() {
        let (me, you) = (Ipv4Addr::new(10, 0, 1, 5), Ipv4Addr::new(10, 0, 1, 1));
        let request = ipv4((A, B), (me, you), ICMP, &echo_request(77, 3));
        let Payload::Ipv4(seen) = decode(&request).unwrap().payload else {
            panic!("not IPv4")
        };
        assert_eq!(
            (seen.ports, seen.echo),
            (Some((77, 77)), Some(Echo::Request))
        );
        let reply = echo_reply(&request, B).unwrap();
        let frame = decode(&reply).unwrap();
        assert_eq!((frame.src, frame.dst), (B, A));
        let Payload::Ipv4(answer) = frame.payload else {
            panic!("not IPv4")
        };
        assert_eq!(
            (answer.src, answer.dst, answer.echo),
            (you, me, Some(Echo::Reply))
        );
        assert_eq!(echo_answer(&reply[ETHERNET..]), Some((you, 77, 3)));
        assert_eq!(
            checksum(&reply[ETHERNET..ETHERNET + 20]),
            0,
            "header checksum"
        );
        assert_eq!(checksum(&reply[ETHERNET + 20..]), 0, "icmp checksum");
        assert_eq!(echo_reply(&reply, B), None, "a reply was answered");
    }

    #[test]
    fn ports_are_read_from_the_first_fragment_only() {
        let ends = (Ipv4Addr::new(10, 0, 1, 5), Ipv4Addr::new(10, 0, 2, 5));
        let mut frame = ipv4((A, B), ends, 17, &[0x12, 0x34, 0, 53, 0, 8, 0, 0]);
        let ports = |bytes: &[u8]| match decode(bytes).unwrap().payload {
            Payload::Ipv4(packet) => packet.ports,
            other => panic!("{other:?}"),
        };
        assert_eq!(ports(&frame), Some((0x1234, 53)));
        frame[ETHERNET + 7] = 1;
        assert_eq!(ports(&frame), None);
    }

    /// What the checksum of TCP or UDP must be, from scratch.
    fn transport_sum(frame: &[u8], protocol: u8) -> u16 {
        let (ip, transport) = frame[ETHERNET..].split_at(20);
        let length = u16::try_from(transport.len()).unwrap();
        let pseudo = [&ip[12..20], &[0, protocol], &length.to_be_bytes()].concat();
        checksum(&[&pseudo, transport].concat())
    }

    #[test]
    fn a_translated_packet_has_the_new_ends_and_checksums_that_fit() {
        let at = |first, port| std::net::SocketAddrV4::new(Ipv4Addr::new(first, 9, 255, 7), port);
        for (protocol, sum, length) in [(TCP, 16, 20), (UDP, 6, 8), (ICMP, 2, 8)] {
            let old = Ends {
                protocol,
                src: at(10, 40_000),
                dst: at(198, 80),
            };
            let new = Ends {
                protocol,
                src: at(192, 443),
                dst: at(203, 30_080),
            };
            let mut transport = vec![0_u8; length];
            transport[0..2].copy_from_slice(&old.src.port().to_be_bytes());
            transport[2..4].copy_from_slice(&old.dst.port().to_be_bytes());
            transport.extend([0xab, 0xcd, 0xef]);
            let mut frame = ipv4((A, B), (*old.src.ip(), *old.dst.ip()), protocol, &transport);
            let whole = if protocol == ICMP {
                checksum(&frame[ETHERNET + 20..])
            } else {
                transport_sum(&frame, protocol)
            };
            let at = ETHERNET + 20 + sum;
            frame[at..at + 2].copy_from_slice(&whole.to_be_bytes());
            let before = frame.clone();
            translate(&mut frame, (&old, &new));
            assert_eq!(checksum(&frame[ETHERNET..ETHERNET + 20]), 0, "{protocol}");
            let Payload::Ipv4(seen) = decode(&frame).unwrap().payload else {
                panic!("not IPv4")
            };
            assert_eq!((seen.src, seen.dst), (*new.src.ip(), *new.dst.ip()));
            if protocol == ICMP {
                assert_eq!(frame[ETHERNET + 20..], before[ETHERNET + 20..]);
                continue;
            }
            assert_eq!(transport_sum(&frame, protocol), 0, "{protocol}");
            assert_eq!(seen.ports, Some((443, 30_080)));
            translate(&mut frame, (&new, &old));
            assert_eq!(frame, before, "there and back");
        }
    }

    #[test]
    fn a_later_fragment_gets_addresses_only_and_a_missing_udp_checksum_stays_missing() {
        let at = |first, port| std::net::SocketAddrV4::new(Ipv4Addr::new(first, 0, 0, 7), port);
        let ends = |src, dst| Ends {
            protocol: UDP,
            src,
            dst,
        };
        let (old, new) = (ends(at(10, 1), at(10, 2)), ends(at(11, 3), at(12, 4)));
        let addresses = (*old.src.ip(), *old.dst.ip());
        let mut frame = ipv4((A, B), addresses, UDP, &[0, 1, 0, 2, 0, 8, 0, 0]);
        let mut fragment = frame.clone();
        translate(&mut frame, (&old, &new));
        assert_eq!(frame[ETHERNET + 20..], [0, 3, 0, 4, 0, 8, 0, 0]);
        fragment[ETHERNET + 7] = 1;
        translate(&mut fragment, (&old, &new));
        assert_eq!(fragment[ETHERNET + 20..], [0, 1, 0, 2, 0, 8, 0, 0]);
        assert_eq!(address_at(&fragment, ETHERNET + 16), *new.dst.ip());
    }

    #[test]
    fn readdressing_changes_both_ends_and_nothing_else() {
        let ends = (Ipv4Addr::new(10, 0, 1, 5), Ipv4Addr::new(10, 0, 2, 5));
        let before = ipv4((A, B), ends, ICMP, &echo_request(1, 1));
        let mut after = before.clone();
        readdress(&mut after, A, B);
        assert_eq!((mac_at(&after, 0), mac_at(&after, 6)), (A, B));
        assert_eq!(after[12..], before[12..]);
    }

    #[test]
    fn cut_bytes_are_malformed_and_never_a_panic() {
        let ends = (Ipv4Addr::new(10, 0, 1, 5), Ipv4Addr::new(10, 0, 2, 5));
        let whole = ipv4((A, B), ends, ICMP, &echo_request(1, 1));
        for length in 0..whole.len() {
            assert!(
                decode(&whole[..length]).is_err(),
                "{length} bytes were accepted"
            );
        }
        let mut bad_header = whole;
        bad_header[ETHERNET] = 0x4f;
        bad_header[ETHERNET + 3] = 24;
        assert!(decode(&bad_header).is_err());
    }
}
