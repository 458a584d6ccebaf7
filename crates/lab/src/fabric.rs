//! The VPC's network in user space: each attached ENI is a TAP device in its node's namespace, each network beyond the
//! VPC is one more; one thread carries frames between them, another makes links follow EC2's state. Driven by `scene`.
//! Must not: decide what is attached or allowed (`vpc` does), configure addresses (the node's operating system does).
//!
//! A TAP device lives exactly as long as its file descriptor: when the process of a lab ends, however it ends, so do
//! all links.

pub mod counters;
pub mod frame;
mod link;
mod router;
pub mod switch;

pub(crate) use link::udev_name;
pub use link::{Guest, LinkError, Naming};

use counters::Counters;
use model::id::InstanceId;
use model::time::Instant;
use router::Router;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use switch::Port;
use tappers::linux::Tap;
use vpc::{End, Side, Vpc};

/// The account that fabric, EC2 endpoint and IMDS share.
pub type SharedVpc = Arc<Mutex<Vpc>>;
/// The lab's clock: milliseconds since it started.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// The running fabric; dropping it removes every link.
#[derive(Debug)]
pub struct Fabric {
    router: Arc<Router>,
    links: Sender<link::Command>,
    thread: Option<JoinHandle<()>>,
}

impl Fabric {
    /// Starts the two threads.
    pub fn start(vpc: &SharedVpc, clock: &Clock) -> std::io::Result<Self> {
        let router = Arc::new(Router::start(Arc::clone(vpc), Arc::clone(clock))?);
        let (links, inbox) = channel();
        let linker = link::Linker::new((Arc::clone(vpc), Arc::clone(clock)), Arc::clone(&router));
        let thread = std::thread::Builder::new()
            .name("links".into())
            .spawn(move || linker.run(&inbox))?;
        Ok(Self {
            router,
            links,
            thread: Some(thread),
        })
    }

    /// Plugs the links that EC2 says the instance has, and follows EC2 from then on.
    pub fn add(&self, instance: &InstanceId, guest: Guest) -> Result<(), LinkError> {
        let (done, answer) = channel();
        let command = link::Command::Add(instance.clone(), guest, done);
        self.links.send(command).map_err(|_| LinkError::Stopped)?;
        answer.recv().map_err(|_| LinkError::Stopped)?
    }

    /// Removes the instance's links and lets go of its namespaces.
    pub fn remove(&self, instance: &InstanceId) {
        let (done, answer) = channel();
        if self
            .links
            .send(link::Command::Remove(instance.clone(), done))
            .is_ok()
        {
            let _ = answer.recv();
        }
    }

    /// Carries frames of a network beyond the VPC; the device must be non-blocking.
    pub(crate) fn border(&self, side: Side, port: Port, tap: Tap) {
        self.router.plug(End::Side(side), port, tap);
    }

    /// Makes links follow EC2's state now instead of at the next look (every 20 ms), and returns when they do.
    pub fn settle(&self) {
        let (done, answer) = channel();
        if self.links.send(link::Command::Settle(done)).is_ok() {
            let _ = answer.recv();
        }
    }

    /// Everything counted so far.
    pub fn counters(&self) -> Counters {
        self.router.counters()
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        let _ = self.links.send(link::Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
