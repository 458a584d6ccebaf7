//! The description of a scene and how it is made real, step by step. Driven by whoever wants a scene.
//! Must not: leave anything behind when a step fails (what was made is dropped).

use super::account::Account;
use super::{Scene, SceneError, SceneNode};
use crate::doors::{Doors, Listeners};
use crate::ec2::{Clock, Door};
use crate::fabric::{Fabric, Guest, Naming, udev_name};
use crate::node::{EC2, IMDS, Lease, Node};
use crate::outside::Place;
use crate::reaper::{Folder, default_root};
use ipnetwork::Ipv4Network;
use model::card::{DeviceIndex, NetworkCard};
use model::id::InstanceId;
use model::limits::InstanceLimits;
use model::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use vpc::{Answer, Caller, Request, RunInstances, Side};

/// The role whose credentials IMDS serves to the nodes.
const ROLE: &str = "node";

#[derive(Debug, Clone)]
pub(super) struct SubnetPlan {
    pub(super) name: String,
    pub(super) cidr: Ipv4Network,
    pub(super) zone: String,
}

#[derive(Debug, Clone)]
struct NodePlan {
    instance_type: String,
    subnet: String,
}

/// What a scene is to be. Without subnets it gets `a` (10.0.1.0/24 in us-west-2a) and `b` (10.0.2.0/24 in us-west-2b).
#[derive(Debug, Clone)]
pub struct SceneBuilder {
    name: String,
    seed: u64,
    pub(super) cidr: Ipv4Network,
    pub(super) more_cidrs: Vec<Ipv4Network>,
    pub(super) subnets: Vec<SubnetPlan>,
    nodes: Vec<NodePlan>,
    young_types: Vec<(String, InstanceLimits)>,
    pub(super) outside: bool,
    naming: Naming,
    root: PathBuf,
    evidence: Option<PathBuf>,
    program: Option<PathBuf>,
}

impl SceneBuilder {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            seed: 1,
            cidr: network([10, 0, 0, 0], 16),
            more_cidrs: Vec::new(),
            subnets: Vec::new(),
            nodes: Vec::new(),
            young_types: Vec::new(),
            outside: false,
            naming: Naming::Udev(Duration::ZERO),
            root: default_root(),
            evidence: None,
            program: None,
        }
    }

    /// Decides ids, MACs and addresses.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The VPC's range, 10.0.0.0/16 unless told.
    #[must_use]
    pub fn vpc(mut self, cidr: Ipv4Network) -> Self {
        self.cidr = cidr;
        self
    }

    /// Gives the VPC another range.
    #[must_use]
    pub fn also(mut self, cidr: Ipv4Network) -> Self {
        self.more_cidrs.push(cidr);
        self
    }

    /// Adds the networks beyond the VPC: the Internet, a peered VPC, premises that know the VPC's first range only, and
    /// a public address for each node.
    #[must_use]
    pub fn outside(mut self) -> Self {
        self.outside = true;
        self
    }

    /// Adds a subnet.
    #[must_use]
    pub fn subnet(mut self, name: &str, cidr: Ipv4Network, zone: &str) -> Self {
        self.subnets.push(SubnetPlan {
            name: name.to_owned(),
            cidr,
            zone: zone.to_owned(),
        });
        self
    }

    /// Adds a node of this type in the subnet of this name; they are called node-1, node-2 …
    #[must_use]
    pub fn node(mut self, instance_type: &str, subnet: &str) -> Self {
        self.nodes.push(NodePlan {
            instance_type: instance_type.to_owned(),
            subnet: subnet.to_owned(),
        });
        self
    }

    /// EC2 offers an instance type that is not in the built-in table.
    #[must_use]
    pub fn offers(mut self, instance_type: &str, limits: InstanceLimits) -> Self {
        self.young_types.push((instance_type.to_owned(), limits));
        self
    }

    /// How the nodes' udev treats hot-plugged links; renames at once unless told.
    #[must_use]
    pub fn naming(mut self, naming: Naming) -> Self {
        self.naming = naming;
        self
    }

    /// A folder that outlives the scene, for logs and the lab's own evidence.
    #[must_use]
    pub fn evidence(mut self, folder: &Path) -> Self {
        self.evidence = Some(folder.to_owned());
        self
    }

    /// The directory of lab folders, unless the default. Not below /run, of which each node has its own.
    #[must_use]
    pub fn root(mut self, root: &Path) -> Self {
        root.clone_into(&mut self.root);
        self
    }

    /// The `vpc-lab` program; found beside the running one unless told.
    #[must_use]
    pub fn program(mut self, vpc_lab: &Path) -> Self {
        self.program = Some(vpc_lab.to_owned());
        self
    }

    /// Makes it all. Needs root.
    pub fn start(mut self) -> Result<Scene, SceneError> {
        if self.subnets.is_empty() {
            self = self.subnet("a", network([10, 0, 1, 0], 24), "us-west-2a");
            self = self.subnet("b", network([10, 0, 2, 0], 24), "us-west-2b");
        }
        let program = self.program.clone().map_or_else(beside_this_program, Ok)?;
        let boot_with = Boot {
            program,
            naming: self.naming,
        };
        let folder = Folder::claim(&self.root, &self.name)?;
        let evidence = self
            .evidence
            .clone()
            .unwrap_or_else(|| folder.path().join("evidence"));
        fs::create_dir_all(&evidence).map_err(|source| SceneError::Start {
            what: "the evidence folder",
            source,
        })?;
        let mut account = Account::new(self.seed);
        for (name, limits) in &self.young_types {
            account.vpc.offer_type(name, limits.clone());
        }
        let (subnets, group) = account.make_network(&self)?;
        let door = Door::new(Arc::new(Mutex::new(account.vpc)), lab_clock());
        let start = |what| move |source| SceneError::Start { what, source };
        let fabric = Fabric::start(&door.vpc, &door.clock).map_err(start("the fabric"))?;
        let places = self.open_places(&fabric)?;
        let doors = Doors::start(door.clone()).map_err(start("the EC2 and IMDS doors"))?;
        let region = self
            .subnets
            .first()
            .map(|subnet| vpc::region_of(&subnet.zone).to_owned())
            .unwrap_or_default();
        let (name, nodes) = (self.name.clone(), Vec::new());
        let mut scene = Scene {
            name,
            nodes,
            doors,
            fabric,
            places,
            door,
            subnets,
            group,
            evidence,
            region,
            boot: boot_with,
            folder,
        };
        for (index, plan) in self.nodes.iter().enumerate() {
            let launched = self.launch(&scene, plan)?;
            let node = boot(&scene, &format!("node-{}", index + 1), launched)?;
            scene.nodes.push(node);
        }
        Ok(scene)
    }

    fn open_places(&self, fabric: &Fabric) -> Result<BTreeMap<Side, Place>, SceneError> {
        let wanted = Side::ALL.into_iter().filter(|_| self.outside);
        let open = |side| Ok((side, Place::open(side, fabric)?));
        wanted.map(open).collect()
    }

    /// RunInstances; returns the new instance and what its primary link is to be configured with.
    fn launch(&self, scene: &Scene, plan: &NodePlan) -> Result<(InstanceId, Lease), SceneError> {
        let subnet = scene
            .subnet(&plan.subnet)
            .ok_or_else(|| SceneError::NoSubnet(plan.subnet.clone()))?;
        let run = Request::RunInstances(RunInstances {
            instance_type: plan.instance_type.clone(),
            subnet: subnet.clone(),
            groups: vec![scene.group.clone()],
            private_address: None,
            role: Some(ROLE.to_owned()),
            tags: vpc::Tags::new(),
        });
        let action = run.action().name();
        let refused = |error: String| SceneError::Refused { action, error };
        let answer = scene.vpc().request(scene.now(), &Caller::Operator, run);
        let Answer::Instances(mut views) = answer.map_err(|error| refused(error.to_string()))?
        else {
            return Err(refused("an answer to another question".to_owned()));
        };
        let instance = views
            .pop()
            .ok_or_else(|| refused("no instance".to_owned()))?
            .instance;
        // Only an account with surroundings has public addresses to give.
        scene.vpc().associate_address(&instance.id);
        let range = self
            .subnets
            .iter()
            .find(|subnet| subnet.name == plan.subnet);
        let subnet = range
            .ok_or_else(|| SceneError::NoSubnet(plan.subnet.clone()))?
            .cidr;
        let resolver = Ipv4Addr::from_bits(self.cidr.network().to_bits() + 2);
        let lease = Lease {
            address: instance.private_address,
            subnet,
            resolver,
        };
        Ok((instance.id, lease))
    }
}

