//! The thread that serves EC2 and IMDS to every node of a lab. Driven by `scene`. Must not: know what is asked (`ec2`
//! and `imds` do), open sockets (they come from inside the nodes).

use crate::ec2::{self, Door};
use crate::imds;
use model::id::InstanceId;
use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use vpc::Caller;

/// The sockets of one node.
#[derive(Debug)]
pub struct Listeners {
    /// For the EC2 API.
    pub ec2: TcpListener,
    /// For the instance metadata service.
    pub imds: TcpListener,
}

enum Command {
    Open(InstanceId, Listeners),
    Close(InstanceId, Sender<()>),
}

/// Handle of the thread; dropping it closes every door.
#[derive(Debug)]
pub struct Doors {
    commands: Option<UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Doors {
    /// Starts the thread.
    pub fn start(door: Door) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (commands, inbox) = unbounded_channel();
        let serve = move || runtime.block_on(serve(door, inbox));
        let thread = std::thread::Builder::new()
            .name("doors".into())
            .spawn(serve)?;
        Ok(Self {
            commands: Some(commands),
            thread: Some(thread),
        })
    }

    /// Serves an instance's sockets from now on.
    pub fn open(&self, instance: &InstanceId, listeners: Listeners) {
        self.tell(Command::Open(instance.clone(), listeners));
    }

    /// Closes an instance's sockets and connections; returns when they are closed.
    pub fn close(&self, instance: &InstanceId) {
        let (done, answer) = channel();
        self.tell(Command::Close(instance.clone(), done));
        let _ = answer.recv();
    }

    fn tell(&self, command: Command) {
        // The thread ends only after this handle let go of the channel.
        let _ = self
            .commands
            .as_ref()
            .map(|commands| commands.send(command));
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(door: Door, mut inbox: UnboundedReceiver<Command>) {
    let mut open: BTreeMap<InstanceId, JoinSet<io::Result<()>>> = BTreeMap::new();
    while let Some(command) = inbox.recv().await {
        match command {
            Command::Open(instance, Listeners { ec2, imds }) => {
                let mut tasks = JoinSet::new();
                tasks.spawn(ec2::serve(
                    ec2,
                    Caller::Instance(instance.clone()),
                    door.clone(),
                ));
                tasks.spawn(imds::serve(imds, instance.clone(), door.clone()));
                open.insert(instance, tasks);
            }
            Command::Close(instance, done) => {
                if let Some(mut tasks) = open.remove(&instance) {
                    tasks.shutdown().await;
                }
                let _ = done.send(());
            }
        }
    }
}
