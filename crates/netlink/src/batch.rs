//! Many requests in one datagram, each with its own acknowledgement. The kernel acts on them in order and goes on
//! after a refusal. Must not: stop at, retry or interpret a refusal.
//! Driven by: `datapath::apply` and `lab`.

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NLMSG_OVERRUN, NetlinkMessage};
use netlink_packet_route::RouteNetlinkMessage;

use crate::error::{Error, Refusal};
use crate::frame::{align, frames};
use crate::socket::Socket;

/// Acknowledgements of one datagram must fit the receive queue: 1,000 overflow it, 128 do not.
const CHUNK: usize = 128;

/// A message and its `NLM_F_*` flags beyond REQUEST and ACK, which every request has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub message: RouteNetlinkMessage,
    pub flags: u16,
}

impl Request {
    pub fn new(message: RouteNetlinkMessage, flags: u16) -> Self {
        Self { message, flags }
    }
}

/// What the kernel answered to one request.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub outcome: Result<(), Refusal>,
    /// The object asked for by a GET, or the one made by a request with `NLM_F_ECHO`. `None` also when the kernel
    /// is too old to echo or the parser refused the message.
    pub reply: Option<RouteNetlinkMessage>,
}

impl Socket {
    /// Sends `requests` and waits for every acknowledgement; the responses are in the same order.
    ///
    /// # Errors
    /// The wire failed: any of the requests may have been carried out or not.
    pub fn batch(&mut self, requests: &[Request]) -> Result<Vec<Response>, Error> {
        let mut responses = Vec::with_capacity(requests.len());
        for chunk in requests.chunks(CHUNK) {
            responses.extend(self.exchange(chunk)?);
        }
        Ok(responses)
    }

    /// Sends one request.
    pub fn request(&mut self, request: Request) -> Result<Response, Error> {
        let mut responses = self.exchange(std::slice::from_ref(&request))?;
        Ok(responses.pop().expect("one request has one response"))
    }

    fn exchange(&mut self, requests: &[Request]) -> Result<Vec<Response>, Error> {
        let count = u32::try_from(requests.len()).expect("a chunk is small");
        let first = self.reserve(count);
        self.send(&serialize(requests, first), requests.len())?;
        let mut collector = Collector::new(first, requests.len());
        while collector.missing > 0 {
            collector.feed(self.receive()?)?;
        }
        Ok(collector.into_responses())
    }
}

fn serialize(requests: &[Request], first: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (request, sequence) in requests.iter().zip(std::iter::successors(Some(first), |n| {
        Some(n.wrapping_add(1))
    })) {
        let mut message = NetlinkMessage::from(request.message.clone());
        message.header.flags = request.flags | NLM_F_REQUEST | NLM_F_ACK;
        message.header.sequence_number = sequence;
        message.finalize();
        let start = bytes.len();
        let length = message.buffer_len();
        bytes.resize(start + align(length), 0);
        message.serialize(&mut bytes[start..start + length]);
    }
    bytes
}

/// Gathers the answers to the sequence numbers `first .. first + outcomes.len()`.
struct Collector {
    first: u32,
    missing: usize,
    outcomes: Vec<Option<Result<(), Refusal>>>,
    replies: Vec<Option<RouteNetlinkMessage>>,
}

impl Collector {
    fn new(first: u32, count: usize) -> Self {
        Self {
            first,
            missing: count,
            outcomes: vec![None; count],
            replies: vec![None; count],
        }
    }

    fn feed(&mut self, datagram: &[u8]) -> Result<(), Error> {
        for frame in frames(datagram) {
            let frame = frame?;
            if frame.kind == NLMSG_OVERRUN {
                return Err(Error::Overrun);
            }
            // Answers to requests that an earlier caller gave up on carry lower numbers, thus huge differences.
            let index = frame.sequence.wrapping_sub(self.first) as usize;
            let Some(outcome) = self.outcomes.get_mut(index) else {
                continue;
            };
            match frame.acknowledgement() {
                None => self.replies[index] = frame.parse(),
                Some(answer) => {
                    self.missing -= usize::from(outcome.is_none());
                    *outcome = Some(answer);
                }
            }
        }
        Ok(())
    }

    fn into_responses(self) -> Vec<Response> {
        let answered = |outcome: Option<_>| outcome.expect("nothing is missing");
        let pairs = self.outcomes.into_iter().zip(self.replies);
        pairs
            .map(|(outcome, reply)| Response {
                outcome: answered(outcome),
                reply,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{NLM_F_CAPPED, NLM_F_CREATE, NLMSG_ERROR};
    use netlink_packet_route::link::{LinkAttribute, LinkMessage};
    use nix::errno::Errno;

    use super::*;
    use crate::frame::tests::message;

    const RTM_NEWLINK: u16 = 16;

    fn link(name: &str) -> RouteNetlinkMessage {
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName(name.into()));
        RouteNetlinkMessage::NewLink(link)
    }

    fn answer(sequence: u32, errno: i32) -> Vec<u8> {
        let mut payload = (-errno).to_ne_bytes().to_vec();
        payload.extend([0; 16]);
        message(NLMSG_ERROR, NLM_F_CAPPED, sequence, &payload)
    }

    #[test]
    fn each_request_has_its_own_number_at_an_aligned_offset() {
        let requests = [
            Request::new(link("a"), NLM_F_CREATE),
            Request::new(link("abcdef"), 0),
        ];
        let bytes = serialize(&requests, u32::MAX);
        assert_eq!(bytes.len() % 4, 0);
        let found: Vec<_> = frames(&bytes).map(Result::unwrap).collect();
        assert_eq!(
            found.iter().map(|frame| frame.sequence).collect::<Vec<_>>(),
            [u32::MAX, 0]
        );
        assert_eq!(found[0].flags, NLM_F_CREATE | NLM_F_REQUEST | NLM_F_ACK);
        assert_eq!(found[1].parse(), Some(link("abcdef")));
    }

    #[test]
    fn answers_find_their_request_whatever_the_datagram_they_came_in() {
        let mut collector = Collector::new(10, 3);
        let mut datagram = answer(11, 17);
        datagram.extend(answer(9, 1));
        collector.feed(&datagram).unwrap();
        assert_eq!(
            collector.missing, 2,
            "a late answer to an older request is not counted"
        );
        let echo = serialize(&[Request::new(link("eth0"), 0)], 12);
        collector.feed(&echo).unwrap();
        collector.feed(&answer(12, 0)).unwrap();
        collector.feed(&answer(10, 0)).unwrap();
        assert_eq!(collector.missing, 0);
        let responses = collector.into_responses();
        assert_eq!(
            responses[0],
            Response {
                outcome: Ok(()),
                reply: None
            }
        );
        assert_eq!(
            responses[1].outcome.as_ref().unwrap_err().errno,
            Errno::EEXIST
        );
        assert_eq!(responses[2].reply, Some(link("eth0")));
    }

    #[test]
    fn an_echo_that_does_not_parse_leaves_the_outcome_alone() {
        let mut collector = Collector::new(1, 1);
        collector.feed(&message(RTM_NEWLINK, 0, 1, b"xy")).unwrap();
        collector.feed(&answer(1, 0)).unwrap();
        assert_eq!(
            collector.into_responses(),
            [Response {
                outcome: Ok(()),
                reply: None
            }]
        );
    }

    #[test]
    fn an_overrun_is_an_error_because_answers_are_lost() {
        let fed = Collector::new(1, 1).feed(&message(NLMSG_OVERRUN, 0, 0, b""));
        assert!(matches!(fed, Err(Error::Overrun)));
    }
}
