//! The fixture with a real container runtime: nodes with containerd, the DaemonSet of the manifest on them, pods through
//! CRI. Driven by the tests in `containerd`. Must not: know the programs but by their image.

mod images;

pub use images::{Images, Release, images};

use crate::expect::eventually;
use crate::stage::{Stage, with_causes};
use lab::cri::CriError;
use lab::kubelet::daemon::{DaemonPod, Wanted};
use lab::kubelet::sandbox::{PodRequest, Sandbox};
use lab::kubelet::{Kubelet, KubeletError};
use lab::manifest::Manifest;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a node may take to have a network, on a loaded machine.
pub const READY_LIMIT: Duration = Duration::from_secs(60);
/// Ninety seconds of an ADD's life, sixty more, two looks and a loaded machine.
const SWEEP_LIMIT: Duration = Duration::from_secs(240);
/// How long an answer of the runtime may take when it is only asked how it is.
pub const STATUS_LIMIT: Duration = Duration::from_secs(10);

/// Nodes with container runtimes.
pub struct Cluster {
    // Before the scene, whose end takes everything.
    kubelets: Vec<Kubelet>,
    manifest: Manifest,
    numbers: AtomicU32,
    stage: Stage,
}

impl Cluster {
    /// Raises nodes of these types, alternating between two subnets, with images loaded and nothing deployed.
    ///
    /// # Panics
    /// As [`Stage::new`], and without the machine's containerd, runc and reference plugins.
    #[track_caller]
    pub fn new(test: &str, types: &[&str], life: Duration) -> Self {
        let images = images();
        let stage = Stage::bare(test, life, |scene| {
            let subnets = ["a", "b"].into_iter().cycle();
            types
                .iter()
                .zip(subnets)
                .fold(scene, |scene, (kind, subnet)| scene.node(kind, subnet))
        });
        let manifest = Manifest::of_repository(&repository()).expect("the manifest is one");
        let first = [&images.pause, images.of(Release::This)];
        let kubelet = |index| match Kubelet::start(&stage, index, &first) {
            Ok(kubelet) => kubelet,
            Err(error) => panic!("start a kubelet: {}", with_causes(&error)),
        };
        let kubelets = (0..types.len()).map(kubelet).collect();
        Self {
            kubelets,
            manifest,
            numbers: AtomicU32::new(1),
            stage,
        }
    }

    /// The same with the DaemonSet on every node, each of which has a network for pods.
    #[track_caller]
    pub fn ready(test: &str, types: &[&str], extra: &[(&str, &str)]) -> (Self, Vec<DaemonPod>) {
        let cluster = Self::new(test, types, Duration::from_secs(480));
        let pods: Vec<_> = (0..types.len())
            .map(|index| cluster.deploy(index, Release::This, extra))
            .collect();
        (0..types.len()).for_each(|index| cluster.becomes_ready(index));
        (cluster, pods)
    }

    /// The scene.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// A node's kubelet.
    pub fn kubelet(&self, index: usize) -> &Kubelet {
        &self.kubelets[index]
    }

    /// Runs the DaemonSet's pod of a release on a node; variables win over the manifest's.
    #[track_caller]
    pub fn deploy(&self, index: usize, release: Release, extra: &[(&str, &str)]) -> DaemonPod {
        self.try_deploy(index, release, extra)
            .unwrap_or_else(|error| {
                panic!(
                    "run the DaemonSet's pod on {}: {}",
                    self.kubelets[index].node(),
                    with_causes(&error)
                )
            })
    }

