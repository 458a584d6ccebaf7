//! One blocking netlink socket, of the routing family unless said otherwise: opening it with the options we rely on, sending and receiving datagrams.
//! Must not: interpret messages. A socket works for ever in the namespace of the thread that opened it.
//! Driven by: `batch`, `dump` and `namespace` (which opens it elsewhere).

use std::io::ErrorKind;
use std::time::Duration;

use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::libc::MSG_TRUNC;
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::TimeVal;

use crate::error::Error;

/// A lost acknowledgement must not hang the caller; the routing lock of a busy node can be held for seconds.
const SILENCE: Duration = Duration::from_secs(10);
/// The kernel fills dump datagrams up to the size of the receive buffer, 32 KiB at most.
const BUFFER: usize = 64 * 1024;
const KERNEL: u32 = 0;

/// A socket of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Socket {
    inner: netlink_sys::Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, Error> {
        Self::open_to(NETLINK_ROUTE)
    }

    /// The same to another part of the kernel.
    pub(crate) fn open_to(protocol: isize) -> Result<Self, Error> {
        let mut inner = netlink_sys::Socket::new(protocol).map_err(Error::Open)?;
        inner.bind_auto().map_err(Error::Open)?;
        let limit = TimeVal::new(SILENCE.as_secs().cast_signed(), 0);
        setsockopt(&inner, ReceiveTimeout, &limit).map_err(|errno| Error::Open(errno.into()))?;
        inner.set_ext_ack(true).map_err(Error::Open)?;
        inner.set_cap_ack(true).map_err(Error::Open)?;
        inner
            .set_netlink_get_strict_chk(true)
            .map_err(Error::Open)?;
        Ok(Self {
            inner,
            sequence: 1,
            buffer: Vec::with_capacity(BUFFER),
        })
    }

    /// Reserves `count` consecutive sequence numbers and returns the first.
    pub(crate) fn reserve(&mut self, count: u32) -> u32 {
        let first = self.sequence;
        self.sequence = first.wrapping_add(count);
        first
    }

    /// Sends `bytes`, which hold `requests` messages; the kernel has acted on all of them when this returns.
    pub(crate) fn send(&mut self, bytes: &[u8], requests: usize) -> Result<(), Error> {
        let address = SocketAddr::new(KERNEL, 0);
        let sent = self
            .inner
            .send_to(bytes, &address, 0)
            .map_err(|source| Error::Send { requests, source })?;
        if sent == bytes.len() {
            Ok(())
        } else {
            Err(Error::Send {
                requests,
                source: ErrorKind::WriteZero.into(),
            })
        }
    }

    /// The next datagram of the kernel; what other processes may send is passed over.
    pub(crate) fn receive(&mut self) -> Result<&[u8], Error> {
        loop {
            self.buffer.clear();
            // BufMut for a Vec offers its spare capacity, which stays BUFFER bytes and more.
            match self.inner.recv_from(&mut self.buffer, MSG_TRUNC) {
                Ok((_, sender)) if sender.port_number() != KERNEL => {}
                Ok((length, _)) if length > self.buffer.len() => {
                    return Err(Error::Truncated(length));
                }
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(Error::Silent(SILENCE));
                }
                Err(error) => return Err(Error::Receive(error)),
            }
        }
        Ok(&self.buffer)
    }
}
