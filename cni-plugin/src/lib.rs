//! The CNI plugin `aws-cni`: one short-lived process per call that asks the node daemon and wires the pod.
//!
//! Owns: the order of an ADD (validate, ask, wire, answer; undo on failure) and of a DEL (never stop at an error).
//! Must not: choose addresses, know EC2 or Kubernetes, start a second thread or process, write to stdout (`cni::dispatch`
//! does). Driven by: the container runtime.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod add;
pub mod ask;
pub mod del;
pub mod log;
pub mod refusal;
pub mod wire;

use crate::ask::Daemon;
use crate::log::Line;
use crate::wire::Kernel;
use cni::dispatch::{Invocation, Plugin};
use cni::error::CniError;
use cni::result::AddResult;
use std::path::Path;
use std::time::Instant;

/// The plugin: a daemon to ask and a kernel to change.
#[derive(Debug)]
pub struct AwsCni<K> {
    daemon: Daemon,
    kernel: K,
}

impl<K: Kernel> AwsCni<K> {
    /// A plugin that asks `daemon` and wires in `kernel`.
    pub fn new(daemon: Daemon, kernel: K) -> Self {
        Self { daemon, kernel }
    }
}

impl<K: Kernel> Plugin for AwsCni<K> {
    fn about(&self) -> String {
        format!("AWS CNI {}", env!("CARGO_PKG_VERSION"))
    }

    fn add(&self, call: &Invocation, netns: &Path) -> Result<AddResult, CniError> {
        let began = Instant::now();
        let result = add::add(&self.daemon, &self.kernel, call, netns);
        Line::of_add(call, &result).write(&call.config, began.elapsed());
        result
    }

    fn del(&self, call: &Invocation) -> Result<(), CniError> {
        let began = Instant::now();
        let report = del::del(&self.daemon, &self.kernel, call);
        Line::of_del(call, &report).write(&call.config, began.elapsed());
        report.outcome
    }
}

#[cfg(test)]
mod tests;
