//! One CNI call of this process: environment and stdin in, stdout and exit code out; the plugin is called in between.
//! The only place that touches stdin, stdout and the environment. Must not: know what a plugin does with a call.

use crate::args::PodArgs;
use crate::config::{Document, NetworkConfig};
use crate::environment::{Environment, Lookup, Verb};
use crate::error::{CniError, Code};
use crate::result::AddResult;
use crate::version::CniVersion;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// One ADD or DEL, everything parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The network configuration.
    pub config: NetworkConfig,
    /// CNI_ARGS
    pub args: PodArgs,
    /// CNI_CONTAINERID
    pub container: String,
    /// CNI_IFNAME
    pub ifname: String,
    /// CNI_NETNS; a DEL may have none.
    pub netns: Option<PathBuf>,
}

/// What a plugin does.
pub trait Plugin {
    /// Name and version, for a person who starts the plugin by hand.
    fn about(&self) -> String;
    /// Wires a pod whose namespace is at `netns`.
    fn add(&self, call: &Invocation, netns: &Path) -> Result<AddResult, CniError>;
    /// Removes what ADD made; succeeds when it is gone.
    fn del(&self, call: &Invocation) -> Result<(), CniError>;
}

/// What a call leaves behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// For the runtime.
    pub stdout: String,
    /// For people.
    pub stderr: String,
    /// Whether the exit code is 1.
    pub failed: bool,
}

/// Answers the call that this process was started for.
#[allow(
    clippy::disallowed_methods,
    reason = "CNI passes its arguments in the environment; this is where it is read"
)]
pub fn run(plugin: &impl Plugin) -> ExitCode {
    let outcome = answer(
        plugin,
        &|name| std::env::var_os(name),
        &mut std::io::stdin().lock(),
    );
    // A reader that has gone cannot be told anything; the exit code says that it was not answered.
    let told = write(std::io::stdout().lock(), &outcome.stdout).is_ok();
    let _ = write(std::io::stderr().lock(), &outcome.stderr);
    if outcome.failed || !told {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn write(mut stream: impl Write, text: &str) -> std::io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// Answers one call.
pub fn answer(plugin: &impl Plugin, lookup: &Lookup<'_>, stdin: &mut impl Read) -> Outcome {
    let command = lookup("CNI_COMMAND").unwrap_or_default();
    if command.is_empty() {
        let versions = CniVersion::ALL.map(CniVersion::as_str).join(", ");
        let stderr = format!(
            "{}\nCNI protocol versions supported: {versions}\n",
            plugin.about()
        );
        return Outcome {
            stderr,
            ..Outcome::default()
        };
    }
    match Verb::parse(&command.to_string_lossy())
        .and_then(|verb| dispatch(plugin, verb, lookup, stdin))
    {
        Ok(stdout) => Outcome {
            stdout,
            ..Outcome::default()
        },
        Err(error) => Outcome {
            stdout: error.to_json(),
            failed: true,
            ..Outcome::default()
        },
    }
}

fn dispatch(
    plugin: &impl Plugin,
    verb: Verb,
    lookup: &Lookup<'_>,
    stdin: &mut impl Read,
) -> Result<String, CniError> {
    if verb == Verb::Version {
        return Ok(version_info());
    }
    let environment = Environment::read(verb, lookup)?;
    let mut bytes = Vec::new();
    let read = stdin.read_to_end(&mut bytes);
    read.map_err(|error| CniError::new(Code::Io, format!("error reading from stdin: {error}")))?;
    let document = Document::parse(&bytes)?;
    document.network()?;
    environment.validate(verb)?;
    let version = document.version()?;
    match verb {
        Verb::Add => add(plugin, &document, environment),
        Verb::Del => del(plugin, &document, environment),
        // Nothing is verified, collected or reported yet: silent success, as upstream's plugin has it.
        Verb::Check => since(CniVersion::V0_4_0, version, "CHECK"),
        Verb::Gc => since(CniVersion::V1_1_0, version, "GC"),
        Verb::Status => since(CniVersion::V1_1_0, version, "STATUS"),
        Verb::Version => Ok(version_info()),
    }
}

fn add(
    plugin: &impl Plugin,
    document: &Document,
    environment: Environment,
) -> Result<String, CniError> {
    let (call, allows_own_netns) = invocation(document, environment)?;
    let missing = || {
        CniError::new(
            Code::Environment,
            "required env variables [CNI_NETNS] missing",
        )
    };
    let netns = call.netns.clone().ok_or_else(missing)?;
    // Before anything is made: wiring the host as if it were a pod would take the node off the network.
    if !allows_own_netns && is_own_netns(&netns) {
        return Err(same_namespace(&netns));
    }
    let result = plugin.add(&call, &netns)?;
    Ok(result.to_json(call.config.version))
}

fn del(
    plugin: &impl Plugin,
    document: &Document,
    environment: Environment,
) -> Result<String, CniError> {
    let (call, allows_own_netns) = invocation(document, environment)?;
    plugin.del(&call)?;
    match &call.netns {
        Some(netns) if !allows_own_netns && is_own_netns(netns) => Err(same_namespace(netns)),
        _ => Ok(String::new()),
    }
}

fn invocation(
    document: &Document,
    environment: Environment,
) -> Result<(Invocation, bool), CniError> {
    let Environment {
        container,
        ifname,
        netns,
        args,
        allows_own_netns,
    } = environment;
    let config = document.network_config()?;
    let args = PodArgs::parse(&args)?;
    Ok((
        Invocation {
            config,
            args,
            container,
            ifname,
            netns,
        },
        allows_own_netns,
    ))
}

fn since(first: CniVersion, asked: CniVersion, verb: &str) -> Result<String, CniError> {
    if asked >= first {
        return Ok(String::new());
    }
    Err(CniError::new(
        Code::IncompatibleVersion,
        format!("config version does not allow {verb}"),
    ))
}

fn version_info() -> String {
    let supported = CniVersion::ALL
        .map(|version| format!("\"{version}\""))
        .join(",");
    format!(
        "{{\"cniVersion\":\"{}\",\"supportedVersions\":[{supported}]}}\n",
        CniVersion::V1_1_0
    )
}

/// A path that cannot be looked at is not ours; the plugin says what is wrong with it.
fn is_own_netns(path: &Path) -> bool {
    let identity = |path: &Path| {
        std::fs::metadata(path)
            .map(|inode| (inode.dev(), inode.ino()))
            .ok()
    };
    let own = identity(Path::new("/proc/self/ns/net"));
    own.is_some() && own == identity(path)
}

fn same_namespace(netns: &Path) -> CniError {
    CniError::new(
        Code::SameNamespace,
        "plugin's netns and netns from CNI_NETNS should not be the same",
    )
    .with_details(format!("CNI_NETNS is {}", netns.display()))
}

#[cfg(test)]
mod tests;
