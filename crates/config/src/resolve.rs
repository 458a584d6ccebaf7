//! From a map of raw values to a [`Config`], with every refusal and fallback at once. Must not: read the process's
//! environment or stop at the first bad value.

use crate::installed::InstalledSettings;
use crate::process::{LogFile, LogLevel, ProcessSettings};
use crate::variable::{Effect, OnBad, UNBOUNDED, Value, Variable};
use crate::{cluster, eni, host, installed, pool, process};
use ipnetwork::Ipv4Network;
use model::settings::{Mode, NodeSettings, RandomizeSnat, Snat, WarmTargets};
use model::time::Duration;
use std::collections::BTreeMap;

/// Everything the daemon is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// For the node's machine. `max_pods` is not a variable: it stays at the default.
    pub node: NodeSettings,
    /// For the host's network.
    pub host: HostSettings,
    /// For what is installed on the host.
    pub installed: InstalledSettings,
    /// For the process.
    pub process: ProcessSettings,
}

/// What the host's network is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSettings {
    /// `AWS_VPC_ENI_MTU`, 576 to 9001.
    pub eni_mtu: u32,
    /// `AWS_VPC_CNI_NODE_PORT_SUPPORT`.
    pub node_port_support: bool,
    /// `AWS_VPC_K8S_CNI_CONNMARK`.
    pub connmark: u32,
    /// `ENI_MARK`: none of `connmark`'s bits; 0 is off.
    pub eni_mark: u32,
    /// `AWS_VPC_K8S_CNI_EXTERNALSNAT` and `AWS_VPC_K8S_CNI_RANDOMIZESNAT`.
    pub snat: Snat,
    /// `AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS`, without host bits.
    pub snat_excluded: Vec<Ipv4Network>,
    /// `AWS_EXTERNAL_SERVICE_CIDRS`, without host bits.
    pub external_services: Vec<Ipv4Network>,
    /// `AWS_VPC_K8S_CNI_VETHPREFIX`, 1 to 4 characters.
    pub veth_prefix: String,
    /// `DISABLE_TCP_EARLY_DEMUX`, the other way round.
    pub tcp_early_demux: bool,
}

/// A value that was replaced by another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value}: {why}; using {used:?}", value = shown(value))]
pub struct Fallback {
    /// The variable.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What is used instead.
    pub used: String,
    /// Why.
    pub why: String,
}

/// A value with which the daemon does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value}: {why}", value = shown(value))]
pub struct Refused {
    /// The variable.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// Why.
    pub why: String,
}

/// Every row of the table with the title of its part, in the order of the reference page.
pub fn tables() -> [(&'static str, &'static [Variable]); 6] {
    [
        ("Warm pool", pool::ROWS),
        ("Addresses and ENIs", eni::ROWS),
        ("Host", host::ROWS),
        ("Plugins and their configuration", installed::ROWS),
        ("Cluster", cluster::ROWS),
        ("Process", process::ROWS),
    ]
}

/// Reads all variables; names outside the table are left alone.
///
/// # Errors
/// All values that are refused, in the order of the table.
pub fn resolve(raw: &BTreeMap<String, String>) -> Result<(Config, Vec<Fallback>), Vec<Refused>> {
    let mut reader = Reader {
        raw,
        values: BTreeMap::new(),
        fallbacks: Vec::new(),
        refused: Vec::new(),
    };
    for row in tables().iter().flat_map(|(_, rows)| rows.iter()) {
        reader.read(row);
    }
    reader.cross_check();
    let config = reader.config();
    if reader.refused.is_empty() {
        Ok((config, reader.fallbacks))
    } else {
        Err(reader.refused)
    }
}

struct Reader<'a> {
    raw: &'a BTreeMap<String, String>,
    values: BTreeMap<&'static str, Value>,
    fallbacks: Vec<Fallback>,
    refused: Vec<Refused>,
}

