//! The network configuration that a runtime writes to stdin.
//! Must not: read stdin, or judge a prevResult beyond its shape (`previous` does).

use crate::error::{CniError, Code};
use crate::fields::Fields;
use crate::previous::{PreviousResult, UnusablePrevious};
use crate::version::CniVersion;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Largest MTU of a VPC, and the default.
pub const MTU_MAX: u32 = 9001;
/// Smallest MTU that upstream honours.
const MTU_MIN: u32 = 576;
/// Limits of `addTimeoutSeconds`: below kubelet's own limit for a sandbox, 240 s.
const ADD_TIMEOUT_SECS: std::ops::RangeInclusive<u64> = 5..=200;
const ADD_TIMEOUT_DEFAULT: Duration = Duration::from_secs(90);

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON at all.
    #[error("error unmarshall network config: {0}")]
    NotJson(serde_json::Error),
    /// JSON, but not an object.
    #[error("error unmarshall network config: it is not an object")]
    NotAnObject,
    /// No `name`.
    #[error("missing network name")]
    MissingName,
    /// A `name` with characters that the specification forbids.
    #[error("invalid characters found in network name {0:?}")]
    Name(String),
    /// A version that is not spoken.
    #[error("incompatible CNI versions")]
    Version(String),
    /// Another field.
    #[error("network config field {field} is {value}: {want}")]
    Field {
        /// Its name.
        field: &'static str,
        /// Its value, as JSON.
        value: String,
        /// What would be accepted.
        want: &'static str,
    },
}

/// Where the plugin's log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// The runtime's journal.
    Stderr,
    /// Appended to a file.
    File(PathBuf),
}

/// How much is logged, least important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything; also what an unknown level means.
    Debug,
    /// One line per call.
    Info,
    /// Calls that went on despite an error.
    Warn,
    /// Calls that failed.
    Error,
    /// Nothing: no call is fatal to the node.
    Fatal,
}

/// The network configuration, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Version to answer in.
    pub version: CniVersion,
    /// Name of the network; part of an attachment's key.
    pub network: String,
    /// Beginning of the host link's name, at most 4 bytes.
    pub veth_prefix: String,
    /// MTU of the pod's links, 576 to 9001.
    pub mtu: u32,
    /// Where to log.
    pub log_target: LogTarget,
    /// How much to log.
    pub log_level: LogLevel,
    /// How long an ADD may take.
    pub add_timeout: Duration,
    /// The pod's annotations, handed over by the runtime, ask for an interface on every network card.
    pub wants_every_card: bool,
    /// What ADD answered, when the runtime kept it. Unusable ones are an error of the value, not of the configuration:
    /// they must not keep a pod from being deleted.
    pub previous: Option<Result<PreviousResult, UnusablePrevious>>,
}

/// A configuration of which only the JSON has been read.
#[derive(Debug)]
pub struct Document(Value);

