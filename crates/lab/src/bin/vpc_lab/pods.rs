//! The commands about pods on a lab whose nodes run containers. Must not: know how a pod is run; `lab::cluster` does.

use crate::{find, say};
use anyhow::Context;
use lab::cluster::{PodSummary, Visit};
use lab::kubelet::sandbox::PodRequest;

/// A pod on a node of a lab with `--containerd`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OnNode {
    /// Name of the lab.
    #[arg(long, default_value = "default")]
    lab: String,
    /// The node.
    #[arg(long, default_value = "node-1")]
    node: String,
    /// The pod's namespace.
    #[arg(long, default_value = "default")]
    namespace: String,
    /// The pod.
    pod: String,
}

/// A pod to run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    on: OnNode,
    /// A port of the node that leads to one of the pod: `8080:80`.
    #[arg(long = "host-port", value_parser = port_pair)]
    host_ports: Vec<(u16, u16)>,
    /// In the node's network.
    #[arg(long)]
    host_network: bool,
}

/// Runs a pod and shows it.
pub(crate) fn run(wanted: Run) -> anyhow::Result<()> {
    let on = wanted.on;
    let mut request = PodRequest {
        namespace: on.namespace,
        ports: wanted.host_ports,
        ..PodRequest::new(&on.pod)
    };
    if wanted.host_network {
        request = request.on_host_network();
    }
    show(&on.node, &visit(&on.lab, &on.node)?.run(&request)?)
}

/// Ends a pod.
pub(crate) fn stop(on: &OnNode) -> anyhow::Result<()> {
    Ok(visit(&on.lab, &on.node)?.stop(&on.namespace, &on.pod)?)
}

/// Shows every pod of a lab.
pub(crate) fn list(lab: &str) -> anyhow::Result<()> {
    let (state, _) = find(lab).with_context(|| format!("lab {lab:?} is not up"))?;
    for node in &state.nodes {
        for pod in visit(lab, &node.name)?.pods()? {
            show(&node.name, &pod)?;
        }
    }
    Ok(())
}

fn show(node: &str, pod: &PodSummary) -> anyhow::Result<()> {
    let PodSummary {
        name,
        runs,
        address,
        enter,
    } = pod;
    let address = address
        .as_deref()
        .unwrap_or(if *runs { "the node's" } else { "" });
    let enter = enter.as_deref().map(|enter| format!("enter: {enter}"));
    let end = enter.unwrap_or_else(|| if *runs { "" } else { "has ended" }.to_owned());
    say(&format!("{node}  {name:<28}  {address:<15}  {end}"))
}

/// A node of a lab that runs.
fn visit(lab: &str, node: &str) -> anyhow::Result<Visit> {
    let (state, folder) = find(lab).with_context(|| format!("lab {lab:?} is not up"))?;
    let found = state.nodes.iter().find(|one| one.name == node);
    let found = found.with_context(|| format!("lab {lab:?} has no node {node:?}"))?;
    let key = folder.file_name().and_then(|name| name.to_str());
    Ok(Visit::node(
        found,
        key.context("the lab's folder has a name")?,
    )?)
}

fn port_pair(text: &str) -> Result<(u16, u16), String> {
    let pair = text
        .split_once(':')
        .and_then(|(node, pod)| Some((node.parse().ok()?, pod.parse().ok()?)));
    pair.ok_or_else(|| format!("want PORT:PORT, not {text:?}"))
}