    /// [`Cluster::deploy`] which may fail.
    pub fn try_deploy(
        &self,
        index: usize,
        release: Release,
        extra: &[(&str, &str)],
    ) -> Result<DaemonPod, KubeletError> {
        let image = images().of(release);
        if release == Release::Next {
            self.kubelets[index].load(image)?;
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let wanted = Wanted {
            set: &self.manifest.daemon_set,
            image: &image.name,
            number,
            extra,
        };
        DaemonPod::start(&self.kubelets[index], wanted)
    }

    /// Waits until a node's runtime has a network for pods.
    #[track_caller]
    pub fn becomes_ready(&self, index: usize) {
        let kubelet = &self.kubelets[index];
        eventually(
            &format!("{} has a network", kubelet.node()),
            READY_LIMIT,
            || match kubelet.cri().network_ready(STATUS_LIMIT) {
                Ok((true, _)) => Ok(()),
                Ok((false, why)) => Err(why),
                Err(error) => Err(error.to_string()),
            },
        );
    }

    /// Runs a pod's sandbox.
    #[track_caller]
    pub fn run(&self, index: usize, request: &PodRequest) -> Sandbox {
        self.kubelets[index].run(request).unwrap_or_else(|error| {
            panic!(
                "pod {} on {}: {}",
                request.name,
                self.kubelets[index].node(),
                with_causes(&error)
            )
        })
    }

    /// Stops and removes a sandbox.
    #[track_caller]
    pub fn delete(&self, sandbox: &Sandbox) {
        succeed("delete", sandbox, sandbox.delete());
    }

    /// Ends a node's container runtime by a signal and starts it again.
    #[track_caller]
    pub fn restart_runtime(&mut self, index: usize, signal: Signal) {
        let done = self.kubelets[index].restart_runtime(&self.stage, index, signal);
        done.unwrap_or_else(|error| panic!("restart containerd: {}", with_causes(&error)));
    }

    /// Ends everything on a node at once and starts it again: kubelet and runtime too.
    #[track_caller]
    pub fn reboot(&mut self, index: usize) {
        self.stage
            .reboot(index)
            .unwrap_or_else(|error| panic!("reboot: {}", with_causes(&error)));
        self.kubelets[index] = Kubelet::start(&self.stage, index, &[])
            .unwrap_or_else(|error| panic!("{}", with_causes(&error)));
    }

    /// Who holds what on a node, by the daemon's checkpoint: address by sandbox id.
    pub fn held(&self, index: usize) -> BTreeMap<String, Ipv4Addr> {
        let path = self.stage.node(index).root().join("run/aws-node/ipam.json");
        let text = fs::read_to_string(path).unwrap_or_default();
        let checkpoint: Value = serde_json::from_str(&text).unwrap_or_default();
        let entries = checkpoint["allocations"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let holder = |entry: &Value| {
            let address = entry["ipv4"].as_str()?.parse().ok()?;
            Some((entry["containerID"].as_str()?.to_owned(), address))
        };
        entries.iter().filter_map(holder).collect()
    }

    /// Waits until these sandboxes, and nobody else, hold addresses on a node.
    #[track_caller]
    pub fn holds_exactly(&self, index: usize, sandboxes: &[&Sandbox]) {
        self.comes_to_hold(index, sandboxes, READY_LIMIT);
    }

    /// The same when DELs may have come while the daemon was down: it looks twice for the links of allocations that are
    /// older than any ADD can wait.
    #[track_caller]
    pub fn holds_exactly_after_a_sweep(&self, index: usize, sandboxes: &[&Sandbox]) {
        self.comes_to_hold(index, sandboxes, SWEEP_LIMIT);
    }

    #[track_caller]
    fn comes_to_hold(&self, index: usize, sandboxes: &[&Sandbox], within: Duration) {
        let wanted: BTreeMap<String, Ipv4Addr> = sandboxes
            .iter()
            .map(|sandbox| (sandbox.id.clone(), sandbox.ip()))
            .collect();
        eventually("as many held addresses as live sandboxes", within, || {
            let held = self.held(index);
            if held == wanted { Ok(()) } else { Err(held) }
        });
    }
}

/// Fails with the runtime's words when a call about a sandbox did.
#[track_caller]
pub fn succeed(what: &str, sandbox: &Sandbox, result: Result<(), CriError>) {
    let name = &sandbox.request.name;
    result.unwrap_or_else(|error| {
        panic!(
            "{what} pod {name} ({}): {}",
            sandbox.id,
            with_causes(&error)
        )
    });
}

/// Comes back when this much time has passed since then: for what must hold that long.
pub fn endures(since: Instant, long: Duration) {
    while let Some(rest) = long
        .checked_sub(since.elapsed())
        .filter(|rest| !rest.is_zero())
    {
        // It may come back early.
        std::thread::park_timeout(rest);
    }
}

/// The repository's root.
pub fn repository() -> std::path::PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize()
        .expect("the sources are where they were built")
}
