//! ICMP echoes from inside a namespace: real packets, counted at both ends. Must not: need the `ping` program, which a
//! fresh Debian lacks.

use crate::fabric::frame::{echo_answer, echo_request};
use crate::namespace::{EnterError, Namespaces};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, bind, recv, sendto,
    socket,
};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Sequence number of the echoes of a sweep.
const SWEEP: u16 = 1;

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// To whom.
    pub target: Ipv4Addr,
    /// From which address; the kernel chooses when `None`.
    pub source: Option<Ipv4Addr>,
    /// How many, one after the other.
    pub count: u16,
    /// How long each answer may take.
    pub timeout: Duration,
}

impl Ping {
    /// `count` echoes, three seconds for each answer: a neighbour's second try comes after one, so an answer that is
    /// late because a link was not active yet is not taken for a lost one.
    pub fn to(target: Ipv4Addr, count: u16) -> Self {
        Self {
            target,
            source: None,
            count,
            timeout: Duration::from_secs(3),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Pinged {
    /// Requests tried.
    pub sent: u16,
    /// Answers received in time.
    pub received: u16,
    /// What the kernel said when it refused to send, the last time.
    pub refused: Option<String>,
}

impl Pinged {
    /// Whether every request was answered.
    pub fn all_arrived(&self) -> bool {
        self.sent > 0 && self.sent == self.received
    }
}

/// Why no ping could be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// The namespace could not be entered.
    #[error("enter the namespace to ping {target}")]
    Enter {
        /// Target.
        target: Ipv4Addr,
        /// Cause.
        #[source]
        source: EnterError,
    },
    /// No raw socket, or the source address is not there.
    #[error("open a socket to ping {target}")]
    Socket {
        /// Target.
        target: Ipv4Addr,
        /// Cause.
        #[source]
        source: Errno,
    },
}

/// Sends the echoes from inside the namespaces and counts the answers.
pub fn ping(namespaces: &Namespaces, ping: Ping) -> Result<Pinged, PingError> {
    let target = ping.target;
    let opened = namespaces
        .run(|| open(ping.source))
        .map_err(|source| PingError::Enter { target, source })?;
    let fd = opened.map_err(|source| PingError::Socket { target, source })?;
    let id = next_id();
    let mut result = Pinged {
        sent: 0,
        received: 0,
        refused: None,
    };
    for sequence in 1..=ping.count {
        result.sent += 1;
        let address = SockaddrIn::from(SocketAddrV4::new(target, 0));
        match sendto(
            fd.as_raw_fd(),
            &echo_request(id, sequence),
            &address,
            MsgFlags::empty(),
        ) {
            Ok(_) if answered(&fd, (id, sequence), ping.timeout) => result.received += 1,
            Ok(_) => {}
            Err(errno) => result.refused = Some(errno.to_string()),
        }
    }
    Ok(result)
}

/// Sends one echo to each target at once and waits until all are answered or `timeout` has passed; who answered. The
/// namespace must have a route to each: what the kernel refuses to send is not answered.
pub fn sweep(
    namespaces: &Namespaces,
    targets: &[Ipv4Addr],
    timeout: Duration,
) -> Result<BTreeSet<Ipv4Addr>, PingError> {
    let Some(target) = targets.first().copied() else {
        return Ok(BTreeSet::new());
    };
    let opened = namespaces
        .run(|| open(None))
        .map_err(|source| PingError::Enter { target, source })?;
    let fd = opened.map_err(|source| PingError::Socket { target, source })?;
    let id = next_id();
    for target in targets {
        let address = SockaddrIn::from(SocketAddrV4::new(*target, 0));
        let message = echo_request(id, SWEEP);
        // One that can't be sent is one that isn't answered.
        let _ = sendto(fd.as_raw_fd(), &message, &address, MsgFlags::empty());
    }
    let started = Instant::now();
    let mut missing: BTreeSet<Ipv4Addr> = targets.iter().copied().collect();
    let mut answered = BTreeSet::new();
    while !missing.is_empty()
        && let Some(from) = next_answer(&fd, |answer| answer == (id, SWEEP), (started, timeout))
    {
        if missing.remove(&from) {
            answered.insert(from);
        }
    }
    Ok(answered)
}

/// Identifiers tell the answers of pings apart that run at once, and make each ping a flow of its own.
fn next_id() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn open(source: Option<Ipv4Addr>) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(
        AddressFamily::Inet,
        SockType::Raw,
        flags,
        SockProtocol::Icmp,
    )?;
    if let Some(source) = source {
        bind(
            fd.as_raw_fd(),
            &SockaddrIn::from(SocketAddrV4::new(source, 0)),
        )?;
    }
    Ok(fd)
}

fn answered(fd: &OwnedFd, wanted: (u16, u16), timeout: Duration) -> bool {
    next_answer(fd, |answer| answer == wanted, (Instant::now(), timeout)).is_some()
}

/// Whose answer comes next; none when time is over.
fn next_answer(
    fd: &OwnedFd,
    wanted: impl Fn((u16, u16)) -> bool,
    (started, timeout): (Instant, Duration),
) -> Option<Ipv4Addr> {
    let mut buffer = [0; 2048];
    loop {
        while let Ok(length) = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            if let Some((from, id, sequence)) = echo_answer(&buffer[..length])
                && wanted((id, sequence))
            {
                return Some(from);
            }
        }
        let left = timeout.checked_sub(started.elapsed())?;
        let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        let left =
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        if let Err(errno) = poll(&mut fds, left)
            && errno != Errno::EINTR
        {
            return None;
        }
    }
}
