//! The running daemon: who is connected to whom, from the bound socket to the last answer.
//!
//! Owns: the tasks and their channels, the order of the end. Must not: know where its hands reach (they are given to it).
//! Driven by: `app` with the real world, tests with one of their own.

use crate::conflist::Keeper;
use crate::console::Console;
use crate::host::{Host, Kernel};
use crate::inbox::{Events, inbox};
use crate::owner::Owner;
use crate::restore::{Paths, with_causes};
use crate::run::ec2::Ec2;
use crate::run::imds::{self, Identity, Imds};
use crate::run::{Runners, disk};
use crate::serve::grpc::{Api, WayOut};
use crate::serve::{health, serve};
use anyhow::{Context, anyhow};
use ipam::event::Event;
use ipam::node::Node;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// Requests that may wait to be seen by the owner: above what any node can run, and seen within a turn.
const INBOX: usize = 1024;
/// How long the end may take, from the signal to the last answer.
const DRAIN: Duration = Duration::from_secs(3);

/// How soon it is tried again to make a socket that could not be made.
const BIND_AGAIN: Duration = Duration::from_secs(1);

/// What the daemon reaches the outside with.
pub struct World {
    /// EC2.
    pub ec2: Arc<dyn Ec2>,
    /// The metadata service.
    pub imds: Arc<dyn Imds>,
    /// The host's network.
    pub kernel: Arc<dyn Kernel>,
    /// Counts changes that others made to the host's network.
    pub changed: watch::Receiver<u64>,
    /// Where the newest metadata is published.
    pub identity: watch::Sender<Identity>,
    /// Where people are told what is waited for.
    pub console: Console,
    /// The network configuration for the container runtime.
    pub conflist: Keeper,
    /// What the network policy agent is told when it asks for the node's mode.
    pub policy_mode: String,
    /// What plugins are told of pods' way out.
    pub way_out: WayOut,
}

/// Runs `node` until `stop` is over, then answers who still waits. The socket is bound before the first effect; a folder
/// in which it cannot be made is waited for.
pub async fn run(
    node: Node,
    paths: &Paths,
    mut world: World,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut stop = std::pin::pin!(stop);
    let listener = tokio::select! {
        listener = bind_forever(&paths.socket, &mut world.console) => listener,
        () = &mut stop => return Ok(()),
    };
    let disk = disk::Runner::spawn(&paths.checkpoint, &paths.journal)
        .context("start the threads that write")?;
    let (inbox, events, requests) = inbox(INBOX);
    let (policy_mode, way_out) = (world.policy_mode, world.way_out);
    let api = Api::new(requests, world.identity.subscribe(), policy_mode, way_out);
    let (desired, wanted) = watch::channel(None);
    let host = Host {
        kernel: world.kernel,
        desired: wanted,
        changed: world.changed,
        events: events.clone(),
    };
    let imds = imds::Runner::new(world.imds, world.identity);
    let runners = Runners {
        events: events.clone(),
        ec2: world.ec2,
        imds,
        disk,
        host: desired,
    };
    let (owner, progress) = Owner::new(node, inbox, runners);
    let (health, reporter) = health::service(progress.clone());
    let (lack, lacking) = watch::channel(Some("the network configuration".to_owned()));
    let (close, closed) = oneshot::channel::<()>();
    let tasks = Tasks {
        server: tokio::spawn(serve(
            listener,
            api,
            health,
            async move { drop(closed.await) },
        )),
        owner: tokio::spawn(owner.run()),
        others: vec![
            tokio::spawn(host.run_forever()),
            tokio::spawn(world.console.tell_until_served(progress.clone(), lacking)),
            tokio::spawn(world.conflist.keep_forever(progress.clone(), lack)),
            tokio::spawn(health::watch_forever(reporter, progress, events.clone())),
        ],
    };
    tasks.run(events, close, stop).await
}

async fn bind_forever(socket: &Path, console: &mut Console) -> UnixListener {
    loop {
        match rpc::socket::bind(socket) {
            Ok(listener) => return listener,
            Err(error) => console.lacks(&format!("the socket: {}", with_causes(&error))),
        }
        tokio::time::sleep(BIND_AGAIN).await;
    }
}

struct Tasks {
    server: JoinHandle<Result<(), crate::serve::ServeError>>,
    owner: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
}

impl Tasks {
    async fn run(
        mut self,
        events: Events,
        close: oneshot::Sender<()>,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let ended = tokio::select! {
            () = stop => None,
            end = &mut self.owner => Some(end.map_err(anyhow::Error::from).and(Err(anyhow!("the node task has ended")))),
            end = &mut self.server => Some(end.map_err(anyhow::Error::from).and_then(|end| Ok(end?))),
        };
        let result = match ended {
            Some(result) => result.context("unexpected end"),
            None => {
                tracing::info!("told to stop");
                events.send(Event::Shutdown);
                self.drain(close).await;
                Ok(())
            }
        };
        for task in self.others.iter().chain([&self.owner]) {
            task.abort();
        }
        self.server.abort();
        result
    }

    /// First the owner answers everybody, then the server sends the answers; both within one deadline.
    async fn drain(&mut self, close: oneshot::Sender<()>) {
        let drained = tokio::time::timeout(DRAIN, async {
            let owner = (&mut self.owner).await;
            drop(close);
            (owner, (&mut self.server).await)
        });
        match drained.await {
            Ok((Ok(()), Ok(Ok(())))) => tracing::info!("stopped, everybody has an answer"),
            Ok(ends) => tracing::warn!(?ends, "stopped, but not in order"),
            Err(_) => tracing::warn!(
                seconds = DRAIN.as_secs(),
                "stopped with answers outstanding"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