/// What every boot of a node needs.
#[derive(Debug)]
pub(super) struct Boot {
    pub(super) program: PathBuf,
    naming: Naming,
}

/// Starts a node, its doors and its links, in the order a machine boots. When a step fails, the caller lets go of doors
/// and links, or drops the scene.
pub(super) fn boot(
    scene: &Scene,
    name: &str,
    (instance, lease): (InstanceId, Lease),
) -> Result<SceneNode, SceneError> {
    let node = Node::start(
        &scene.boot.program,
        &scene.folder.path().join("nodes").join(name),
        name,
    )?;
    scene.folder.record(node.process())?;
    let listeners = Listeners {
        ec2: node.listen(EC2)?,
        imds: node.listen(IMDS)?,
    };
    scene.doors.open(&instance, listeners);
    let naming = scene.boot.naming;
    let guest = Guest {
        pid: node.process().pid,
        namespaces: Arc::clone(node.namespaces()),
        naming,
    };
    let plugged = scene.fabric.add(&instance, guest);
    plugged.map_err(|source| SceneError::Plug {
        node: name.to_owned(),
        source,
    })?;
    node.configure_primary(&udev_name(NetworkCard(0), DeviceIndex(0)), lease)?;
    Ok(SceneNode {
        node,
        instance,
        lease,
    })
}

/// Milliseconds since the lab started.
fn lab_clock() -> Clock {
    let started = std::time::Instant::now();
    Arc::new(move || Instant(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)))
}

/// `vpc-lab` itself, or the one that was built with this program (tests live one directory deeper).
fn beside_this_program() -> Result<PathBuf, SceneError> {
    let this = std::env::current_exe().map_err(|source| SceneError::Start {
        what: "the lab",
        source,
    })?;
    let candidates = this
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("vpc-lab"));
    let found = candidates.into_iter().find(|path| path.is_file());
    found.ok_or(SceneError::NoProgram(this))
}

fn network(base: [u8; 4], prefix: u8) -> Ipv4Network {
    Ipv4Network::new(base.into(), prefix).expect("a prefix length of at most 32")
}
