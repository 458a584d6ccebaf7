//! `vpc-lab`: a VPC with nodes on this machine, in the background. Must not: contain more than the command line; what it
//! does is in the library.

mod pods;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use lab::cluster::{Cluster, Sources};
use lab::containerd::show_boot_id;
use lab::node::init::node_init;
use lab::process::ProcessId;
use lab::reaper;
use lab::scene::{NodeSummary, PlaceSummary, Scene};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const STATE: &str = "lab.json";
const READY: &str = "ready";
/// How long a lab may take to clean up before it is killed.
const DOWN_LIMIT: Duration = Duration::from_secs(10);

/// A VPC with nodes on this machine.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Clone, clap::Args)]
struct Wanted {
    /// Name of the lab.
    #[arg(long, default_value = "default")]
    name: String,
    /// Number of nodes, alternating between two subnets.
    #[arg(long, default_value_t = 2)]
    nodes: usize,
    /// Instance type of the nodes.
    #[arg(long = "type", default_value = "m5.large")]
    instance_type: String,
    /// Run the DaemonSet on every node by a real containerd.
    #[arg(long)]
    containerd: bool,
    /// The sources that the image and the manifest come from, with `--containerd`.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))]
    repository: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start a lab in the background.
    Up(Wanted),
    /// End a lab.
    Down {
        /// Name of the lab.
        #[arg(long, default_value = "default")]
        name: String,
    },
    /// Show the labs that run.
    Status,
    /// Run a pod's sandbox, as kubelet does.
    Run(pods::Run),
    /// Stop and remove a pod's sandbox.
    Stop(pods::OnNode),
    /// Show the pods of a lab.
    Pods {
        /// Name of the lab.
        #[arg(long, default_value = "default")]
        lab: String,
    },
    /// Be a lab.
    #[command(hide = true)]
    Serve(Wanted),
    /// Be process 1 of a node.
    #[command(hide = true)]
    NodeInit {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        name: String,
    },
    /// Be the hook that lets a container see its node's boot id.
    #[command(hide = true)]
    ShowBootId,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    name: String,
    process: ProcessId,
    nodes: Vec<NodeSummary>,
    places: Vec<PlaceSummary>,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Action::Up(wanted) => up(&wanted),
        Action::Down { name } => down(&name),
        Action::Status => status(),
        Action::Serve(wanted) => serve(&wanted),
        Action::NodeInit { folder, name } => Ok(node_init(&folder, &name)?),
        Action::ShowBootId => Ok(show_boot_id()?),
        Action::Run(run) => pods::run(run),
        Action::Stop(on) => pods::stop(&on),
        Action::Pods { lab } => pods::list(&lab),
    }
}