impl Document {
    /// Reads the JSON object.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let value: Value = serde_json::from_slice(bytes).map_err(ConfigError::NotJson)?;
        if value.is_object() {
            Ok(Self(value))
        } else {
            Err(ConfigError::NotAnObject)
        }
    }

    fn fields(&self) -> Fields<'_> {
        Fields::of(&self.0).expect("checked in parse")
    }

    /// The network's name: letters, digits, `_`, `.`, `-`, beginning with a letter or digit.
    pub fn network(&self) -> Result<&str, ConfigError> {
        match self.text("name", "a text")? {
            None | Some("") => Err(ConfigError::MissingName),
            Some(name) if is_name(name) => Ok(name),
            Some(name) => Err(ConfigError::Name(name.to_owned())),
        }
    }

    /// The version to answer in; absent is 0.1.0.
    pub fn version(&self) -> Result<CniVersion, ConfigError> {
        let text = self.text("cniVersion", "a text")?.unwrap_or_default();
        CniVersion::parse(text).ok_or_else(|| ConfigError::Version(text.to_owned()))
    }

    /// Everything, for ADD and DEL.
    pub fn network_config(&self) -> Result<NetworkConfig, ConfigError> {
        let level = self.text("pluginLogLevel", "a text")?.unwrap_or_default();
        Ok(NetworkConfig {
            version: self.version()?,
            network: self.network()?.to_owned(),
            veth_prefix: self.veth_prefix()?,
            mtu: self.mtu()?,
            log_target: self.log_target()?,
            log_level: log_level(level),
            add_timeout: self.add_timeout()?,
            wants_every_card: self.wants_every_card(),
            previous: self.fields().get("prevResult").map(PreviousResult::parse),
        })
    }

    fn veth_prefix(&self) -> Result<String, ConfigError> {
        const FIELD: &str = "vethPrefix";
        let prefix = self.text(FIELD, "a text")?.unwrap_or("eni");
        if prefix.len() > 4 {
            return Err(self.wrong(FIELD, "conf.VethPrefix can be at most 4 characters long"));
        }
        if prefix
            .chars()
            .any(|c| c == '/' || c == ':' || c.is_whitespace() || c.is_control())
        {
            return Err(self.wrong(
                FIELD,
                "the kernel allows no '/', ':', blank or control character in a link's name",
            ));
        }
        Ok(prefix.to_owned())
    }

    /// Upstream reads a text and chained plugins of others write a number: both are accepted. What is no integer or out
    /// of range means the default, as upstream has it.
    fn mtu(&self) -> Result<u32, ConfigError> {
        let number = match self.fields().get("mtu") {
            None => None,
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => return Err(self.wrong("mtu", "a text or a number is wanted")),
        };
        let in_range = |mtu: &u32| (MTU_MIN..=MTU_MAX).contains(mtu);
        Ok(number
            .and_then(|mtu| u32::try_from(mtu).ok())
            .filter(in_range)
            .unwrap_or(MTU_MAX))
    }

    fn log_target(&self) -> Result<LogTarget, ConfigError> {
        const FIELD: &str = "pluginLogFile";
        match self.text(FIELD, "a text")? {
            None | Some("" | "stderr") => Ok(LogTarget::Stderr),
            Some("stdout") => Err(self.wrong(
                FIELD,
                "stdout carries the CNI result; name a file or stderr",
            )),
            Some(path) => Ok(LogTarget::File(path.into())),
        }
    }

    fn add_timeout(&self) -> Result<Duration, ConfigError> {
        const FIELD: &str = "addTimeoutSeconds";
        let secs = match self.fields().get(FIELD) {
            None => return Ok(ADD_TIMEOUT_DEFAULT),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        secs.filter(|secs| ADD_TIMEOUT_SECS.contains(secs))
            .map(Duration::from_secs)
            .ok_or_else(|| self.wrong(FIELD, "a whole number of seconds from 5 to 200 is wanted"))
    }

    /// Any other value of the annotation means nothing, as upstream has it.
    fn wants_every_card(&self) -> bool {
        let runtime = self.fields().get("runtimeConfig");
        let annotations =
            runtime.and_then(|runtime| runtime.get("io.kubernetes.cri.pod-annotations"));
        let card_choice =
            annotations.and_then(|annotations| annotations.get("k8s.amazonaws.com/nicConfig"));
        card_choice.and_then(Value::as_str) == Some("multi-nic-attachment")
    }

    fn text(&self, field: &'static str, want: &'static str) -> Result<Option<&str>, ConfigError> {
        self.fields()
            .text(field)
            .map_err(|_| self.wrong(field, want))
    }

    fn wrong(&self, field: &'static str, want: &'static str) -> ConfigError {
        let value = self
            .fields()
            .get(field)
            .map(Value::to_string)
            .unwrap_or_default();
        ConfigError::Field {
            field,
            value: value.chars().take(100).collect(),
            want,
        }
    }
}

impl From<ConfigError> for CniError {
    fn from(error: ConfigError) -> Self {
        let msg = error.to_string();
        match error {
            ConfigError::NotJson(_) | ConfigError::NotAnObject => Self::new(Code::Decode, msg),
            ConfigError::MissingName | ConfigError::Name(_) | ConfigError::Field { .. } => {
                Self::new(Code::Config, msg)
            }
            ConfigError::Version(version) => {
                let spoken = CniVersion::ALL
                    .map(|version| format!("\"{version}\""))
                    .join(" ");
                let details = format!("config is {version:?}, plugin supports [{spoken}]");
                Self::new(Code::IncompatibleVersion, msg).with_details(details)
            }
        }
    }
}

/// What the specification allows as a network name or container id.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn log_level(text: &str) -> LogLevel {
    match text.to_ascii_lowercase().as_str() {
        "info" => LogLevel::Info,
        "warn" => LogLevel::Warn,
        "error" => LogLevel::Error,
        "fatal" => LogLevel::Fatal,
        _ => LogLevel::Debug,
    }
}

#[cfg(test)]
mod tests;
