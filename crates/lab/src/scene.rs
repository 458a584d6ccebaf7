//! A whole small world for one test or demo: a VPC, nodes in it, the doors they talk to, the packets between them.
//! Driven by the end-to-end tests and `vpc-lab`. Must not: know the programs under test, name anything on the machine
//! but one folder below the directory for temporary files.
//!
//! Every scene has the same addresses (169.254.169.254, the same subnets): scenes never see each other.

mod account;
mod beyond;
pub mod builder;
mod summary;

pub use summary::{NodeSummary, PlaceSummary};

use crate::doors::Doors;
use crate::ec2::{Door, Held, Journal, Moment};
use crate::fabric::Fabric;
use crate::fabric::counters::Counters;
use crate::imds::Visits;
use crate::node::{EC2, Lease, Node, NodeError, Program};
use crate::outside::{Place, PlaceError};
use crate::ping::{Ping, PingError, Pinged, ping};
use crate::reaper::{Folder, FolderError};
use crate::task::Task;
use builder::{Boot, SceneBuilder};
use model::id::{InstanceId, SecurityGroupId, SubnetId};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};
use vpc::{Action, Answer, Caller, Request, Side, Vpc};

/// Why a scene could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// Its folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// One of its nodes.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A thread or a file of its own.
    #[error("start {what}")]
    Start {
        /// What.
        what: &'static str,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A node's links.
    #[error("plug node {node}")]
    Plug {
        /// Which.
        node: String,
        /// Cause.
        #[source]
        source: crate::fabric::LinkError,
    },
    /// EC2 refused to make the scene's network or instances.
    #[error("EC2 refuses {action}: {error}")]
    Refused {
        /// EC2's action.
        action: &'static str,
        /// Its error.
        error: String,
    },
    /// A network beyond the VPC.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A node names a subnet that the scene has not.
    #[error("the scene has no subnet {0:?}")]
    NoSubnet(String),
    /// The `vpc-lab` program, which is process 1 of every node, is not where it should be.
    #[error("no vpc-lab program beside {0}: build it first")]
    NoProgram(PathBuf),
}

/// One node of a scene.
#[derive(Debug)]
pub struct SceneNode {
    /// Its namespaces and processes.
    pub node: Node,
    /// Its instance.
    pub instance: InstanceId,
    /// What the primary link was configured with.
    pub lease: Lease,
}

/// A running scene; dropping it ends and removes everything.
pub struct Scene {
    name: String,
    nodes: Vec<SceneNode>,
    doors: Doors,
    fabric: Fabric,
    places: BTreeMap<Side, Place>,
    door: Door,
    subnets: Vec<(String, SubnetId)>,
    group: SecurityGroupId,
    evidence: PathBuf,
    region: String,
    boot: Boot,
    folder: Folder,
}

