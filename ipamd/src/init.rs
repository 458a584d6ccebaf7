//! `ipamd init`: what is done once before the daemon of a pod, with privileges that the daemon has not.
//!
//! Owns: the order, and that whatever is missing is named and waited for. Must not: talk to EC2, touch pods' links, remove
//! anything but the network configuration of an earlier boot. Driven by: `main`.

mod boot;
mod plugins;
mod sysctl;

use crate::conflist;
use crate::console::Console;
use crate::restore::with_causes;
use anyhow::Context;
use boot::Boot;
use config::Config;
use datapath::observe;
use model::mac::Mac;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// Where plugins lie beside the program.
const PLUGINS: &str = "cni";
/// How long the metadata service may take to answer.
const IMDS_LIMIT: Duration = Duration::from_secs(5);
/// How soon a missing thing is looked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// Does everything; an error is something that waiting does not cure.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    let mut console = Console::on_stdout("ipamd init");
    let folder = rpc::socket::folder();
    forget_earlier_boot(config, folder)?;
    let program = std::env::current_exe().context("find this program")?;
    let plugins = program
        .parent()
        .context("this program has a directory")?
        .join(PLUGINS);
    let installed = plugins::install(&plugins, &config.install.plugins)?;
    say(&format!(
        "{installed} into {}",
        config.install.plugins.display()
    ));
    let primary = primary_link(config, &mut console).await?;
    for line in sysctl::ensure(&sysctl::wanted(&primary, config.install.tcp_early_demux))? {
        say(&line);
    }
    Ok(())
}

/// Before anything that may have to wait: a runtime must not believe in the network of the boot before.
fn forget_earlier_boot(config: &Config, folder: &Path) -> anyhow::Result<()> {
    let list = conflist::path_in(&config.install.configurations);
    let boot = Boot::observe(folder, &config.process.backing_store)?;
    if !boot.is_new() {
        return Ok(());
    }
    if let Err(error) = boot.remember(folder) {
        // The next init would take this boot for a new one, and remove what the daemon wrote.
        say(&format!(
            "{} stays: {}",
            list.display(),
            with_causes(&error)
        ));
        return Ok(());
    }
    match fs::remove_file(&list) {
        Ok(()) => say(&format!("removed {} of an earlier boot", list.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => say(&format!(
            "{} of an earlier boot stays: {error}",
            list.display()
        )),
    }
    Ok(())
}

/// The link with the address that the metadata service names. Both may come late on a fresh machine.
async fn primary_link(config: &Config, console: &mut Console) -> anyhow::Result<String> {
    let imds = cloud::Imds::new(config.process.imds_endpoint.as_deref())?;
    loop {
        let missing = match imds.fetch_primary_mac(IMDS_LIMIT).await {
            Ok(mac) => match link_of(mac)? {
                Some(name) => return Ok(name),
                None => format!("a link with the MAC address {mac}"),
            },
            Err(error) => format!("the instance metadata service: {}", with_causes(&error)),
        };
        console.lacks_for_long(&missing);
        tokio::time::sleep(AGAIN).await;
    }
}

fn link_of(mac: Mac) -> anyhow::Result<Option<String>> {
    let links = observe::links()
        .map_err(|error| anyhow::anyhow!(error.chain()))
        .context("list the node's links")?;
    Ok(links
        .into_iter()
        .find(|link| link.mac == Some(mac))
        .map(|link| link.name))
}

/// What was done, for whoever reads the container's log.
fn say(text: &str) {
    // Nobody may be reading.
    let _ = writeln!(io::stdout(), "ipamd init: {text}");
}
