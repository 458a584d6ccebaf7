//! Deletes the pods and proves that nothing of them is left: on the nodes, in the daemon's books, in EC2, on this machine.
//! Driven by `demo`. Must not: remove anything but through the plugin.

use super::account::{self, Eni};
use super::leftovers::{Observed, left_over, observe};
use super::roster::{CHURN, Member, PODS};
use super::sabotage::Break;
use crate::progress::Progress;
use anyhow::{Context, bail};
use lab::process::ProcessId;
use lab::scene::Scene;
use lab::task::Task;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Addresses for pods on one ENI of the nodes' type, which is what `WARM_ENI_TARGET` counts in.
const PER_ENI: usize = 14;
/// The default of `WARM_ENI_TARGET`.
const WARM_ENIS: usize = 1;
/// How long the kernel may take to remove the links of a namespace that is gone: it does so in the background.
const SETTLE: Duration = Duration::from_secs(5);
/// How long the daemon may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Deletes every pod as a runtime does; with [`Break::Leak`] the last one loses its namespace without a DEL.
pub fn delete(
    progress: &Progress,
    members: Vec<Member<'_>>,
    broken: Option<Break>,
) -> anyhow::Result<()> {
    let last = members.len().saturating_sub(1);
    for (index, member) in members.into_iter().enumerate() {
        progress.check()?;
        if broken == Some(Break::Leak) && index == last {
            progress.say(format!("break: no DEL for {}", member.title()))?;
            member.pod.sandbox().remove_netns()?;
        } else {
            member.pod.stop()?;
        }
    }
    Ok(())
}

/// What is left on a node and in EC2 while its daemon still runs.
pub fn verify_node(
    progress: &Progress,
    scene: &Scene,
    (index, before): (usize, &Observed),
) -> anyhow::Result<Vec<String>> {
    let node = scene.node(index);
    let enis = account::enis(scene, &scene.nodes()[index].instance)?;
    let mut left = Vec::new();
    progress.watch(SETTLE, || {
        left = left_over(before, &observe(node)?, &enis);
        Ok(left.is_empty().then_some(()))
    })?;
    let checkpoint = node.root().join("run/aws-node/ipam.json");
    let text = fs::read_to_string(&checkpoint)
        .with_context(|| format!("read {}", checkpoint.display()))?;
    left.extend(held(&text)?);
    left.extend(surplus(&enis));
    Ok(left
        .into_iter()
        .map(|what| format!("left on {}: {what}", node.name()))
        .collect())
}

/// ENIs that nothing has any more.
pub fn verify_account(scene: &Scene) -> anyhow::Result<Vec<String>> {
    let enis = account::unattached(scene)?.into_iter();
    Ok(enis
        .map(|eni| format!("left in EC2: {eni}, attached to nothing"))
        .collect())
}

/// Ends a daemon as kubelet does; what it should not have done.
pub fn end_daemon(
    progress: &Progress,
    scene: &Scene,
    (index, daemon): (usize, &mut Task),
) -> anyhow::Result<Option<String>> {
    let name = scene.node(index).name();
    daemon
        .signal(Signal::SIGTERM)
        .with_context(|| format!("end ipamd on {name}"))?;
    Ok(match progress.watch(END_LIMIT, || Ok(daemon.ended()?))? {
        Some(status) if status.success() => None,
        Some(status) => Some(format!("ipamd on {name} ended with {status}")),
        None => Some(format!(
            "ipamd on {name} still runs {} s after SIGTERM",
            END_LIMIT.as_secs()
        )),
    })
}

/// What must be gone from this machine when a scene has ended.
#[derive(Debug)]
pub struct Outside {
    processes: Vec<(String, ProcessId)>,
    folder: PathBuf,
}

impl Outside {
    /// Notes the nodes' processes and the scene's folder.
    pub fn of(scene: &Scene) -> Self {
        let inits = scene
            .nodes()
            .iter()
            .filter_map(|it| Some((it.node.name().to_owned(), ProcessId::of(it.node.init())?)));
        let holders = scene
            .nodes()
            .iter()
            .map(|it| (it.node.name().to_owned(), it.node.process()));
        Self {
            processes: inits.chain(holders).collect(),
            folder: scene.folder().to_owned(),
        }
    }

    /// What of it is still there.
    pub fn verify(&self) -> Vec<String> {
        let alive = self.processes.iter().filter(|(_, it)| it.is_alive());
        let mut left: Vec<String> = alive
            .map(|(node, it)| format!("left on this machine: process {} of {node}", it.pid))
            .collect();
        left.extend(
            self.folder
                .exists()
                .then(|| format!("left on this machine: {}", self.folder.display())),
        );
        left
    }
}

/// Allocations in a checkpoint.
fn held(checkpoint: &str) -> anyhow::Result<Vec<String>> {
    let value: Value = serde_json::from_str(checkpoint).context("parse ipam.json")?;
    let Some(allocations) = value.get("allocations") else {
        bail!("ipam.json has no allocations: {checkpoint}");
    };
    // Upstream writes null for an empty list.
    let entries = allocations.as_array().into_iter().flatten();
    Ok(entries
        .map(|entry| format!("allocation in ipam.json: {entry}"))
        .collect())
}

/// Addresses beyond what the warm target asked for when most pods ran. An ENI may go when it is a minute old, so nothing
/// has gone yet.
fn surplus(enis: &[Eni]) -> Option<String> {
    let owned: usize = enis.iter().map(|eni| eni.secondary.len()).sum();
    let asked = warm_addresses(CHURN.max(PODS));
    (owned > asked).then(|| {
        format!(
            "{owned} addresses on {} ENIs in EC2, where the warm target asked for {asked}",
            enis.len()
        )
    })
}

/// Addresses on whole ENIs so that the warm target's are free beside the pods'.
pub fn warm_addresses(pods: usize) -> usize {
    (pods + WARM_ENIS * PER_ENI).div_ceil(PER_ENI) * PER_ENI
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::card::DeviceIndex;
    use model::mac::Mac;
    use std::net::Ipv4Addr;

    #[test]
    fn allocations_that_stayed_are_named() {
        let empty = r#"{"version":"vpc-cni-ipam/1","allocations":[]}"#;
        assert_eq!(held(empty).unwrap(), [""; 0]);
        assert_eq!(held(r#"{"allocations":null}"#).unwrap(), [""; 0]);
        let left = held(r#"{"allocations":[{"ipv4":"10.0.1.5"}]}"#).unwrap();
        assert_eq!(left, [r#"allocation in ipam.json: {"ipv4":"10.0.1.5"}"#]);
        assert!(held("{}").is_err());
    }

    #[test]
    fn more_enis_than_the_warm_target_asked_for_are_a_surplus() {
        let eni = |index| Eni {
            id: "eni-1".parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, index]),
            index: DeviceIndex(index),
            primary: Ipv4Addr::new(10, 0, 1, 4),
            secondary: vec![Ipv4Addr::new(10, 0, 1, 5); PER_ENI],
        };
        let three = [eni(0), eni(1), eni(2)];
        assert_eq!(surplus(&three), None);
        let left = surplus(&[&three[..], &[eni(3)]].concat()).unwrap();
        assert_eq!(
            left,
            "56 addresses on 4 ENIs in EC2, where the warm target asked for 42"
        );
    }
}
