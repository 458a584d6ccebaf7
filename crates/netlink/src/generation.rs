//! The number of the packet filter's ruleset: it counts the transactions of nftables in a network namespace, ours and
//! others'. Equal numbers mean that nobody has changed anything.
//! Must not: read or change rules (only their program, `nft`, does). Driven by: `datapath::nat`.

use netlink_packet_core::NLM_F_REQUEST;
use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::error::Error;
use crate::frame::{Frame, align, frames, u16_at};
use crate::socket::Socket;

/// `NFNL_SUBSYS_NFTABLES` and its messages `NFT_MSG_NEWGEN` and `NFT_MSG_GETGEN`.
const NEW_GENERATION: u16 = 10 << 8 | 15;
const GET_GENERATION: u16 = 10 << 8 | 16;
/// `struct nfgenmsg` of a question about no family.
const GENERIC: [u8; 4] = [0; 4];
/// `NFTA_GEN_ID`, a big-endian number.
const NUMBER: u16 = 1;

/// The ruleset's number in the calling thread's network namespace.
pub fn generation() -> Result<u32, Error> {
    let mut socket = Socket::open_to(NETLINK_NETFILTER)?;
    let sequence = socket.reserve(1);
    socket.send(&question(sequence), 1)?;
    loop {
        for frame in frames(socket.receive()?) {
            let frame = frame?;
            if frame.sequence == sequence {
                return answer(&frame);
            }
        }
    }
}

fn question(sequence: u32) -> Vec<u8> {
    let mut bytes = 20u32.to_ne_bytes().to_vec();
    bytes.extend(GET_GENERATION.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(GENERIC);
    bytes
}

fn answer(frame: &Frame<'_>) -> Result<u32, Error> {
    if let Some(refusal) = frame.acknowledgement() {
        refusal?;
    }
    let attributes = frame.payload().get(GENERIC.len()..).unwrap_or_default();
    match number(attributes) {
        Some(number) if frame.kind == NEW_GENERATION => Ok(number),
        Some(_) | None => Err(Error::Malformed),
    }
}

fn number(mut attributes: &[u8]) -> Option<u32> {
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        let value = attributes.get(4..length)?;
        if u16_at(attributes, 2)? == NUMBER {
            return value.first_chunk().copied().map(u32::from_be_bytes);
        }
        attributes = attributes.get(align(length)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::message;

    fn said(kind: u16, body: &[u8]) -> Result<u32, Error> {
        let bytes = message(kind, 0, 1, body);
        let frame = frames(&bytes).next().unwrap().unwrap();
        answer(&frame)
    }

    #[test]
    fn the_number_is_found_among_other_attributes_and_is_big_endian() {
        let mut body = vec![0, 0, 0, 7];
        body.extend(8u16.to_ne_bytes());
        body.extend(2u16.to_ne_bytes());
        body.extend([0, 0, 9, 9]);
        body.extend(8u16.to_ne_bytes());
        body.extend(1u16.to_ne_bytes());
        body.extend([0, 0, 1, 2]);
        assert_eq!(said(NEW_GENERATION, &body).unwrap(), 258);
    }

    #[test]
    fn what_is_no_generation_is_an_error() {
        for (kind, body) in [
            (NEW_GENERATION, &[][..]),
            (NEW_GENERATION, &[0, 0, 0, 0, 3, 0, 1, 0]),
            (GET_GENERATION, &[0, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 1]),
        ] {
            assert!(
                matches!(said(kind, body), Err(Error::Malformed)),
                "{body:?}"
            );
        }
        let refused = said(2, &(-1i32).to_ne_bytes());
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    }

    #[test]
    fn the_question_has_the_length_it_says() {
        assert_eq!(question(7).len(), 20);
    }
}