fn up(wanted: &Wanted) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("a lab makes namespaces and links: run it as root");
    }
    if find(&wanted.name).is_some() {
        bail!("lab {:?} is up already", wanted.name);
    }
    let mut command = Command::new(std::env::current_exe().context("find this program")?);
    if wanted.containerd {
        command.args(["serve", "--containerd", "--repository"]);
        command.arg(
            wanted
                .repository
                .canonicalize()
                .context("find the sources")?,
        );
    } else {
        command.arg("serve");
    }
    let mut lab = command
        .args([
            "--name",
            &wanted.name,
            "--nodes",
            &wanted.nodes.to_string(),
            "--type",
            &wanted.instance_type,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("start the lab")?;
    let mut line = String::new();
    BufReader::new(lab.stdout.take().context("stdout is piped")?).read_line(&mut line)?;
    if line.trim_end() != READY {
        let _ = lab.wait();
        bail!("lab {:?} did not start: {}", wanted.name, line.trim_end());
    }
    status()
}

fn down(name: &str) -> anyhow::Result<()> {
    let root = reaper::default_root();
    if let Some((state, folder)) = find(name) {
        let pid = Pid::from_raw(i32::try_from(state.process.pid)?);
        match kill(pid, Signal::SIGTERM) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(errno).with_context(|| format!("end lab {name:?}")),
        }
        let started = Instant::now();
        // The first of its threads may be gone before the last, which holds the lock until then.
        let has_it = || reaper::running(&root).contains(&folder);
        while state.process.is_alive() || has_it() {
            if started.elapsed() > DOWN_LIMIT {
                let _ = kill(pid, Signal::SIGKILL);
            }
            if started.elapsed() > 2 * DOWN_LIMIT {
                bail!("process {pid} of lab {name:?} does not end");
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
    for folder in reaper::reap(&root)? {
        say(&format!(
            "removed what a dead lab left in {}",
            folder.display()
        ))?;
    }
    Ok(())
}

fn status() -> anyhow::Result<()> {
    let labs: Vec<State> = states().into_iter().map(|(state, _)| state).collect();
    if labs.is_empty() {
        return say("no lab is up");
    }
    for lab in labs {
        say(&format!("lab {} (process {})", lab.name, lab.process.pid))?;
        for node in lab.nodes {
            let NodeSummary {
                name,
                instance,
                address,
                public,
                init,
                ..
            } = node;
            let public = public.unwrap_or_default();
            say(&format!(
                "  {name}  {instance}  {address:<15}  public {public:<12}  enter: nsenter -t {init} -a"
            ))?;
        }
        for place in lab.places {
            let PlaceSummary {
                name,
                address,
                ranges,
                file,
            } = place;
            let ranges = ranges.join(" ");
            say(&format!(
                "  {name:<8}  host {address:<14}  all of {ranges:<32}  enter: nsenter --net={file}"
            ))?;
        }
    }
    Ok(())
}

/// Runs in the background until SIGTERM; says on stdout when it is ready, or why it is not.
fn serve(wanted: &Wanted) -> anyhow::Result<()> {
    // A terminal that closes must not end the lab; every thread inherits the mask.
    let _ = nix::unistd::setsid();
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    let (scene, cluster) = match start(wanted) {
        Ok(started) => started,
        Err(error) => {
            say(&format!("{error:#}"))?;
            return Err(error);
        }
    };
    say(READY)?;
    signals.wait()?;
    drop(cluster);
    drop(scene);
    Ok(())
}

fn start(wanted: &Wanted) -> anyhow::Result<(Scene, Option<Cluster>)> {
    let mut plan = Scene::builder(&wanted.name).outside();
    for index in 0..wanted.nodes {
        plan = plan.node(&wanted.instance_type, ["a", "b"][index % 2]);
    }
    let scene = plan.start()?;
    let cluster = wanted
        .containerd
        .then(|| {
            let this = std::env::current_exe().context("find this program")?;
            let programs = this.parent().context("this program has a directory")?;
            let repository = &wanted.repository;
            let raised = Cluster::raise(
                &scene,
                Sources {
                    repository,
                    programs,
                },
            );
            raised.map_err(anyhow::Error::from)
        })
        .transpose()?;
    let process = ProcessId::of(std::process::id()).context("read /proc")?;
    let state = State {
        name: wanted.name.clone(),
        process,
        nodes: scene.summary(),
        places: scene.places(),
    };
    let (path, text) = (scene.folder().join(STATE), serde_json::to_string(&state)?);
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok((scene, cluster))
}

fn find(name: &str) -> Option<(State, PathBuf)> {
    states().into_iter().find(|(state, _)| state.name == name)
}

/// Labs made by `vpc-lab up`; scenes of tests have no state file.
fn states() -> Vec<(State, PathBuf)> {
    let read =
        |folder: &Path| serde_json::from_str(&fs::read_to_string(folder.join(STATE)).ok()?).ok();
    let folders = reaper::running(&reaper::default_root());
    folders
        .into_iter()
        .filter_map(|folder| Some((read(&folder)?, folder)))
        .collect()
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
