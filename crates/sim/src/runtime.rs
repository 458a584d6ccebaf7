//! What kubelet and containerd know: pods, their sandboxes, and plugin processes on their way.
//! Must not: decide when things happen (`world::pods` does). Driven by: `world`.

use ipam::event::RequestId;
use model::pod::{PodKey, PodName};
use model::time::Instant;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A plugin process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// One pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its name.
    pub name: PodName,
    /// Whether it should run.
    pub wanted: bool,
    /// Its present sandbox.
    pub sandbox: Option<PodKey>,
    /// Whether that sandbox is wired.
    pub wired: bool,
}

/// What a plugin process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// ADD
    Add,
    /// DEL, and how many more follow.
    Del(u32),
}

/// What a plugin process was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// An address.
    Address(Ipv4Addr),
    /// DEL is done.
    Success,
    /// No.
    Refused,
    /// The daemon stops; the plugin asks again.
    Unavailable,
}

/// A plugin process.
#[derive(Debug, Clone)]
pub struct Client {
    /// For which pod.
    pub pod: usize,
    /// For which attachment.
    pub key: PodKey,
    /// ADD or DEL.
    pub verb: Verb,
    /// When it gives up.
    pub deadline: Instant,
    /// Its request, while the daemon has it.
    pub request: Option<RequestId>,
    /// When that reached the daemon.
    pub asked_at: Instant,
    /// The answer that is on its way to it.
    pub travelling: Option<Told>,
    /// The address it has read and is wiring.
    pub wiring: Option<Ipv4Addr>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Runtime {
    /// Every pod there is a name for.
    pub pods: Vec<Pod>,
    /// Plugin processes that live.
    pub clients: BTreeMap<ClientId, Client>,
    started: u64,
    sandboxes: u64,
}

impl Runtime {
    /// Names for pods; none is wanted yet.
    pub fn new(pods: u32) -> Self {
        let pod = |number| Pod {
            name: PodName {
                namespace: "default".into(),
                name: format!("pod-{number}"),
            },
            wanted: false,
            sandbox: None,
            wired: false,
        };
        Self {
            pods: (0..pods).map(pod).collect(),
            ..Self::default()
        }
    }

    /// A key nobody had before.
    pub fn new_sandbox(&mut self) -> PodKey {
        self.sandboxes += 1;
        PodKey {
            network: "aws-cni".into(),
            container: format!("sandbox-{}", self.sandboxes),
            interface: "eth0".into(),
        }
    }

    /// A plugin process starts.
    pub fn spawn(&mut self, pod: usize, key: &PodKey, verb: Verb, deadline: Instant) -> ClientId {
        self.started += 1;
        let id = ClientId(self.started);
        let client = Client {
            pod,
            key: key.clone(),
            verb,
            deadline,
            request: None,
            asked_at: Instant(0),
            travelling: None,
            wiring: None,
        };
        self.clients.insert(id, client);
        id
    }

    /// Pods for which a condition holds.
    pub fn pods_where(&self, condition: impl Fn(&Pod) -> bool) -> Vec<usize> {
        self.pods
            .iter()
            .enumerate()
            .filter(|(_, pod)| condition(pod))
            .map(|(number, _)| number)
            .collect()
    }

    /// Plugin processes for which a condition holds.
    pub fn clients_where(&self, condition: impl Fn(&Client) -> bool) -> Vec<ClientId> {
        self.clients
            .iter()
            .filter(|(_, client)| condition(client))
            .map(|(id, _)| *id)
            .collect()
    }

    /// The plugin process that has this request.
    pub fn asker(&self, request: RequestId) -> Option<ClientId> {
        self.clients
            .iter()
            .find(|(_, client)| client.request == Some(request))
            .map(|(id, _)| *id)
    }
}
