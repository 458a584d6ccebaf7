//! The five things that the demo can break, so that everybody sees that it would notice. Must not: repair anything.

use super::roster::Member;
use crate::progress::Progress;
use anyhow::{Context, anyhow};
use lab::command;
use lab::scene::Scene;
use lab::vpc::{Request, Rule, Source};
use model::card::RouteTable;

/// What to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Break {
    /// Delete one pod's rule that sends its traffic out through its own ENI.
    Rule,
    /// Revoke what lets the nodes' security group in.
    Group,
    /// Unassign one pod's address in EC2 behind the daemon's back.
    Sourcecheck,
    /// Put another program's table before the node's translation of one pod's address.
    Snat,
    /// Skip the DEL of one pod.
    Leak,
}

/// Breaks it, if it is something about running pods; says what was done.
pub fn break_it(
    progress: &Progress,
    scene: &Scene,
    (what, members): (Break, &[Member<'_>]),
) -> anyhow::Result<()> {
    match what {
        Break::Rule => delete_rule(progress, scene, members),
        Break::Group => revoke(progress, scene),
        Break::Sourcecheck => unassign(progress, scene, members),
        Break::Snat => keep_own_address(progress, scene, members),
        Break::Leak => progress.say("break: one pod will not get its DEL"),
    }
}

fn delete_rule(progress: &Progress, scene: &Scene, members: &[Member<'_>]) -> anyhow::Result<()> {
    let victim = members
        .iter()
        .find(|member| member.eni.table() != RouteTable::MAIN);
    let victim = victim.context("no pod is on a secondary ENI, so there is no rule to delete")?;
    let (from, table) = (
        victim.pod.address.to_string(),
        victim.eni.table().0.to_string(),
    );
    let delete = [
        "ip", "-4", "rule", "del", "from", &from, "lookup", &table, "priority", "1536",
    ];
    scene
        .node(victim.node)
        .run(|| command::run(&delete, ""))??;
    progress.say(format!(
        "break: deleted rule \"1536: from {from} lookup {table}\" of {}",
        victim.title()
    ))
}

fn revoke(progress: &Progress, scene: &Scene) -> anyhow::Result<()> {
    let group = scene.group().clone();
    let members = Rule {
        protocol: None,
        ports: None,
        source: Source::Group(group.clone()),
    };
    let revoke = Request::RevokeSecurityGroupIngress {
        group: group.clone(),
        rules: vec![members],
    };
    carry_out(scene, revoke)?;
    progress.say(format!("break: {group} no longer lets its own members in"))
}

fn unassign(progress: &Progress, scene: &Scene, members: &[Member<'_>]) -> anyhow::Result<()> {
    let victim = members.first().context("there is no pod")?;
    let (eni, address) = (victim.eni.id.clone(), victim.pod.address);
    let unassign = Request::UnassignPrivateIpAddresses {
        eni: eni.clone(),
        addresses: vec![address],
        prefixes: Vec::new(),
    };
    carry_out(scene, unassign)?;
    progress.say(format!(
        "break: unassigned {address} of {} from {eni} in EC2",
        victim.title()
    ))
}

/// The first table that decides about a flow's source decides for all. It is nobody's but this demo's, so nobody
/// removes it.
fn keep_own_address(
    progress: &Progress,
    scene: &Scene,
    members: &[Member<'_>],
) -> anyhow::Result<()> {
    let victim = members.first().context("there is no pod")?;
    let address = victim.pod.address;
    let table = format!(
        "table ip vandal {{
         chain first {{
         type nat hook postrouting priority srcnat - 50
         ip saddr {address} snat to {address}
         }}
         }}"
    );
    let node = scene.node(victim.node);
    node.run(|| command::run(&["nft", "-f", "-"], &table))??;
    progress.say(format!(
        "break: a foreign table on {} lets {} keep its own address",
        node.name(),
        victim.title()
    ))
}

fn carry_out(scene: &Scene, request: Request) -> anyhow::Result<()> {
    let action = request.action().name();
    scene
        .request(request)
        .map(drop)
        .map_err(|error| anyhow!("EC2 refuses {action}: {error}"))
}
