//! A running pod: what RunPodSandbox, StopPodSandbox and RemovePodSandbox do, and traffic from inside.
//! Driven by tests and the demo. Must not: leave a namespace behind when an ADD fails.

use super::RuntimeError;
use super::conflist::Conflist;
use super::invocation::{Invocation, PodSpec};
use super::sandbox::{DelWith, Sandbox};
use crate::namespace::Namespaces;
use crate::node::{Node, NodeError};
use crate::ping::{Ping, PingError, Pinged, ping, sweep};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

/// A pod that has its address.
#[derive(Debug)]
pub struct Pod<'n> {
    sandbox: Sandbox<'n>,
    /// Its address.
    pub address: Ipv4Addr,
    /// Exec to exit of every plugin of the ADD.
    pub added: Vec<Invocation>,
    namespaces: Namespaces,
}

impl<'n> Pod<'n> {
    /// What RunPodSandbox does: namespace, ADD; after a failed ADD a DEL, and the namespace goes.
    pub fn start(node: &'n Node, conflist: Conflist, spec: PodSpec) -> Result<Self, RuntimeError> {
        let mut sandbox = Sandbox::create(node, conflist, spec)?;
        match wire(&mut sandbox) {
            Ok((address, added, namespaces)) => Ok(Self {
                sandbox,
                address,
                added,
                namespaces,
            }),
            Err(error) => {
                // The reason of the ADD is what the caller needs; a DEL that fails too adds nothing to it.
                let _ = sandbox.del(DelWith::Netns);
                sandbox.remove_netns()?;
                Err(error)
            }
        }
    }

    /// Its sandbox.
    pub fn sandbox(&self) -> &Sandbox<'n> {
        &self.sandbox
    }

    /// Its sandbox, for those who end it call by call.
    pub fn into_sandbox(self) -> Sandbox<'n> {
        // An open namespace would stay, with its links, when its file goes.
        drop(self.namespaces);
        self.sandbox
    }

    /// Its namespaces, to open sockets in.
    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// Runs the closure in the pod's network namespace; programs it starts are in it too.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, RuntimeError> {
        let entered = self.namespaces.run(work);
        let name = || {
            format!(
                "pod {} on {}",
                self.sandbox.spec().name,
                self.sandbox.node().name()
            )
        };
        entered.map_err(|source| {
            NodeError::Enter {
                name: name(),
                source,
            }
            .into()
        })
    }

    /// Sends echoes from the pod.
    pub fn ping(&self, question: Ping) -> Result<Pinged, PingError> {
        ping(&self.namespaces, question)
    }

    /// Sends one echo to each target at once; who answered in time.
    pub fn sweep(
        &self,
        targets: &[Ipv4Addr],
        timeout: Duration,
    ) -> Result<BTreeSet<Ipv4Addr>, PingError> {
        sweep(&self.namespaces, targets, timeout)
    }

    /// What StopPodSandbox and RemovePodSandbox do: DEL with the namespace, the namespace goes, DEL without it. Every
    /// call must succeed.
    pub fn stop(self) -> Result<Vec<Invocation>, RuntimeError> {
        let Self {
            mut sandbox,
            namespaces,
            ..
        } = self;
        // An open namespace would stay, with its links, when its file goes.
        drop(namespaces);
        let first = sandbox.del(DelWith::Netns)?;
        let mut calls = checked(sandbox.conflist(), first)?;
        sandbox.remove_netns()?;
        let again = sandbox.del(DelWith::Nothing)?;
        calls.extend(checked(sandbox.conflist(), again)?);
        Ok(calls)
    }
}

/// ADD, and what the pod's handle needs.
fn wire(
    sandbox: &mut Sandbox<'_>,
) -> Result<(Ipv4Addr, Vec<Invocation>, Namespaces), RuntimeError> {
    let added = sandbox.add()?;
    let mut outcomes = sandbox.conflist().programs().zip(&added);
    if let Some((program, failed)) = outcomes.find(|(_, call)| !call.succeeded()) {
        let (program, said) = (program.to_owned(), failed.failure());
        return Err(RuntimeError::Plugin {
            program,
            verb: "ADD",
            said,
        });
    }
    let address =
        sandbox
            .result()
            .and_then(first_address)
            .ok_or_else(|| RuntimeError::NoAddress {
                pod: sandbox.spec().name.clone(),
                result: format!("{:?}", sandbox.result()),
            })?;
    let open = |source| RuntimeError::Open {
        path: sandbox.netns().to_owned(),
        source,
    };
    let network = sandbox
        .node()
        .run(|| fs::File::open(sandbox.netns()))?
        .map_err(open)?;
    let namespaces = sandbox
        .node()
        .namespaces()
        .with_network(&network)
        .map_err(open)?;
    Ok((address, added, namespaces))
}

/// The calls of one DEL, unless one failed.
fn checked(conflist: &Conflist, calls: Vec<Invocation>) -> Result<Vec<Invocation>, RuntimeError> {
    match conflist
        .programs()
        .rev()
        .zip(&calls)
        .find(|(_, call)| !call.succeeded())
    {
        Some((program, failed)) => Err(RuntimeError::Plugin {
            program: program.to_owned(),
            verb: "DEL",
            said: failed.failure(),
        }),
        None => Ok(calls),
    }
}

/// The first IPv4 address of a result, of any version from 0.3.0 on; the older form has `ip4`.
fn first_address(result: &Value) -> Option<Ipv4Addr> {
    let old = result.pointer("/ip4/ip").into_iter();
    let new = result
        .get("ips")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|ip| ip.get("address"));
    new.chain(old)
        .filter_map(Value::as_str)
        .find_map(|text| text.split('/').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_address_is_found_in_results_of_every_version() {
        let ten = Some(Ipv4Addr::new(10, 0, 1, 5));
        assert_eq!(
            first_address(&json!({"ips": [{"version": "4", "address": "10.0.1.5/32"}]})),
            ten
        );
        assert_eq!(
            first_address(
                &json!({"ips": [{"address": "2001:db8::5/128"}, {"address": "10.0.1.5/32"}]})
            ),
            ten
        );
        assert_eq!(first_address(&json!({"ip4": {"ip": "10.0.1.5/32"}})), ten);
        assert_eq!(first_address(&json!({"interfaces": []})), None);
    }
}
