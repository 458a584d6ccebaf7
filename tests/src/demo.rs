//! The demo: a VPC with two nodes, 40 pods, every pair of them, the Internet, and nothing left at the end. Driven by `bin/demo`.
//! Must not: reach around the plugin or the daemon to make something work.

pub mod account;
pub mod boot;
pub mod cleanup;
pub mod leftovers;
pub mod mesh;
pub mod roster;
pub mod sabotage;

use crate::evidence::Evidence;
use crate::progress::{self, Progress};
use boot::Programs;
use lab::runtime::conflist::Conflist;
use lab::scene::Scene;
use lab::task::Task;
use leftovers::Observed;
use roster::Member;
use sabotage::Break;
use std::collections::BTreeSet;
use std::path::Path;

/// Faults shown at the end; the progress lines count them all.
const SHOWN: usize = 12;

/// A node that waits for pods, beside its namespaces.
struct Ready {
    daemon: Task,
    conflist: Conflist,
    before: Observed,
}

/// Runs it all; returns what did not hold.
pub fn run(broken: Option<Break>) -> anyhow::Result<Vec<String>> {
    progress::require_root()?;
    let progress = Progress::start()?;
    let programs = Programs::beside_this_one()?;
    let evidence = Evidence::of("demo");
    match perform(&progress, (&programs, &evidence), broken) {
        Ok((faults, summary)) => {
            conclude(&faults, (&summary, evidence.folder()))?;
            Ok(faults)
        }
        Err(error) => {
            let folder = evidence.folder().display();
            Err(error.context(format!("given up, logs are in {folder}")))
        }
    }
}

fn perform(
    progress: &Progress,
    (programs, evidence): (&Programs, &Evidence),
    broken: Option<Break>,
) -> anyhow::Result<(Vec<String>, String)> {
    let scene = Scene::builder("demo")
        .outside()
        .node(roster::INSTANCE_TYPE, "a")
        .node(roster::INSTANCE_TYPE, "b")
        .evidence(evidence.folder())
        .program(&programs.lab)
        .start()?;
    let outside = cleanup::Outside::of(&scene);
    progress.say(format!(
        "a VPC with {} nodes in two subnets and an Internet gateway is up",
        scene.nodes().len()
    ))?;
    let acted = act(progress, &scene, (programs, broken));
    // What the plugin said is evidence too, however it went.
    scene
        .nodes()
        .iter()
        .for_each(|it| evidence.collect(&it.node));
    let (mut faults, summary) = acted?;
    drop(scene);
    faults.extend(outside.verify());
    progress.say("the nodes and the VPC are gone")?;
    Ok((faults, summary))
}

fn act(
    progress: &Progress,
    scene: &Scene,
    (programs, broken): (&Programs, Option<Break>),
) -> anyhow::Result<(Vec<String>, String)> {
    let mut ready = boot_all(progress, scene, programs)?;
    let members = start_all(progress, scene, &ready)?;
    let mut faults: Vec<String> = members.iter().filter_map(Member::misplaced).collect();
    faults.extend(on_one_eni(scene, &members));
    progress::print(&roster::table(&members))?;
    if let Some(what) = broken {
        sabotage::break_it(progress, scene, (what, &members))?;
    }
    let pings = mesh::ping_all(progress, scene, &members)?;
    faults.extend(pings.faults);
    let summary = format!(
        "demo: {} nodes, {} pods, {} pings, {} lost, ADD p50 {:.1} ms",
        scene.nodes().len(),
        members.len(),
        pings.sent,
        pings.lost,
        roster::add_p50(&members)
    );
    cleanup::delete(progress, members, broken)?;
    progress.say("all pods are deleted")?;
    faults.extend(verify(progress, scene, &mut ready)?);
    Ok((faults, summary))
}

fn boot_all(progress: &Progress, scene: &Scene, programs: &Programs) -> anyhow::Result<Vec<Ready>> {
    let mut ready = Vec::new();
    for index in 0..scene.nodes().len() {
        let before = leftovers::observe(scene.node(index))?;
        let conflist = boot::install(scene.node(index), &programs.plugin)?;
        let daemon = boot::start_daemon(scene, index, (&programs.daemon, &[]))?;
        ready.push(Ready {
            daemon,
            conflist,
            before,
        });
    }
    for (index, one) in ready.iter_mut().enumerate() {
        let addresses = boot::await_warm(progress, scene, (index, &mut one.daemon))?;
        progress.say(format!(
            "{}: ipamd is up, {addresses} warm addresses",
            scene.node(index).name()
        ))?;
    }
    Ok(ready)
}

fn start_all<'s>(
    progress: &Progress,
    scene: &'s Scene,
    ready: &[Ready],
) -> anyhow::Result<Vec<Member<'s>>> {
    let (churn, pods) = (roster::CHURN, roster::PODS);
    for (index, one) in ready.iter().enumerate() {
        roster::churn(progress, scene.node(index), &one.conflist)?;
        progress.say(format!(
            "{}: {churn} pods came and went; their addresses now cool for 30 s, so the {pods} pods to come need two ENIs",
            scene.node(index).name()
        ))?;
    }
    let mut members = Vec::new();
    for (index, one) in ready.iter().enumerate() {
        members.extend(roster::start(progress, scene, (index, &one.conflist))?);
        progress.say(format!("{}: {pods} pods run", scene.node(index).name()))?;
    }
    Ok(members)
}

/// Nodes whose pods are not on two ENIs: the pairs would then prove less than they should.
fn on_one_eni(scene: &Scene, members: &[Member<'_>]) -> Vec<String> {
    let enis = |index| -> BTreeSet<_> {
        let here = members.iter().filter(|member| member.node == index);
        here.map(|member| member.eni.index).collect()
    };
    let nodes = (0..scene.nodes().len()).filter(|index| enis(*index).len() != 2);
    nodes
        .map(|index| {
            format!(
                "the pods of {} are on {} ENIs instead of 2",
                scene.node(index).name(),
                enis(index).len()
            )
        })
        .collect()
}

fn verify(progress: &Progress, scene: &Scene, ready: &mut [Ready]) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for (index, one) in ready.iter_mut().enumerate() {
        let left = cleanup::verify_node(progress, scene, (index, &one.before))?;
        let verdict = match left.len() {
            0 => "no link, rule, route, namespace, process, allocation or surplus address is left"
                .to_owned(),
            count => format!("{count} things are LEFT"),
        };
        progress.say(format!("{}: {verdict}", scene.node(index).name()))?;
        faults.extend(left);
        faults.extend(cleanup::end_daemon(
            progress,
            scene,
            (index, &mut one.daemon),
        )?);
    }
    faults.extend(cleanup::verify_account(scene)?);
    Ok(faults)
}

fn conclude(faults: &[String], (summary, evidence): (&str, &Path)) -> anyhow::Result<()> {
    for fault in faults.iter().take(SHOWN) {
        progress::print(&format!("FAULT {fault}"))?;
    }
    if faults.len() > SHOWN {
        progress::print(&format!("… and {} more", faults.len() - SHOWN))?;
    }
    progress::print(summary)?;
    if !faults.is_empty() {
        progress::print(&format!(
            "demo: FAILED, faults: {}; logs are in {}",
            faults.len(),
            evidence.display()
        ))?;
    }
    Ok(())
}
