//! The demo's pods: how they start, what is known of each, the table that shows it. Must not: send packets.

use super::account::{self, Eni};
use crate::percentile::{milliseconds, percentile};
use crate::progress::Progress;
use anyhow::{Context, bail};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use lab::command;
use lab::node::Node;
use lab::runtime::conflist::Conflist;
use lab::runtime::invocation::PodSpec;
use lab::runtime::pod::Pod;
use lab::scene::Scene;
use model::mac::Mac;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Pods on each node.
pub const PODS: usize = 20;
/// Pods that come and go first. A node's pods share an ENI while it has room; an address that a pod left cools for 30 s.
/// Seven of the 14 addresses of an m5.xlarge's primary ENI cooling make the 20 pods that follow 7 and 13.
pub const CHURN: usize = 7;
/// The nodes' instance type.
pub const INSTANCE_TYPE: &str = "m5.xlarge";

/// A pod and what its node and EC2 say about it.
#[derive(Debug)]
pub struct Member<'n> {
    /// The running pod.
    pub pod: Pod<'n>,
    /// Its node's number in the scene.
    pub node: usize,
    /// The ENI that has its address, as EC2 says.
    pub eni: Eni,
    /// The name of that ENI's link on the node.
    pub device: String,
    /// The table that the node's rules send its traffic to.
    pub table: String,
    /// The host's end of its link, as the plugin said.
    pub link: String,
    /// Exec to exit of its ADD.
    pub added: Duration,
}

impl Member<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.pod.sandbox().spec().name
    }

    /// Name, node and address, for messages.
    pub fn title(&self) -> String {
        format!(
            "{}/{} ({})",
            self.pod.sandbox().node().name(),
            self.name(),
            self.pod.address
        )
    }

    /// What is wrong with where the pod is, if anything.
    pub fn misplaced(&self) -> Option<String> {
        let want = self.eni.table().to_string();
        (self.table != want).then(|| {
            format!(
                "{} leaves through table {} but its ENI {} has table {want}",
                self.title(),
                self.table,
                self.eni.id
            )
        })
    }
}

/// Starts and stops [`CHURN`] pods.
pub fn churn(progress: &Progress, node: &Node, conflist: &Conflist) -> anyhow::Result<()> {
    let mut pods = Vec::new();
    for number in 1..=CHURN {
        progress.check()?;
        pods.push(Pod::start(
            node,
            conflist.clone(),
            spec(&format!("churn-{number}")),
        )?);
    }
    for pod in pods {
        pod.stop()?;
    }
    Ok(())
}

/// Starts [`PODS`] pods on a node; the names go on where the last node's ended.
pub fn start<'s>(
    progress: &Progress,
    scene: &'s Scene,
    (index, conflist): (usize, &Conflist),
) -> anyhow::Result<Vec<Member<'s>>> {
    let node = scene.node(index);
    let mut pods = Vec::new();
    for number in 1..=PODS {
        progress.check()?;
        let name = format!("web-{}", index * PODS + number);
        pods.push(Pod::start(node, conflist.clone(), spec(&name))?);
    }
    let enis = account::enis(scene, &scene.nodes()[index].instance)?;
    let rules = node.run(|| command::run(&["ip", "-4", "rule", "show"], ""))??;
    let links = node.run(|| command::run(&["ip", "-o", "link", "show"], ""))??;
    pods.into_iter()
        .map(|pod| {
            let eni = enis
                .iter()
                .find(|eni| eni.secondary.contains(&pod.address))
                .with_context(|| {
                    format!(
                        "no ENI of {} has a pod's address {}",
                        node.name(),
                        pod.address
                    )
                })?;
            let device = device_of(&links, eni.mac)
                .with_context(|| format!("{} has no link for {}", node.name(), eni.id))?;
            Ok(Member {
                node: index,
                eni: eni.clone(),
                device,
                table: table_of(&rules, pod.address),
                link: host_link(&pod)?,
                added: pod.added.iter().map(|call| call.elapsed).sum(),
                pod,
            })
        })
        .collect()
}

/// The table of all pods.
pub fn table(members: &[Member<'_>]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "pod",
        "node",
        "address",
        "ENI",
        "device",
        "route table",
        "pod's link",
        "ADD",
    ]);
    for member in members {
        table.add_row([
            member.name().to_owned(),
            member.pod.sandbox().node().name().to_owned(),
            member.pod.address.to_string(),
            member.eni.id.to_string(),
            format!("{} {}", member.eni.index.0, member.device),
            member.table.clone(),
            member.link.clone(),
            format!("{:.1} ms", milliseconds(member.added)),
        ]);
    }
    if let Some(column) = table.column_mut(7) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The median time of an ADD, in milliseconds.
pub fn add_p50(members: &[Member<'_>]) -> f64 {
    let times: Vec<Duration> = members.iter().map(|member| member.added).collect();
    milliseconds(percentile(&times, 50))
}

fn spec(name: &str) -> PodSpec {
    PodSpec {
        namespace: "demo".to_owned(),
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
    }
}

/// The host's end of a pod's link, from the CNI result.
fn host_link(pod: &Pod<'_>) -> anyhow::Result<String> {
    let name = pod
        .sandbox()
        .result()
        .and_then(|result| result.pointer("/interfaces/0/name")?.as_str());
    match name {
        Some(name) => Ok(name.to_owned()),
        None => bail!(
            "the result of pod {} names no host interface: {:?}",
            pod.sandbox().spec().name,
            pod.sandbox().result()
        ),
    }
}

/// The name of the link with this hardware address, from `ip -o link`.
pub fn device_of(links: &str, mac: Mac) -> Option<String> {
    let mac = mac.to_string();
    let line = links
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == mac))?;
    let name = line.split_whitespace().nth(1)?.trim_end_matches(':');
    Some(name.split('@').next().unwrap_or(name).to_owned())
}

/// Where the rules send what comes from an address, from `ip rule`: rules for all sources send it to main.
fn table_of(rules: &str, address: Ipv4Addr) -> String {
    let address = address.to_string();
    let found = rules.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let from = words.windows(2).any(|pair| pair == ["from", &address]);
        let table = words.windows(2).find(|pair| pair[0] == "lookup")?[1];
        from.then(|| table.to_owned())
    });
    found.unwrap_or_else(|| "main".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_table_is_that_of_its_own_rule_and_main_without_one() {
        let rules = "0:\tfrom all lookup local\n512:\tfrom all to 10.0.1.5 lookup main\n\
                     1536:\tfrom 10.0.1.5 lookup 2\n32766:\tfrom all lookup main\n";
        assert_eq!(table_of(rules, Ipv4Addr::new(10, 0, 1, 5)), "2");
        assert_eq!(table_of(rules, Ipv4Addr::new(10, 0, 1, 50)), "main");
    }

    #[test]
    fn a_device_is_found_by_its_hardware_address() {
        let links = "1: lo: <LOOPBACK> mtu 65536 link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n\
                     3: ens6: <UP> mtu 9001 \\    link/ether 02:00:00:00:00:07 brd ff:ff:ff:ff:ff:ff\n";
        let mac = |last| Mac([2, 0, 0, 0, 0, last]);
        assert_eq!(device_of(links, mac(7)).as_deref(), Some("ens6"));
        assert_eq!(device_of(links, mac(8)), None);
    }
}