impl Reader<'_> {
    fn read(&mut self, row: &Variable) {
        let raw = self.raw.get(row.name).map(String::as_str);
        let value = match row.parse(raw) {
            Ok(value) => value,
            Err(why) if row.on_bad == OnBad::Refused && raw != Some("") => {
                self.refuse(row, why);
                row.default_value()
            }
            Err(why) => {
                let used = row.fallback(raw);
                self.fall_back(row, used.to_owned(), why);
                row.parse(Some(used))
                    .unwrap_or_else(|_| row.default_value())
            }
        };
        if let Effect::OnlyDefault(what) = row.effect
            && value != row.default_value()
        {
            self.refuse(row, format!("{what}: not built yet"));
        }
        self.values.insert(row.name, value);
    }

    /// The rules between variables, and those of a part of a value.
    fn cross_check(&mut self) {
        let (_, dropped) = eni::additional_tags(self.text(&eni::ADDITIONAL_ENI_TAGS));
        for key in dropped {
            let why = format!("tag {key:?} is dropped: keys with k8s.amazonaws.com are reserved");
            self.fall_back(&eni::ADDITIONAL_ENI_TAGS, "the other tags".to_owned(), why);
        }
        for row in [&host::EXCLUDE_SNAT_CIDRS, &host::EXTERNAL_SERVICE_CIDRS] {
            for entry in host::ranges(self.text(row)).1 {
                let why = format!("{entry:?} is left out: want an IPv4 range like 10.0.0.0/8");
                self.fall_back(row, "the other ranges".to_owned(), why);
            }
        }
        self.keep_marks_apart();
        let set = self
            .raw
            .get(host::POD_MTU.name)
            .is_some_and(|text| !text.is_empty());
        let already = self.refused.iter().any(|r| r.name == host::POD_MTU.name);
        if set && !already && self.number(&host::POD_MTU) != self.number(&host::ENI_MTU) {
            let why = format!(
                "an MTU of pods other than {}'s: not built yet",
                host::ENI_MTU.name
            );
            self.refuse(&host::POD_MTU, why);
        }
        match self.policy_mode().as_str() {
            "strict" => {
                let why = "closing pods until their policies are known: not built yet".to_owned();
                self.refuse(&cluster::NETWORK_POLICY_ENFORCING_MODE, why);
            }
            "standard" => {
                let why = "calling the policy agent for each pod is not built yet".to_owned();
                let used = "the mode for the agent alone".to_owned();
                self.fall_back(&cluster::NETWORK_POLICY_ENFORCING_MODE, used, why);
            }
            // Nobody is to be called for a pod, and nobody is.
            _ => {}
        }
    }

    /// The mark of the primary ENI is upstream's and wins.
    fn keep_marks_apart(&mut self) {
        let (mark, field) = (self.number(&host::CONNMARK), self.number(&host::ENI_MARK));
        if mark & field == 0 {
            return;
        }
        self.values.insert(host::ENI_MARK.name, Value::Integer(0));
        let named = self.raw.contains_key(host::ENI_MARK.name);
        let why = format!(
            "{}={mark:#x} and {}={field:#x} have bits in common",
            host::CONNMARK.name,
            host::ENI_MARK.name
        );
        let (row, used) = if named {
            (&host::ENI_MARK, "0".to_owned())
        } else {
            (
                &host::CONNMARK,
                format!("{mark:#x} with {}=0", host::ENI_MARK.name),
            )
        };
        self.fall_back(row, used, why);
    }

    fn config(&self) -> Config {
        Config {
            node: self.node(),
            host: self.host(),
            installed: self.installed(),
            process: self.process(),
        }
    }

    fn node(&self) -> NodeSettings {
        let max_enis = self.number(&pool::MAX_ENI);
        NodeSettings {
            targets: WarmTargets {
                warm_eni: self.number(&pool::WARM_ENI_TARGET),
                warm_ip: self.number(&pool::WARM_IP_TARGET),
                minimum_ip: self.number(&pool::MINIMUM_IP_TARGET),
                warm_prefix: self.number(&pool::WARM_PREFIX_TARGET),
            },
            mode: Mode::Secondary,
            max_enis: (max_enis < u32::MAX).then_some(max_enis),
            cooldown: Duration::from_secs(u64::from(self.number(&pool::IP_COOLDOWN_PERIOD))),
            manage_untagged: self.switch(&eni::MANAGE_UNTAGGED_ENI),
            provisioning: !self.switch(&eni::DISABLE_PROVISIONING),
            cluster_name: self.text(&eni::CLUSTER_NAME).to_owned(),
            additional_tags: eni::additional_tags(self.text(&eni::ADDITIONAL_ENI_TAGS)).0,
            ..NodeSettings::default()
        }
    }

    fn host(&self) -> HostSettings {
        HostSettings {
            eni_mtu: self.number(&host::ENI_MTU),
            node_port_support: self.switch(&host::NODE_PORT_SUPPORT),
            connmark: self.number(&host::CONNMARK),
            eni_mark: self.number(&host::ENI_MARK),
            snat: self.snat(),
            snat_excluded: host::ranges(self.text(&host::EXCLUDE_SNAT_CIDRS)).0,
            external_services: host::ranges(self.text(&host::EXTERNAL_SERVICE_CIDRS)).0,
            veth_prefix: self.text(&host::VETH_PREFIX).to_owned(),
            tcp_early_demux: !self.switch(&host::DISABLE_TCP_EARLY_DEMUX),
        }
    }

    fn installed(&self) -> InstalledSettings {
        InstalledSettings {
            plugins: self.text(&installed::CNI_BIN_PATH).into(),
            network_configuration: self.text(&installed::CNI_CONFDIR_PATH).into(),
            plugin_log_file: self.text(&installed::PLUGIN_LOG_FILE).to_owned(),
            plugin_log_level: self.text(&installed::PLUGIN_LOG_LEVEL).to_owned(),
            enforcing_mode: self
                .text(&eni::POD_SECURITY_GROUP_ENFORCING_MODE)
                .to_owned(),
            bandwidth: self.switch(&installed::ENABLE_BANDWIDTH_PLUGIN),
            pods_without_ipv6: self.switch(&installed::DISABLE_POD_V6),
        }
    }

    fn snat(&self) -> Snat {
        if self.switch(&host::EXTERNAL_SNAT) {
            return Snat::External;
        }
        Snat::Node(match self.text(&host::RANDOMIZE_SNAT) {
            "none" => RandomizeSnat::None,
            "hashrandom" => RandomizeSnat::HashRandom,
            _ => RandomizeSnat::Prng,
        })
    }

    fn process(&self) -> ProcessSettings {
        let endpoint = |row| Some(self.text(row).to_owned()).filter(|url| !url.is_empty());
        ProcessSettings {
            log_level: LogLevel::of(self.text(&process::LOG_LEVEL)),
            log_file: LogFile::of(self.text(&process::LOG_FILE)),
            ec2_endpoint: endpoint(&process::EC2_ENDPOINT),
            imds_endpoint: endpoint(&process::IMDS_ENDPOINT),
            http_timeout: Duration::from_secs(u64::from(self.number(&process::HTTP_TIMEOUT))),
            backing_store: self.text(&eni::BACKING_STORE).into(),
            my_node_name: self.text(&cluster::MY_NODE_NAME).to_owned(),
            policy_mode: self.policy_mode(),
        }
    }

    fn policy_mode(&self) -> String {
        self.text(&cluster::NETWORK_POLICY_ENFORCING_MODE)
            .to_ascii_lowercase()
    }

    fn refuse(&mut self, row: &Variable, why: String) {
        self.refused.push(Refused {
            name: row.name,
            value: self.given(row),
            why,
        });
    }

    fn fall_back(&mut self, row: &Variable, used: String, why: String) {
        let used = if used == UNBOUNDED {
            "the instance type's limit".to_owned()
        } else {
            used
        };
        self.fallbacks.push(Fallback {
            name: row.name,
            value: self.given(row),
            used,
            why,
        });
    }

    fn given(&self, row: &Variable) -> String {
        self.raw.get(row.name).cloned().unwrap_or_default()
    }

    fn value(&self, row: &Variable) -> &Value {
        self.values
            .get(row.name)
            .expect("every row of every table was read")
    }

    fn switch(&self, row: &Variable) -> bool {
        matches!(self.value(row), Value::Bool(true))
    }

    /// Numbers above 2^32 - 1 are that: no count of addresses, ENIs or seconds comes near it.
    fn number(&self, row: &Variable) -> u32 {
        match self.value(row) {
            Value::Integer(number) => u32::try_from(*number).unwrap_or(u32::MAX),
            Value::Bool(_) | Value::Text(_) => unreachable!("{} is read as an integer", row.name),
        }
    }

    fn text(&self, row: &Variable) -> &str {
        match self.value(row) {
            Value::Text(text) => text,
            Value::Bool(_) | Value::Integer(_) => unreachable!("{} is read as text", row.name),
        }
    }
}

/// A value as a log line may carry it: cut, and without control characters.
fn shown(value: &str) -> String {
    value
        .chars()
        .take(100)
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
