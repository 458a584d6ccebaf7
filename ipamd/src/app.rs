//! The daemon in the real world: lock, files, signals, EC2, IMDS and the kernel of this node.
//!
//! Owns: which hands the daemon gets. Must not: contain what a test would want to drive (`daemon` does).
//! Driven by: `main`.

use crate::alone;
use crate::aws::{AwsEc2, AwsImds};
use crate::conflist::{self, Keeper};
use crate::console::Console;
use crate::daemon::{self, World};
use crate::host::kernel::HostKernel;
use crate::restore::{Paths, restore};
use crate::serve::grpc::WayOut;
use crate::watch as kernel_watch;
use anyhow::Context;
use config::Config;
use ipam::node::Node;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Runs the daemon until it is told to stop.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut stop = stop_signal()?;
    let folder = Path::new(rpc::socket::PATH)
        .parent()
        .expect("the socket's path is absolute");
    let paths = Paths::new(folder, &config.process.backing_store);
    let mut console = Console::start(&config.process);
    let _alone = tokio::select! {
        alone = alone::wait_forever(&paths.lock, &paths.socket, &mut console) => alone,
        _ = stop.changed() => return Ok(()),
    };
    let node = Node::new(config.node.clone(), restore(&paths)?, seed());
    let world = world(&config, console)?;
    daemon::run(
        node,
        &paths,
        world,
        async move { drop(stop.changed().await) },
    )
    .await
}

fn world(config: &Config, console: Console) -> anyhow::Result<World> {
    let imds = cloud::Imds::new(config.process.imds_endpoint.as_deref())?;
    let (identity, known) = watch::channel(None);
    let (change, changed) = watch::channel(0);
    tokio::spawn(kernel_watch::watch_forever(change));
    Ok(World {
        ec2: Arc::new(AwsEc2::new(&config.process, imds.clone(), known)),
        imds: Arc::new(AwsImds(imds)),
        kernel: Arc::new(HostKernel::new(&config.host)),
        changed,
        identity,
        console,
        conflist: Keeper::new(
            &config.installed.network_configuration,
            conflist::text(&config.host, &config.installed),
        ),
        policy_mode: config.process.policy_mode.clone(),
        way_out: WayOut {
            snat: config.host.snat,
            excluded: config.host.snat_excluded.clone(),
        },
    })
}

/// Changes when SIGTERM or SIGINT comes. As process 1 of a container one ends by no signal that it does not ask for.
pub(crate) fn stop_signal() -> anyhow::Result<watch::Receiver<()>> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let (stop, stopped) = watch::channel(());
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_replace(());
        // A receiver that looks later must still see a sender.
        std::future::pending::<()>().await;
    });
    Ok(stopped)
}

/// Different in each process: client tokens and jitter come from it.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
