//! What the environment variables of this step mean, as values. Must not: read or parse them (`config` does).

use crate::time::Duration;
use std::collections::BTreeMap;

/// How many addresses to keep ready (ipamd.md §1.2, §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmTargets {
    /// `WARM_ENI_TARGET`: spare full ENIs.
    pub warm_eni: u32,
    /// `WARM_IP_TARGET`: free addresses to keep; 0 is off.
    pub warm_ip: u32,
    /// `MINIMUM_IP_TARGET`: floor on all addresses; 0 is off.
    pub minimum_ip: u32,
    /// `WARM_PREFIX_TARGET`: free prefixes to keep; only in prefix mode.
    pub warm_prefix: u32,
}

impl Default for WarmTargets {
    fn default() -> Self {
        Self {
            warm_eni: 1,
            warm_ip: 0,
            minimum_ip: 0,
            warm_prefix: 0,
        }
    }
}

impl WarmTargets {
    /// "IP targets defined" on card 0 (ipamd.md §4.1): they take precedence over the other two.
    pub fn ip_targets_defined(&self) -> bool {
        self.warm_ip > 0 || self.minimum_ip > 0
    }
}

/// What a slot of an ENI holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Secondary addresses, one /32 a slot.
    #[default]
    Secondary,
    /// Prefix delegation, one /28 a slot.
    Prefix,
}

/// Who translates the addresses of pods that talk to the world outside the VPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snat {
    /// This node: the pod's address becomes the node's own.
    Node(RandomizeSnat),
    /// Somebody behind it (`AWS_VPC_K8S_CNI_EXTERNALSNAT`): packets leave with the pod's address.
    External,
}

impl Default for Snat {
    fn default() -> Self {
        Self::Node(RandomizeSnat::Prng)
    }
}

/// `AWS_VPC_K8S_CNI_RANDOMIZESNAT`: how the node chooses the source port of a translated flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RandomizeSnat {
    /// A pseudo-random number.
    #[default]
    Prng,
    /// A hash of the flow.
    HashRandom,
    /// The pod's own port, when it is free.
    None,
}

/// What the node's machine is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// Warm pool.
    pub targets: WarmTargets,
    /// What a slot holds.
    pub mode: Mode,
    /// `MAX_ENI`: upper bound on ENIs; `None`: the instance type's limit alone.
    pub max_enis: Option<u32>,
    /// Pods the node may run; addresses beyond it are not asked for.
    pub max_pods: u32,
    /// `IP_COOLDOWN_PERIOD`.
    pub cooldown: Duration,
    /// `MANAGE_UNTAGGED_ENI`.
    pub manage_untagged: bool,
    /// `DISABLE_NETWORK_RESOURCE_PROVISIONING` turned around: whether EC2 may be changed at all.
    pub provisioning: bool,
    /// `CLUSTER_NAME`; empty is none.
    pub cluster_name: String,
    /// `ADDITIONAL_ENI_TAGS`, reserved keys removed.
    pub additional_tags: BTreeMap<String, String>,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            targets: WarmTargets::default(),
            mode: Mode::Secondary,
            max_enis: None,
            max_pods: 110,
            cooldown: Duration::from_secs(30),
            manage_untagged: true,
            provisioning: true,
            cluster_name: String::new(),
            additional_tags: BTreeMap::new(),
        }
    }
}
