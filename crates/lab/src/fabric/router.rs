//! The thread that reads every TAP device and writes what `switch` decides. Driven by `Fabric` and `link`.
//! Must not: decide about a frame, create or move a device.

use crate::fabric::counters::{Counters, Reason};
use crate::fabric::switch::{Action, Mapping, Port, Switch};
use crate::fabric::{Clock, SharedVpc};
use model::time::Instant;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use tappers::linux::Tap;
use vpc::{End, Ends, Hop, Traffic, Vpc};

/// Frames read from one link before the others get their turn.
const BURST: usize = 64;
const BUFFER: usize = 65_536;

enum Command {
    Plug(End, Port, Tap),
    Unplug(End, Sender<()>),
    Counters(Sender<Counters>),
    Stop,
}

/// Handle of the thread.
#[derive(Debug)]
pub(super) struct Router {
    commands: Sender<Command>,
    waker: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Router {
    pub(super) fn start(vpc: SharedVpc, clock: Clock) -> io::Result<Self> {
        let (commands, inbox) = channel();
        let (waker, wake) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        let worker = Worker {
            vpc,
            clock,
            inbox,
            wake,
            switch: Switch::default(),
            taps: BTreeMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("router".into())
            .spawn(move || worker.run())?;
        Ok(Self {
            commands,
            waker,
            thread: Some(thread),
        })
    }

    /// Carries frames of this device from now on; it must be non-blocking.
    pub(super) fn plug(&self, end: End, port: Port, tap: Tap) {
        self.tell(Command::Plug(end, port, tap));
    }

    /// Closes the device, which removes the link; returns when it is gone.
    pub(super) fn unplug(&self, end: &End) {
        let (done, answer) = channel();
        self.tell(Command::Unplug(end.clone(), done));
        let _ = answer.recv();
    }

    pub(super) fn counters(&self) -> Counters {
        let (done, answer) = channel();
        self.tell(Command::Counters(done));
        // The thread lives as long as this handle; after a panic of it there is nothing counted to tell.
        answer.recv().unwrap_or_default()
    }

    fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
        // A full pipe means that the thread is awake already.
        let _ = (&self.waker).write(&[1]);
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    vpc: SharedVpc,
    clock: Clock,
    inbox: Receiver<Command>,
    wake: UnixStream,
    switch: Switch,
    taps: BTreeMap<End, Tap>,
}

impl Worker {
    fn run(mut self) {
        let mut buffer = vec![0; BUFFER];
        while self.obey() {
            for end in self.wait() {
                if !self.carry(&end, &mut buffer) {
                    // The device is gone with its namespace; reading it again would spin.
                    self.taps.remove(&end);
                    self.switch.unplug(&end);
                }
            }
        }
    }

    /// Does what was asked meanwhile; false when it is time to stop.
    fn obey(&mut self) -> bool {
        let mut scratch = [0; 64];
        while matches!(self.wake.read(&mut scratch), Ok(1..)) {}
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Plug(end, port, tap) => {
                    self.switch.plug(end.clone(), port);
                    self.taps.insert(end, tap);
                }
                Command::Unplug(end, done) => {
                    self.switch.unplug(&end);
                    drop(self.taps.remove(&end));
                    let _ = done.send(());
                }
                Command::Counters(answer) => {
                    let _ = answer.send(self.switch.counters().clone());
                }
                Command::Stop => return false,
            }
        }
        true
    }

    /// Waits for a frame or a command; returns the links that have something to say.
    fn wait(&self) -> Vec<End> {
        let mut fds = vec![PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            self.taps
                .values()
                .map(|tap| PollFd::new(tap.as_fd(), PollFlags::POLLIN)),
        );
        if poll(&mut fds, PollTimeout::NONE).is_err() {
            return Vec::new();
        }
        let links = self.taps.keys().zip(&fds[1..]);
        links
            .filter(|(_, fd)| fd.any().unwrap_or(true))
            .map(|(end, _)| end.clone())
            .collect()
    }

    /// Carries what one link has to say; false when the device is gone.
    fn carry(&mut self, from: &End, buffer: &mut [u8]) -> bool {
        // A test that fails while it looks at the account must not stop the packets of its clean-up.
        let vpc = self.vpc.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.clock)();
        for _ in 0..BURST {
            let length = match self.taps[from].recv(buffer) {
                Ok(length) => length,
                Err(error) => {
                    return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
                }
            };
            let bytes = &mut buffer[..length];
            match self.switch.receive(now, &*vpc, from, bytes) {
                Action::Answer(answer) => {
                    // The asker repeats what its own full queue refuses.
                    let _ = self.taps[from].send(&answer);
                }
                Action::Forward(forwarding) => {
                    match self.taps.get(&forwarding.to).map(|tap| tap.send(bytes)) {
                        Some(Ok(_)) => self.switch.delivered(&forwarding, length),
                        Some(Err(_)) => self.switch.refused(from, &forwarding, Reason::LinkRefused),
                        None => self.switch.refused(from, &forwarding, Reason::NoLink),
                    }
                }
                Action::Nothing => {}
            }
        }
        true
    }
}

impl Mapping for Vpc {
    fn carry(
        &self,
        now: Instant,
        traffic: &mut Traffic,
        way: (&End, &Ends),
    ) -> Result<Hop, Reason> {
        Ok(Vpc::carry(self, now, traffic, way)?)
    }

    fn owner(&self, from: &End, address: Ipv4Addr) -> Option<End> {
        let End::Eni(from) = from else {
            return None;
        };
        let subnet = self.subnet(&self.interface(from)?.subnet)?;
        Some(End::Eni(subnet.owner(address)?.clone()))
    }
}
