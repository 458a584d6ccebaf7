//! `ipamd init`: what a node needs before the daemon, by who may do it (a privileged container that runs once per pod).
//!
//! Owns: the order: first an earlier boot's network configuration goes, so that the node does not look ready for longer
//! than it must; then the plugins, the primary link, the sysctls. Must not: start the daemon, change links or EC2.
//! Driven by: `main`.

mod earlier_boot;
mod plugins;
mod primary;
mod sysctl;

use crate::app::stop_signal;
use anyhow::{Context, bail};
use config::Config;
use std::path::Path;
use sysctl::Missing;

/// The kernel's settings.
const SYSCTLS: &str = "/proc/sys";
/// The plugins of the image, beside the program.
const PLUGINS: &str = "cni";

/// Does everything, and says each thing that it does. What it needs of IMDS and the kernel is waited for.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    let mut stop = stop_signal()?;
    earlier_boot::clear(config)?;
    let program = std::env::current_exe().context("find the directory of this program")?;
    let image = program
        .parent()
        .context("this program has no directory")?
        .join(PLUGINS);
    plugins::install(&image, &config.installed.plugins)?;
    let imds = cloud::Imds::new(config.process.imds_endpoint.as_deref())?;
    let primary = tokio::select! {
        primary = primary::wait_forever(&imds) => primary,
        _ = stop.changed() => bail!("told to stop while waiting for the primary link"),
    };
    say(&format!("the primary link is {primary}"));
    for wish in sysctl::wishes(&primary, config.host.tcp_early_demux) {
        match (wish.ensure(Path::new(SYSCTLS)), wish.missing) {
            (Ok(done), _) => say(&done),
            (Err(error), Missing::Fatal) => return Err(error.into()),
            (Err(error), Missing::Tolerated) => say(&format!(
                "{}; going on without",
                crate::restore::with_causes(&error)
            )),
        }
    }
    say("the node is prepared");
    Ok(())
}

/// One line on standard output.
#[expect(
    clippy::print_stdout,
    reason = "it is where the container's log comes from"
)]
pub fn say(line: &str) {
    println!("ipamd init: {line}");
}
