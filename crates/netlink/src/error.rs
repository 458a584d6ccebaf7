//! What can go wrong with netlink, and the kernel's own words about a refused request.
//! Must not: decide whether a refusal is acceptable (only the caller knows what it wanted).

use std::time::Duration;

use netlink_packet_core::{NLM_F_ACK_TLVS, NLM_F_CAPPED};
use nix::errno::Errno;

use crate::frame::{align, u16_at, u32_at};

/// `struct nlmsghdr` of the refused request, repeated in its acknowledgement.
const REQUEST_HEADER: usize = 16;
/// `NLMSGERR_ATTR_MSG`: the text of an extended acknowledgement.
const TEXT: u16 = 1;
/// Attribute types carry two flag bits on top.
const TYPE_MASK: u16 = 0x3fff;

/// The socket or the wire failed: nothing is known about requests that were sent and not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("open a netlink socket")]
    Open(#[source] std::io::Error),
    #[error("send {requests} netlink requests")]
    Send {
        requests: usize,
        #[source]
        source: std::io::Error,
    },
    #[error("receive from netlink")]
    Receive(#[source] std::io::Error),
    #[error("no answer from netlink within {0:?}")]
    Silent(Duration),
    #[error("a netlink datagram of {0} bytes does not fit the buffer")]
    Truncated(usize),
    #[error("a netlink datagram whose lengths make no sense")]
    Malformed,
    #[error("the kernel dropped netlink messages for this socket")]
    Overrun,
    #[error("{0} dumps in a row were interrupted by changes")]
    Interrupted(usize),
    /// A dump that the kernel would not make; requests in a batch have their refusals in [`crate::Response`].
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// The kernel understood a request and said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} ({errno:?}){}", errno.desc(), text.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
pub struct Refusal {
    pub errno: Errno,
    /// The extended acknowledgement's text, when the kernel gave one.
    pub text: Option<String>,
}

impl Refusal {
    /// Reads the payload of `NLMSG_ERROR`: code, the request's header (and its body unless capped), attributes.
    pub(crate) fn from_acknowledgement(flags: u16, payload: &[u8]) -> Result<(), Self> {
        let Some(code) = u32_at(payload, 0) else {
            return Err(Self {
                errno: Errno::EBADMSG,
                text: None,
            });
        };
        let request = if flags & NLM_F_CAPPED != 0 {
            REQUEST_HEADER
        } else {
            u32_at(payload, 4).map_or(REQUEST_HEADER, |length| align(length as usize))
        };
        Self::from_code(code, flags, payload.get(4 + request..).unwrap_or_default())
    }

    /// Reads the payload of `NLMSG_DONE`: code, attributes. An empty payload is success.
    pub(crate) fn from_done(flags: u16, payload: &[u8]) -> Result<(), Self> {
        let code = u32_at(payload, 0).unwrap_or(0);
        Self::from_code(code, flags, payload.get(4..).unwrap_or_default())
    }

    fn from_code(code: u32, flags: u16, attributes: &[u8]) -> Result<(), Self> {
        match code.cast_signed() {
            0 => Ok(()),
            code => Err(Self {
                errno: Errno::from_raw(code.wrapping_neg()),
                text: (flags & NLM_F_ACK_TLVS != 0)
                    .then(|| text(attributes))
                    .flatten(),
            }),
        }
    }
}

fn text(mut attributes: &[u8]) -> Option<String> {
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        let kind = u16_at(attributes, 2)? & TYPE_MASK;
        let value = attributes.get(4..length)?;
        if kind == TEXT {
            let value = value.strip_suffix(&[0]).unwrap_or(value);
            return Some(String::from_utf8_lossy(value).into_owned());
        }
        attributes = attributes.get(align(length)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(4 + value.len())
            .unwrap()
            .to_ne_bytes()
            .to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    fn refusal(errno: i32, request: &[u8], attributes: &[u8]) -> Vec<u8> {
        let mut payload = (-errno).to_ne_bytes().to_vec();
        payload.extend(u32::try_from(request.len()).unwrap().to_ne_bytes());
        payload.extend(&request[4..]);
        payload.resize(4 + align(request.len()), 0);
        payload.extend(attributes);
        payload
    }

    #[test]
    fn the_text_is_found_behind_other_attributes_of_a_capped_refusal() {
        let mut attributes = attribute(2, &20u32.to_ne_bytes());
        attributes.extend(attribute(1, b"Nexthop has invalid gateway\0"));
        let payload = refusal(101, &[0; 16], &attributes);
        let found =
            Refusal::from_acknowledgement(NLM_F_CAPPED | NLM_F_ACK_TLVS, &payload).unwrap_err();
        assert_eq!(found.errno, Errno::ENETUNREACH);
        assert_eq!(
            found.to_string(),
            "Network is unreachable (ENETUNREACH): Nexthop has invalid gateway"
        );
    }

    #[test]
    fn a_refusal_that_repeats_the_whole_request_is_skipped_over() {
        let payload = refusal(22, &[0; 30], &attribute(1, b"bad\0"));
        let found = Refusal::from_acknowledgement(NLM_F_ACK_TLVS, &payload).unwrap_err();
        assert_eq!(
            found,
            Refusal {
                errno: Errno::EINVAL,
                text: Some("bad".into())
            }
        );
    }

    #[test]
    fn a_refusal_without_text_or_with_broken_attributes_keeps_its_code() {
        let flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
        for attributes in [&[][..], &[9, 0, 1], &[0, 0, 0, 0], &[200, 0, 1, 0, 65]] {
            let found = Refusal::from_acknowledgement(flags, &refusal(17, &[0; 16], attributes))
                .unwrap_err();
            assert_eq!(
                found,
                Refusal {
                    errno: Errno::EEXIST,
                    text: None
                },
                "{attributes:?}"
            );
        }
        assert_eq!(
            Refusal::from_acknowledgement(0, &[1]).unwrap_err().errno,
            Errno::EBADMSG
        );
    }

    #[test]
    fn zero_is_success_and_a_dump_may_end_with_a_code() {
        assert_eq!(
            Refusal::from_acknowledgement(NLM_F_CAPPED, &refusal(0, &[0; 16], &[])),
            Ok(())
        );
        assert_eq!(Refusal::from_done(0, &[]), Ok(()));
        assert_eq!(Refusal::from_done(0, &0i32.to_ne_bytes()), Ok(()));
        let mut done = (-2i32).to_ne_bytes().to_vec();
        done.extend(attribute(1, b"FIB table does not exist\0"));
        let found = Refusal::from_done(NLM_F_ACK_TLVS, &done).unwrap_err();
        assert_eq!(
            found,
            Refusal {
                errno: Errno::ENOENT,
                text: Some("FIB table does not exist".into())
            }
        );
    }
}
