//! What must hold when everything has settled, whatever was killed before: the daemon's files, the kernel and EC2 say the
//! same, and packets arrive. Must not: change anything.

use crate::home::INSIDE;
use e2e::daemon::PATIENCE;
use e2e::expect::{eventually, when};
use e2e::kernel::Inside;
use e2e::stage::Stage;
use e2e::traffic::reaches;
use lab::runtime::pod::Pod;
use lab::vpc::Interface;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;

/// The tag of ENIs that were made for an instance.
const INSTANCE: &str = "node.k8s.amazonaws.com/instance_id";

/// Waits until nothing is under way on a node with these live pods and this many ENIs, and checks that nothing was lost,
/// doubled or left behind.
#[track_caller]
pub(crate) fn settled(stage: &Stage, index: usize, pods: &[&Pod<'_>], enis: usize) {
    let live: BTreeSet<Ipv4Addr> = pods.iter().map(|pod| pod.address).collect();
    assert_eq!(
        live.len(),
        pods.len(),
        "every pod has an address of its own"
    );
    eventually("held is what live pods have", PATIENCE, || {
        when(addresses(stage, index, "/allocations"), |held| {
            *held == live
        })
    });
    eventually("EC2 has the ENIs, each bound for life", PATIENCE, || {
        when(stage.enis(index), |seen| {
            seen.len() == enis && seen.iter().all(is_protected)
        })
    });
    eventually("no ENI of the node is left unattached", PATIENCE, || {
        when(orphans(stage, index), Vec::is_empty)
    });
    eventually("every intent is resolved", PATIENCE, || {
        when(open_intents(stage, index), Vec::is_empty)
    });
    let owned: BTreeSet<Ipv4Addr> = stage.enis(index).iter().flat_map(secondaries).collect();
    let cooling = cooling(stage, index);
    assert!(owned.is_superset(&live), "{live:?} of {owned:?} in EC2");
    assert!(
        owned.is_superset(&cooling),
        "{cooling:?} of {owned:?} in EC2"
    );
    assert!(live.is_disjoint(&cooling), "{live:?} {cooling:?}");
    kernel_serves(stage, index, &live);
    for (pod, other) in pods.iter().zip(pods.iter().cycle().skip(1)) {
        let target = if pods.len() > 1 {
            other.address
        } else {
            stage.nodes()[index].lease.address
        };
        reaches(pod, target, 1);
    }
}

/// Rules and routes of pods name the live ones and nobody else.
#[track_caller]
pub(crate) fn kernel_serves(stage: &Stage, index: usize, live: &BTreeSet<Ipv4Addr>) {
    let node = stage.node(index);
    eventually("the kernel has the live pods' rules", PATIENCE, || {
        when(
            (ruled(node, "512: from all to "), node.rules()),
            |(ruled, _)| ruled == live,
        )
    });
    eventually("no rule is left of other pods' sources", PATIENCE, || {
        when((ruled(node, "1536: from "), node.rules()), |(ruled, _)| {
            ruled.is_subset(live)
        })
    });
    eventually("the kernel has the live pods' routes", PATIENCE, || {
        when(routed(node), |routed| routed == live)
    });
}

/// The addresses behind the beginning of a rule's line.
fn ruled(node: &impl Inside, beginning: &str) -> BTreeSet<Ipv4Addr> {
    let rules = node.rules();
    let rests = rules.iter().filter_map(|rule| rule.strip_prefix(beginning));
    rests
        .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .collect()
}

/// The addresses routed to pods' links.
fn routed(node: &impl Inside) -> BTreeSet<Ipv4Addr> {
    let routes = node.routes("main");
    let pods = routes.iter().filter(|route| route.contains(" dev eni"));
    pods.filter_map(|route| route.split_whitespace().next()?.parse().ok())
        .collect()
}

fn secondaries(eni: &Interface) -> Vec<Ipv4Addr> {
    let others = eni.addresses.iter().filter(|address| !address.primary);
    others.map(|address| address.address).collect()
}

fn is_protected(eni: &Interface) -> bool {
    eni.attachment
        .as_ref()
        .is_some_and(|bound| bound.delete_on_termination && bound.detached_at.is_none())
}

fn orphans(stage: &Stage, index: usize) -> Vec<String> {
    let instance = stage.nodes()[index].instance.to_string();
    let vpc = stage.vpc();
    let made = vpc
        .interfaces()
        .filter(|eni| eni.tags.get(INSTANCE) == Some(&instance));
    made.filter(|eni| eni.attachment.is_none())
        .map(|eni| eni.id.to_string())
        .collect()
}

/// Announced calls of unknown outcome. What was taken away stays in the journal for a minute after it was done.
fn open_intents(stage: &Stage, index: usize) -> Vec<String> {
    let intents = file(stage, index, "intents.json")["intents"].clone();
    let reminders = ["UnassignAddresses", "DeleteInterface"];
    let is_reminder = |intent: &&Value| {
        reminders
            .iter()
            .any(|call| intent["call"].get(call).is_some())
    };
    let intents = intents.as_array().cloned().unwrap_or_default();
    intents
        .iter()
        .filter(|intent| !is_reminder(intent))
        .map(Value::to_string)
        .collect()
}

/// The addresses of a list in the checkpoint.
pub(crate) fn addresses(stage: &Stage, index: usize, list: &str) -> BTreeSet<Ipv4Addr> {
    let checkpoint = file(stage, index, "ipam.json");
    let entries = checkpoint.pointer(list).and_then(Value::as_array).cloned();
    let entries = entries.unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| entry["ipv4"].as_str()?.parse().ok())
        .collect()
}

/// Addresses whose cooldown lasts; an entry whose time is over stays in the file until the next write.
fn cooling(stage: &Stage, index: usize) -> BTreeSet<Ipv4Addr> {
    let (checkpoint, now) = (file(stage, index, "ipam.json"), boot_clock_ms());
    let entries = checkpoint.pointer("/extension/cooling").cloned();
    let entries = entries.unwrap_or_default();
    let entries = entries.as_array().into_iter().flatten();
    entries
        .filter(|entry| entry["until"].as_u64().is_some_and(|until| until > now))
        .filter_map(|entry| entry["ipv4"].as_str()?.parse().ok())
        .collect()
}

/// One of the daemon's files; nothing when there is none.
pub(crate) fn file(stage: &Stage, index: usize, name: &str) -> Value {
    let path = stage.node(index).root().join(INSIDE).join(name);
    let bytes = fs::read(path).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// The clock of the checkpoint's times, in milliseconds; as fine as the kernel prints it.
pub(crate) fn boot_clock_ms() -> u64 {
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = uptime.split_whitespace().next().unwrap().parse().unwrap();
    (seconds * 1000.0) as u64
}
