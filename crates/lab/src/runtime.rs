//! A container runtime's side of CNI: makes a pod's network namespace and calls plugins as containerd 1.6 does.
//! Driven by tests and the demo. Must not: run containers, hide a plugin's failure.
//!
//! ADD goes through the list in order, DEL backwards. DEL comes with the namespace's path, then, when the namespace is
//! gone, once more with an empty path; `prevResult` is the result of an ADD that succeeded, absent otherwise and after
//! the first DEL that succeeded.

pub mod conflist;
pub mod invocation;
pub mod pod;
pub mod sandbox;

use crate::command::CommandError;
use crate::node::NodeError;
use std::io;
use std::path::PathBuf;

/// Where plugins are, as a node sees it.
pub const PLUGINS: &str = "/opt/cni/bin";

/// Why a runtime could not do its part.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The node could not be entered.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// No network namespace for the pod.
    #[error("make network namespace {path}")]
    Netns {
        /// Its path inside the node.
        path: String,
        /// Cause.
        #[source]
        source: CommandError,
    },
    /// The pod's namespace could not be opened.
    #[error("open network namespace {path}")]
    Open {
        /// Its path inside the node.
        path: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A plugin could not be started or waited for.
    #[error("call {program}")]
    Call {
        /// Program.
        program: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A plugin refused or crashed.
    #[error("plugin {program} failed ({verb}): {said}")]
    Plugin {
        /// Its type.
        program: String,
        /// What it was asked.
        verb: &'static str,
        /// What it said.
        said: String,
    },
    /// An ADD that succeeded without an IPv4 address in its result.
    #[error("result of pod {pod} has no IPv4 address: {result}")]
    NoAddress {
        /// Pod name.
        pod: String,
        /// The result.
        result: String,
    },
}
