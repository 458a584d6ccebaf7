//! The measurements of `make bench`, in one scene, interleaved, so that both programs meet the same machine.
//! Driven by `bin/bench`. Must not: judge a number.

pub mod contest;
pub mod report;
pub mod startup;

use crate::demo::boot;
use crate::progress::{self, Progress};
use anyhow::{Context, bail};
use contest::{Contest, Samples};
use lab::runtime::conflist::Conflist;
use lab::runtime::invocation::PodSpec;
use lab::runtime::pod::Pod;
use lab::scene::Scene;
use lab::task::Task;
use std::fs;
use std::path::{Path, PathBuf};

/// Pods that run while everything is measured: two ENIs of an m5.large full, the next pod on the third.
const PODS: usize = 20;
/// Rounds that warm caches and are not counted.
const WARM_UP: usize = 5;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The plugin.
    pub plugin: PathBuf,
    /// Directory of the other programs.
    pub programs: PathBuf,
    /// Rounds.
    pub runs: usize,
}

impl Wanted {
    /// Programs on a node start in its root directory.
    fn absolute(&self) -> anyhow::Result<Self> {
        let absolute = |path: &Path| {
            path.canonicalize()
                .with_context(|| format!("find {}", path.display()))
        };
        Ok(Self {
            plugin: absolute(&self.plugin)?,
            programs: absolute(&self.programs)?,
            runs: self.runs,
        })
    }
}

/// Resident memory of the daemon, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Warm, without pods.
    pub after_boot: u64,
    /// With `PODS` pods.
    pub with_pods: u64,
}

/// Measures and prints.
pub fn run(wanted: &Wanted) -> anyhow::Result<()> {
    progress::require_root()?;
    let wanted = &wanted.absolute()?;
    let progress = Progress::start()?;
    let size = fs::metadata(&wanted.plugin)
        .with_context(|| format!("look at {}", wanted.plugin.display()))?
        .len();
    let scene = Scene::builder("bench")
        .node("m5.large", "a")
        .program(&wanted.programs.join("vpc-lab"))
        .start()?;
    let (samples, memory) = measure(&progress, &scene, wanted)?;
    drop(scene);
    progress::print(&report::text(&samples, memory, size))?;
    progress.say("starts of the daemon by a real containerd".to_owned())?;
    progress::print(&startup::measure(wanted)?)
}

fn measure(
    progress: &Progress,
    scene: &Scene,
    wanted: &Wanted,
) -> anyhow::Result<(Samples, Memory)> {
    let node = scene.node(0);
    let conflist = boot::install(node, &wanted.plugin)?;
    node.install_plugin(&wanted.programs.join("minimal_wire"))?;
    // With the default of 30 s the pool would be empty after a few rounds and ADDs would wait for addresses.
    let extra = [("IP_COOLDOWN_PERIOD", "0")];
    let mut daemon = boot::start_daemon(scene, 0, (&wanted.programs.join("ipamd"), &extra))?;
    boot::await_warm(progress, scene, (0, &mut daemon))?;
    let after_boot = resident(&daemon)?;
    let pods = start_pods(scene, &conflist)?;
    let with_pods = resident(&daemon)?;
    progress.say(format!("{PODS} pods run on a node of type m5.large"))?;
    let contest = Contest::new(node, &conflist)?;
    for _ in 0..WARM_UP {
        contest.round(0)?;
    }
    let mut samples = Samples::default();
    for number in 0..wanted.runs {
        progress.check()?;
        samples.push(contest.round(number)?);
    }
    progress.say(format!(
        "{} rounds of ADD and DEL, each with both programs in alternating order",
        wanted.runs
    ))?;
    for pod in pods {
        pod.stop()?;
    }
    let memory = Memory {
        after_boot,
        with_pods,
    };
    Ok((samples, memory))
}

fn start_pods<'s>(scene: &'s Scene, conflist: &Conflist) -> anyhow::Result<Vec<Pod<'s>>> {
    let start = |number| {
        let spec = PodSpec {
            namespace: "bench".to_owned(),
            name: format!("resident-{number}"),
            uid: format!("uid-of-resident-{number}"),
        };
        Ok(Pod::start(scene.node(0), conflist.clone(), spec)?)
    };
    (1..=PODS).map(start).collect()
}

/// `VmRSS` of the daemon, in KiB.
fn resident(daemon: &Task) -> anyhow::Result<u64> {
    let path = PathBuf::from(format!("/proc/{}/status", daemon.pid()));
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    match vm_rss(&text) {
        Some(kib) => Ok(kib),
        None => bail!("no VmRSS in {}", path.display()),
    }
}

fn vm_rss(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_processs_status() {
        assert_eq!(
            vm_rss("Name:\tipamd\nVmRSS:\t   12345 kB\nVmSwap:\t 0 kB\n"),
            Some(12_345)
        );
        assert_eq!(vm_rss("Name:\tipamd\n"), None);
    }
}
