//! Reading all objects of a kind. Must not: filter; a message that the parser refuses is skipped and counted, because
//! a newer kernel must not make a node blind.
//! Driven by: `datapath::observe` and `lab`.

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_OVERRUN, NetlinkMessage,
};
use netlink_packet_route::RouteNetlinkMessage;

use crate::error::{Error, Refusal};
use crate::frame::frames;
use crate::socket::Socket;

/// How often a dump that a concurrent change made inconsistent is started again.
const RETRIES: usize = 5;

/// A consistent answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dump {
    pub messages: Vec<RouteNetlinkMessage>,
    /// Messages that did not parse.
    pub skipped: usize,
}

impl Socket {
    /// Asks for everything that matches `question`, again when the answer was inconsistent.
    pub fn dump(&mut self, question: &RouteNetlinkMessage) -> Result<Dump, Error> {
        for _ in 0..=RETRIES {
            let reading = self.dump_once(question)?;
            if !reading.interrupted {
                return Ok(reading.dump);
            }
        }
        Err(Error::Interrupted(RETRIES + 1))
    }

    fn dump_once(&mut self, question: &RouteNetlinkMessage) -> Result<Reading, Error> {
        let sequence = self.reserve(1);
        let mut message = NetlinkMessage::from(question.clone());
        message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        message.header.sequence_number = sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.send(&bytes, 1)?;
        let mut reading = Reading {
            sequence,
            ..Reading::default()
        };
        while !reading.ended {
            reading.feed(self.receive()?)?;
        }
        Ok(reading)
    }
}

#[derive(Debug, Default)]
struct Reading {
    sequence: u32,
    dump: Dump,
    interrupted: bool,
    ended: bool,
}

impl Reading {
    fn feed(&mut self, datagram: &[u8]) -> Result<(), Error> {
        for frame in frames(datagram) {
            let frame = frame?;
            if frame.kind == NLMSG_OVERRUN {
                return Err(Error::Overrun);
            }
            if frame.sequence != self.sequence || self.ended {
                continue;
            }
            self.interrupted |= frame.flags & NLM_F_DUMP_INTR != 0;
            if let Some(answer) = frame.acknowledgement() {
                answer?;
                self.ended = true;
            } else if frame.kind == NLMSG_DONE {
                Refusal::from_done(frame.flags, frame.payload())?;
                self.ended = true;
            } else {
                match frame.parse() {
                    Some(message) => self.dump.messages.push(message),
                    None => self.dump.skipped += 1,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::NLM_F_MULTIPART;
    use nix::errno::Errno;

    use super::*;
    use crate::frame::tests::message;

    const RTM_NEWRULE: u16 = 32;

    fn reading() -> Reading {
        Reading {
            sequence: 5,
            ..Reading::default()
        }
    }

    fn rule(sequence: u32, flags: u16) -> Vec<u8> {
        message(
            RTM_NEWRULE,
            NLM_F_MULTIPART | flags,
            sequence,
            &[2, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0],
        )
    }

    #[test]
    fn a_message_that_does_not_parse_is_skipped_and_counted() {
        let mut reading = reading();
        let mut datagram = rule(5, 0);
        datagram.extend(message(RTM_NEWRULE, NLM_F_MULTIPART, 5, b"x"));
        datagram.extend(rule(5, 0));
        reading.feed(&datagram).unwrap();
        assert!(!reading.ended);
        reading
            .feed(&message(NLMSG_DONE, NLM_F_MULTIPART, 5, &[0; 4]))
            .unwrap();
        assert!(reading.ended && !reading.interrupted);
        assert_eq!((reading.dump.messages.len(), reading.dump.skipped), (2, 1));
    }

    #[test]
    fn the_code_in_the_end_marker_is_an_error() {
        let done = message(NLMSG_DONE, NLM_F_MULTIPART, 5, &(-22i32).to_ne_bytes());
        let Err(Error::Refused(refusal)) = reading().feed(&done) else {
            panic!("accepted")
        };
        assert_eq!(refusal.errno, Errno::EINVAL);
    }

    #[test]
    fn an_interrupted_dump_says_so_and_is_read_to_its_end() {
        let mut reading = reading();
        reading.feed(&rule(5, NLM_F_DUMP_INTR)).unwrap();
        assert!(reading.interrupted && !reading.ended);
        reading
            .feed(&message(NLMSG_DONE, NLM_F_MULTIPART, 5, &[0; 4]))
            .unwrap();
        assert!(reading.interrupted && reading.ended);
    }

    #[test]
    fn the_rest_of_an_abandoned_dump_is_not_ours() {
        let mut reading = reading();
        reading.feed(&rule(4, 0)).unwrap();
        reading
            .feed(&message(NLMSG_DONE, NLM_F_MULTIPART, 4, &[0; 4]))
            .unwrap();
        assert!(!reading.ended);
        assert!(reading.dump.messages.is_empty());
    }
}
