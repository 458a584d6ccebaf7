//! TCP and UDP between namespaces: a mirror tells everyone who calls it as whom it sees him, which is what address
//! translation is about. Driven by tests and the demo. Must not: judge what was seen.

use crate::namespace::{EnterError, Namespaces};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, getsockopt, setsockopt, socket,
    sockopt,
};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a mirror waits for what a caller who connected has to say.
const CALLER: Duration = Duration::from_secs(2);
const QUESTION: &[u8] = b"who am I?";

/// What a conversation is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A connection with data both ways.
    Tcp,
    /// A datagram and its answer.
    Udp,
}

impl Protocol {
    /// Its IP protocol number.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// Why a mirror heard or said nothing.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    /// The namespace could not be entered.
    #[error("enter the namespace to talk with {with}")]
    Enter {
        /// The mirror's address.
        with: SocketAddrV4,
        /// Cause.
        #[source]
        source: EnterError,
    },
    /// A socket could not be opened, bound or served.
    #[error("open a socket to talk with {with}")]
    Socket {
        /// The mirror's address.
        with: SocketAddrV4,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Refused, reset or not answered in time.
    #[error("no answer from {with}")]
    Unanswered {
        /// The mirror's address.
        with: SocketAddrV4,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// A question to a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Whom to ask.
    pub target: SocketAddrV4,
    /// From where; the kernel chooses what is unspecified or 0.
    pub source: SocketAddrV4,
    /// How long the connection and each answer may take.
    pub timeout: Duration,
}

impl Call {
    /// Five seconds, from wherever the kernel chooses.
    pub fn to(protocol: Protocol, target: SocketAddrV4) -> Self {
        Self {
            protocol,
            target,
            source: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
            timeout: Duration::from_secs(5),
        }
    }
}

/// Asks a mirror from inside the namespace; as whom it sees the caller.
pub fn ask(namespaces: &Namespaces, call: Call) -> Result<SocketAddrV4, TalkError> {
    let with = call.target;
    let entered = namespaces.run(|| open(call));
    let opened = entered.map_err(|source| TalkError::Enter { with, source })?;
    let fd = opened.map_err(|errno| TalkError::Socket {
        with,
        source: errno.into(),
    })?;
    let said = match call.protocol {
        Protocol::Tcp => ask_by_tcp(fd, call),
        Protocol::Udp => ask_by_udp(fd, call),
    };
    said.map_err(|source| TalkError::Unanswered { with, source })
}

/// Both kinds are opened without waiting, so that the thread inside ends at once.
fn open(call: Call) -> Result<OwnedFd, Errno> {
    let kind = match call.protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Inet, kind, flags, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    bind(fd.as_raw_fd(), &SockaddrIn::from(call.source))?;
    match connect(fd.as_raw_fd(), &SockaddrIn::from(call.target)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(fd),
        Err(errno) => Err(errno),
    }
}

fn ask_by_tcp(fd: OwnedFd, call: Call) -> io::Result<SocketAddrV4> {
    if !ready(&fd, PollFlags::POLLOUT, call.timeout)? {
        return Err(io::ErrorKind::TimedOut.into());
    }
    match getsockopt(&fd, sockopt::SocketError)? {
        0 => {}
        errno => return Err(io::Error::from_raw_os_error(errno)),
    }
    let mut stream = TcpStream::from(fd);
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(call.timeout))?;
    stream.write_all(QUESTION)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    parse(&text)
}

fn ask_by_udp(fd: OwnedFd, call: Call) -> io::Result<SocketAddrV4> {
    let socket = UdpSocket::from(fd);
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(call.timeout))?;
    socket.send(QUESTION)?;
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer)?;
    parse(&String::from_utf8_lossy(&buffer[..length]))
}

fn parse(text: &str) -> io::Result<SocketAddrV4> {
    let invalid = |_| io::Error::new(io::ErrorKind::InvalidData, format!("answer {text:?}"));
    text.parse().map_err(invalid)
}

fn ready(fd: &impl AsFd, wanted: PollFlags, timeout: Duration) -> io::Result<bool> {
    let mut fds = [PollFd::new(fd.as_fd(), wanted)];
    let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
    Ok(poll(&mut fds, timeout)? > 0)
}

/// A server that tells every caller who he seems to be; dropping it ends it.
#[derive(Debug)]
pub struct Mirror {
    /// Where it answers.
    pub address: SocketAddrV4,
    seen: Arc<Mutex<Vec<SocketAddrV4>>>,
    // The thread ends when this end is closed.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

enum Ear {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Mirror {
    /// Listens inside a namespace from now on.
    pub fn open(
        namespaces: &Namespaces,
        protocol: Protocol,
        address: SocketAddrV4,
    ) -> Result<Self, TalkError> {
        let listen = || match protocol {
            Protocol::Tcp => TcpListener::bind(address).map(Ear::Tcp),
            Protocol::Udp => UdpSocket::bind(address).map(Ear::Udp),
        };
        let with = address;
        let entered = namespaces.run(listen);
        let failed = |source| TalkError::Socket { with, source };
        let ear = entered
            .map_err(|source| TalkError::Enter { with, source })?
            .map_err(failed)?;
        let (stop, stopped) = UnixStream::pair().map_err(failed)?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let thread = std::thread::Builder::new().name("mirror".into());
        let serve = move || serve(&ear, &stopped, &noted);
        Ok(Self {
            address,
            seen,
            stop: Some(stop),
            thread: Some(thread.spawn(serve).map_err(failed)?),
        })
    }

    /// Everyone who called, as the mirror saw him.
    pub fn seen(&self) -> Vec<SocketAddrV4> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(ear: &Ear, stopped: &UnixStream, seen: &Mutex<Vec<SocketAddrV4>>) {
    loop {
        let fd = match ear {
            Ear::Tcp(listener) => listener.as_fd(),
            Ear::Udp(socket) => socket.as_fd(),
        };
        let mut fds = [
            PollFd::new(fd, PollFlags::POLLIN),
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(_) => return,
            Ok(_) if fds[1].any() != Some(false) => return,
            Ok(_) => {}
        }
        // A caller who went away is nobody's failure.
        let _ = match ear {
            Ear::Tcp(listener) => answer_tcp(listener, seen),
            Ear::Udp(socket) => answer_udp(socket, seen),
        };
    }
}

fn answer_tcp(listener: &TcpListener, seen: &Mutex<Vec<SocketAddrV4>>) -> io::Result<()> {
    let (mut stream, caller) = listener.accept()?;
    note(seen, caller);
    stream.set_read_timeout(Some(CALLER))?;
    stream.read_exact(&mut [0; QUESTION.len()])?;
    stream.write_all(caller.to_string().as_bytes())
}

fn answer_udp(socket: &UdpSocket, seen: &Mutex<Vec<SocketAddrV4>>) -> io::Result<()> {
    let (_, caller) = socket.recv_from(&mut [0; 64])?;
    note(seen, caller);
    socket.send_to(caller.to_string().as_bytes(), caller)?;
    Ok(())
}

fn note(seen: &Mutex<Vec<SocketAddrV4>>, caller: SocketAddr) {
    if let SocketAddr::V4(caller) = caller {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(caller);
    }
}
