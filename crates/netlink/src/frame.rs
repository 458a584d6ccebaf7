//! Cuts a datagram from the kernel into netlink messages. Must not: interpret them, nor trust a length.
//! Driven by: `batch` and `dump`.

use netlink_packet_core::{NLMSG_ERROR, NetlinkMessage};
use netlink_packet_route::RouteNetlinkMessage;

use crate::error::{Error, Refusal};

const HEADER: usize = 16;

/// One message of a datagram: its header's fields and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// Header included.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(crate) fn payload(&self) -> &'a [u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// The typed message, or `None` when some attribute of it is unknown to the parser in a way that it refuses.
    pub(crate) fn parse(&self) -> Option<RouteNetlinkMessage> {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(self.bytes).ok()?;
        match message.payload {
            netlink_packet_core::NetlinkPayload::InnerMessage(inner) => Some(inner),
            _ => None,
        }
    }

    /// What an acknowledgement says; `None` when this message is not one.
    pub(crate) fn acknowledgement(&self) -> Option<Result<(), Refusal>> {
        (self.kind == NLMSG_ERROR)
            .then(|| Refusal::from_acknowledgement(self.flags, self.payload()))
    }
}

/// The messages of `datagram`, in order; ends with an error where a length makes no sense.
pub(crate) fn frames(datagram: &[u8]) -> Frames<'_> {
    Frames { rest: datagram }
}

pub(crate) struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(frame) = first(self.rest) else {
            self.rest = &[];
            return Some(Err(Error::Malformed));
        };
        let next = align(frame.bytes.len()).min(self.rest.len());
        self.rest = &self.rest[next..];
        Some(Ok(frame))
    }
}

/// Netlink messages and attributes start at multiples of four.
pub(crate) fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes
        .get(offset..)?
        .first_chunk()
        .map(|chunk| u16::from_ne_bytes(*chunk))
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes
        .get(offset..)?
        .first_chunk()
        .map(|chunk| u32::from_ne_bytes(*chunk))
}

fn first(bytes: &[u8]) -> Option<Frame<'_>> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    if length < HEADER {
        return None;
    }
    Some(Frame {
        kind: u16_at(bytes, 4)?,
        flags: u16_at(bytes, 6)?,
        sequence: u32_at(bytes, 8)?,
        bytes: bytes.get(..length)?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message as the kernel would send it, padded to four bytes.
    pub(crate) fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER + payload.len())
            .unwrap()
            .to_ne_bytes()
            .to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(payload);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    #[test]
    fn a_datagram_is_cut_at_aligned_offsets() {
        let mut datagram = message(16, 2, 7, b"abcde");
        datagram.extend(message(3, 0, 8, b""));
        let found: Vec<_> = frames(&datagram).map(Result::unwrap).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].kind, found[0].flags, found[0].sequence),
            (16, 2, 7)
        );
        assert_eq!(found[0].payload(), b"abcde");
        assert_eq!(
            (found[1].kind, found[1].sequence, found[1].payload().len()),
            (3, 8, 0)
        );
    }

    #[test]
    fn a_length_beyond_the_datagram_or_below_a_header_is_malformed() {
        let whole = message(16, 0, 1, b"abcd");
        for bad in [&whole[..18], &whole[..3], &message(16, 0, 1, b"")[..8]] {
            assert!(matches!(frames(bad).next(), Some(Err(Error::Malformed))));
        }
        let mut short = message(16, 0, 1, b"");
        short[..4].copy_from_slice(&4u32.to_ne_bytes());
        let mut cut = frames(&short);
        assert!(matches!(cut.next(), Some(Err(Error::Malformed))));
        assert!(cut.next().is_none(), "an error ends the datagram");
    }
}
