//! A pod's sandbox: its network namespace and the calls about it, in a runtime's order. Driven by `pod` and by tests that
//! want single calls. Must not: hide how a call ended.

use super::conflist::Conflist;
use super::invocation::{Call, Invocation, PodSpec, Running};
use super::{PLUGINS, RuntimeError};
use crate::command;
use crate::node::Node;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One pod's sandbox: its namespace, what identifies it, and the result of its ADD.
#[derive(Debug)]
pub struct Sandbox<'n> {
    node: &'n Node,
    conflist: Conflist,
    spec: PodSpec,
    container: String,
    netns: String,
    result: Option<Value>,
    calls: AtomicUsize,
}

/// Whether the namespace still exists when a runtime sends DEL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelWith {
    /// The first DEL: `CNI_NETNS` is its path.
    Netns,
    /// Later DELs: `CNI_NETNS` is empty.
    Nothing,
}

impl<'n> Sandbox<'n> {
    /// Makes the network namespace; no plugin is called.
    pub fn create(node: &'n Node, conflist: Conflist, spec: PodSpec) -> Result<Self, RuntimeError> {
        let id = random_hex()?;
        let netns = format!("/var/run/netns/cni-{}", &id[..32]);
        let make = || {
            let _ = fs::create_dir_all("/var/run/netns");
            let _ = fs::File::create(&netns);
            // The namespace outlives `true` because `unshare` binds it to the file.
            command::run(
                &[
                    "unshare",
                    &format!("--net={netns}"),
                    "--",
                    "ip",
                    "link",
                    "set",
                    "dev",
                    "lo",
                    "up",
                ],
                "",
            )
        };
        node.run(make)?.map_err(|source| RuntimeError::Netns {
            path: netns.clone(),
            source,
        })?;
        Ok(Self {
            node,
            conflist,
            spec,
            container: id,
            netns,
            result: None,
            calls: AtomicUsize::new(0),
        })
    }

    /// Where it lives.
    pub fn node(&self) -> &'n Node {
        self.node
    }

    /// The list its calls go through.
    pub fn conflist(&self) -> &Conflist {
        &self.conflist
    }

    /// The pod.
    pub fn spec(&self) -> &PodSpec {
        &self.spec
    }

    /// Its sandbox id.
    pub fn container(&self) -> &str {
        &self.container
    }

    /// The path of its network namespace inside the node.
    pub fn netns(&self) -> &str {
        &self.netns
    }

    /// The result of the last successful ADD.
    pub fn result(&self) -> Option<&Value> {
        self.result.as_ref()
    }

    /// Passes this result to later DELs, as a runtime that has forgotten that one succeeded does.
    pub fn recall(&mut self, result: Option<Value>) {
        self.result = result;
    }

    /// ADD through the whole list; returns every call, the last one is the failed one if one failed.
    pub fn add(&mut self) -> Result<Vec<Invocation>, RuntimeError> {
        let (mut previous, mut done) = (None, Vec::new());
        for program in self.programs() {
            let invocation = self.call("ADD", &program, DelWith::Netns, previous.as_ref())?;
            let failed = !invocation.succeeded();
            previous = invocation.json();
            done.push(invocation);
            if failed {
                return Ok(done);
            }
        }
        self.result = previous;
        Ok(done)
    }

    /// DEL through the whole list, backwards, up to the first failure. A runtime forgets the result of the ADD when
    /// all succeeded, and never passes it to plugins older than 0.4.0.
    pub fn del(&mut self, with: DelWith) -> Result<Vec<Invocation>, RuntimeError> {
        let previous = self
            .result
            .as_ref()
            .filter(|_| self.conflist.passes_result_to_del());
        let mut done: Vec<Invocation> = Vec::new();
        for program in self.programs().into_iter().rev() {
            done.push(self.call("DEL", &program, with, previous)?);
            if done.last().is_some_and(|last| !last.succeeded()) {
                return Ok(done);
            }
        }
        self.result = None;
        Ok(done)
    }

    /// Removes the network namespace, whose links the kernel then removes.
    pub fn remove_netns(&self) -> Result<(), RuntimeError> {
        let remove = || {
            command::run(&["umount", "--lazy", &self.netns], "")
                .and(command::run(&["rm", &self.netns], ""))
        };
        let removed = self.node.run(remove)?;
        removed.map(|_| ()).map_err(|source| RuntimeError::Netns {
            path: self.netns.clone(),
            source,
        })
    }

    /// Starts one call without waiting for its end, for those who kill it.
    pub fn begin(&self, verb: &'static str, program: &str) -> Result<Running, RuntimeError> {
        let call = self.prepare(verb, program, DelWith::Netns, None);
        call.start(self.node).map_err(|source| RuntimeError::Call {
            program: call.program.clone(),
            source,
        })
    }

    fn programs(&self) -> Vec<String> {
        self.conflist.programs().map(str::to_owned).collect()
    }

    fn call(
        &self,
        verb: &'static str,
        program: &str,
        with: DelWith,
        previous: Option<&Value>,
    ) -> Result<Invocation, RuntimeError> {
        let call = self.prepare(verb, program, with, previous);
        let finished = call.start(self.node).and_then(Running::finish);
        finished.map_err(|source| RuntimeError::Call {
            program: call.program.clone(),
            source,
        })
    }

    fn prepare(
        &self,
        verb: &'static str,
        program: &str,
        with: DelWith,
        previous: Option<&Value>,
    ) -> Call {
        let netns = if with == DelWith::Netns {
            self.netns.clone()
        } else {
            String::new()
        };
        let turn = self.calls.fetch_add(1, Ordering::Relaxed);
        let stdin = self.conflist.stdin(program, previous);
        let (container, pod) = (self.container.clone(), self.spec.clone());
        Call {
            verb,
            program: PathBuf::from(PLUGINS).join(program),
            container,
            netns,
            pod,
            turn,
            stdin,
        }
    }
}

/// 64 random hexadecimal digits, as container ids are.
fn random_hex() -> Result<String, RuntimeError> {
    let path = "/proc/sys/kernel/random/uuid";
    let read = || fs::read_to_string(path).map(|text| text.trim().replace('-', ""));
    let both = read().and_then(|first| Ok(first + &read()?));
    both.map_err(|source| RuntimeError::Open {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_ids_are_64_digits_and_differ() {
        let (a, b) = (random_hex().unwrap(), random_hex().unwrap());
        assert!(
            a.len() == 64 && a.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{a}"
        );
        assert_ne!(a, b);
    }
}