impl Scene {
    /// Begins a description; see [`SceneBuilder`].
    pub fn builder(name: &str) -> SceneBuilder {
        SceneBuilder::new(name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The nodes, in the order they were described.
    pub fn nodes(&self) -> &[SceneNode] {
        &self.nodes
    }

    /// The n-th node.
    pub fn node(&self, index: usize) -> &Node {
        &self.nodes[index].node
    }

    /// The account. Don't hold it while packets should flow.
    pub fn vpc(&self) -> MutexGuard<'_, Vpc> {
        self.door.vpc.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the account that no node does.
    pub fn request(&self, request: Request) -> Result<Answer, vpc::Error> {
        let now = (self.door.clock)();
        let answer = self.vpc().request(now, &Caller::Operator, request);
        self.fabric.settle();
        answer
    }

    /// Every EC2 call that nodes made.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.door.journal
    }

    /// Stops the next call of this action from the n-th node.
    pub fn hold(&self, index: usize, action: Action, moment: Moment) -> Held {
        let caller = Caller::Instance(self.nodes[index].instance.clone());
        self.door.gates.hold(caller, action, moment)
    }

    /// Every request to IMDS.
    pub fn visits(&self) -> &Arc<Visits> {
        &self.door.visits
    }

    /// What the fabric counted.
    pub fn counters(&self) -> Counters {
        self.fabric.counters()
    }

    /// The fabric.
    pub fn fabric(&self) -> &Fabric {
        &self.fabric
    }

    /// The lab's time, as the account sees it.
    pub fn now(&self) -> model::time::Instant {
        (self.door.clock)()
    }

    /// A subnet by the name it was described with.
    pub fn subnet(&self, name: &str) -> Option<&SubnetId> {
        self.subnets
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, id)| id)
    }

    /// The nodes' security group: it lets in what its members send.
    pub fn group(&self) -> &SecurityGroupId {
        &self.group
    }

    /// Where logs belong and where the lab leaves `ec2.jsonl`, `imds.jsonl` and `fabric.txt` when the scene ends.
    pub fn evidence(&self) -> &Path {
        &self.evidence
    }

    /// The scene's own folder, which goes with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What tells this scene from all others on the machine: the name of its folder.
    pub fn key(&self) -> &str {
        self.folder.name()
    }

    /// The `vpc-lab` program, which is process 1 of every node.
    pub fn lab_program(&self) -> &Path {
        &self.boot.program
    }

    /// Leaves the folder in place when the scene ends.
    pub fn keep_folder(&mut self) {
        self.folder.keep();
    }

    /// The environment of a program that runs on a node: where EC2 is, which node it is, a search path. Credentials
    /// come from IMDS.
    pub fn environment(&self, index: usize) -> Vec<(String, String)> {
        let name = self.node(index).name();
        [
            ("AWS_EC2_ENDPOINT", format!("http://{EC2}")),
            ("AWS_REGION", self.region.clone()),
            ("MY_NODE_NAME", name.to_owned()),
            ("HOSTNAME", name.to_owned()),
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Starts a program on a node; it is killed when the task is dropped, at the latest with the scene. `extra`
    /// variables win over [`Scene::environment`]; the log goes to the evidence.
    pub fn spawn(
        &self,
        index: usize,
        path: &Path,
        extra: &[(&str, &str)],
    ) -> Result<Task, SceneError> {
        self.spawn_under(index, &[], path, extra)
    }

    /// [`Scene::spawn`] of a program by another one that becomes it (`wrapper`: its name and arguments).
    pub fn spawn_under(
        &self,
        index: usize,
        wrapper: &[String],
        path: &Path,
        extra: &[(&str, &str)],
    ) -> Result<Task, SceneError> {
        let node = self.node(index);
        let mut environment = self.environment(index);
        environment.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
        environment.extend(
            extra
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let file = path
            .file_name()
            .map(|file| file.to_string_lossy().into_owned())
            .unwrap_or_default();
        let log = self.evidence.join(format!("{}-{file}.log", node.name()));
        let mut line = wrapper
            .iter()
            .map(OsString::from)
            .chain([path.as_os_str().to_owned()]);
        let program = Program {
            path: line.next().unwrap_or_default().into(),
            arguments: line.collect(),
            environment,
            log,
        };
        Ok(node.spawn(&program)?)
    }

    /// Ends everything on a node at once and starts it again: another boot id, an empty /run, the same /etc/cni, /opt/cni
    /// and /var; its ENIs are still attached.
    pub fn reboot(&mut self, index: usize) -> Result<(), SceneError> {
        let SceneNode {
            node,
            instance,
            lease,
        } = self.nodes.remove(index);
        self.unplug(&instance);
        let name = node.name().to_owned();
        drop(node);
        let booted = builder::boot(self, &name, (instance.clone(), lease));
        if booted.is_err() {
            self.unplug(&instance);
        }
        self.nodes.insert(index, booted?);
        Ok(())
    }

    /// Sends echoes from a node's own network namespace.
    pub fn ping(&self, index: usize, question: Ping) -> Result<Pinged, PingError> {
        ping(self.node(index).namespaces(), question)
    }

    fn unplug(&self, instance: &InstanceId) {
        self.doors.close(instance);
        self.fabric.remove(instance);
    }

    fn leave_evidence(&self) {
        let counters = self.counters();
        let mut text = String::new();
        for (eni, counted) in &counters.enis {
            text += &format!("{eni} {counted:?}\n");
        }
        for (side, counted) in &counters.sides {
            text += &format!("{side} {counted:?}\n");
        }
        for ((src, dst), echoes) in &counters.echoes {
            text += &format!("echo {src} -> {dst} {echoes:?}\n");
        }
        for ((src, dst, reason), count) in &counters.dropped {
            text += &format!("dropped {src} -> {dst} x{count}: {reason}\n");
        }
        // Evidence that can't be written must not hide why the scene ends.
        let _ = fs::write(self.evidence.join("fabric.txt"), text);
        let _ = fs::write(self.evidence.join("ec2.jsonl"), self.door.journal.lines());
        let _ = fs::write(self.evidence.join("imds.jsonl"), self.door.visits.lines());
    }
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scene")
            .field("name", &self.name)
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.leave_evidence();
        self.nodes
            .iter()
            .for_each(|node| self.unplug(&node.instance));
        self.nodes.clear();
    }
}
