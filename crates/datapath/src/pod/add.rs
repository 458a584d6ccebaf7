//! Makes a pod's link and wires both ends; whatever fails, nothing of this call is left behind.
//! Must not: run beside another ADD for the same sandbox (the runtime sees to that), touch links that are no veth.
//! Driven by: `cni-plugin::wire`, on its only thread.

use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use model::card::RouteTable;
use model::mac::Mac;
use netlink::{Namespace, Request, Response, Socket};
use nix::errno::Errno;

use super::{PodWiring, Wired, rule_from};
use crate::apply::{Changes, Failure, apply};
use crate::diff::Change;
use crate::encode::{self, Pair};
use crate::error::ApplyError;
use crate::value::{Link, LinkKind};
use crate::{names, observe, sysctl, undo};

/// How often names found taken are cleared; a namespace that is being torn down can be in the way twice.
const ATTEMPTS: usize = 3;
/// More rules for one source than anybody left behind.
const STALE_RULES_MAX: usize = 64;

/// Wires a pod into `netns` from the calling thread's namespace, which is the host's. A link that already has the
/// pod's host name (an earlier ADD of this sandbox, or another sandbox of the same pod) is replaced.
pub fn apply_add(wiring: &PodWiring, netns: &Namespace) -> Result<Wired, ApplyError> {
    let mut job = Job::new(wiring, netns)?;
    match job.run() {
        Ok(wired) => Ok(wired),
        Err(cause) => Err(match job.undo() {
            Ok(()) => cause,
            Err(left) => ApplyError::NotUndone {
                cause: Box::new(cause),
                left: left.chain(),
            },
        }),
    }
}

struct Job<'a> {
    wiring: &'a PodWiring,
    netns: &'a Namespace,
    host: Socket,
    pod: Socket,
    host_name: String,
    host_mac: Mac,
    /// What was done on the host beside the link itself.
    done: Vec<Change>,
}

/// Indices of a pair, each in its own namespace.
struct Ends {
    host: u32,
    pod: u32,
}

impl<'a> Job<'a> {
    fn new(wiring: &'a PodWiring, netns: &'a Namespace) -> Result<Self, ApplyError> {
        let host_name = wiring.host_interface();
        names::check(&host_name)?;
        names::check(&wiring.container_ifname)?;
        check(wiring.address)?;
        if Namespace::current()?.identity() == netns.identity() {
            return Err(ApplyError::HostNamespace {
                path: netns.path().into(),
            });
        }
        let (host, pod) = (observe::open()?, netns.socket_in()?);
        Ok(Self {
            wiring,
            netns,
            host,
            pod,
            host_name,
            host_mac: random_mac(),
            done: Vec::new(),
        })
    }

    fn run(&mut self) -> Result<Wired, ApplyError> {
        let ends = self.make_pair()?;
        // Before the link goes up, else a router advertisement could still be heard.
        sysctl::ensure_host_veth(&self.host_name)?;
        self.forget_former_tables()?;
        apply(
            &mut self.pod,
            &self.wiring.pod_changes(ends.pod, self.host_mac),
        )?;
        self.apply_on_host(&self.wiring.host_changes(ends.host))?;
        self.await_carrier()?;
        Ok(Wired {
            host_interface: self.host_name.clone(),
            host_index: ends.host,
            host_mac: self.host_mac,
            container_index: ends.pod,
        })
    }

    fn make_pair(&mut self) -> Result<Ends, ApplyError> {
        let request = encode::pair(&Pair {
            host_name: &self.host_name,
            host_mac: self.host_mac,
            peer_name: &self.wiring.container_ifname,
            peer_namespace: self.netns.as_raw_fd(),
            mtu: self.wiring.mtu,
        });
        let attempt = format!(
            "make link {} with {} in the pod",
            self.host_name, self.wiring.container_ifname
        );
        let mut attempts = 1;
        loop {
            let Response { outcome, reply } = ask(&mut self.host, request.clone(), &attempt)?;
            match outcome {
                Ok(()) => return self.ends(reply.as_ref().and_then(observe::link)),
                Err(refusal) if refusal.errno == Errno::EEXIST && attempts < ATTEMPTS => {
                    self.clear_the_way()?
                }
                Err(refusal) => return Err(ApplyError::Refused { attempt, refusal }),
            }
            attempts += 1;
        }
    }

    /// The kernel echoes what it made since 6.2; before, the link must be looked up.
    fn ends(&mut self, echoed: Option<Link>) -> Result<Ends, ApplyError> {
        let known = |link: Link| {
            Some(Ends {
                host: link.index,
                pod: link.peer?,
            })
        };
        if let Some(ends) = echoed.and_then(known) {
            return Ok(ends);
        }
        let found = observe::link_named(&mut self.host, &self.host_name)?;
        found.and_then(known).ok_or_else(|| ApplyError::LinkUnseen {
            name: self.host_name.clone(),
        })
    }

    /// Removes the host link that has the pod's name, unless the name in the way is a foreign one in the pod.
    fn clear_the_way(&mut self) -> Result<(), ApplyError> {
        let stale = observe::link_named(&mut self.host, &self.host_name)?;
        let inside = observe::link_named(&mut self.pod, &self.wiring.container_ifname)?;
        let is_pair =
            |host: &Link, pod: &Link| host.peer == Some(pod.index) && pod.peer == Some(host.index);
        match (stale, inside) {
            (Some(stale), _) if stale.kind != LinkKind::Veth => {
                Err(ApplyError::ForeignLink { name: stale.name })
            }
            (stale, Some(inside))
                if !stale.as_ref().is_some_and(|stale| is_pair(stale, &inside)) =>
            {
                Err(ApplyError::InterfaceTaken {
                    name: inside.name,
                    path: self.netns.path().into(),
                })
            }
            (Some(stale), _) => self.remove_link(&stale),
            // Somebody else's removal was faster.
            (None, _) => Ok(()),
        }
    }

    /// Rules that send this address elsewhere would stay in front of the one we add: the first of equals wins.
    fn forget_former_tables(&mut self) -> Result<(), ApplyError> {
        let rule = rule_from(self.wiring.address, RouteTable::MAIN);
        let attempt = format!("remove rules for former uses of {}", self.wiring.address);
        for _ in 0..STALE_RULES_MAX {
            match ask(
                &mut self.host,
                encode::removal_in_any_table(&rule),
                &attempt,
            )?
            .outcome
            {
                Ok(()) => {}
                Err(refusal) if refusal.errno == Errno::ENOENT => break,
                Err(refusal) => return Err(ApplyError::Refused { attempt, refusal }),
            }
        }
        Ok(())
    }

    fn apply_on_host(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        match apply(&mut self.host, changes) {
            Ok(made) => {
                self.note(made);
                Ok(())
            }
            Err(Failure { error, done }) => {
                self.done.extend(done);
                Err(error)
            }
        }
    }

    /// The end that went up first got its carrier from the second, and until the kernel's link watch has run it drops
    /// what the pod sends, for as long as others hold the routing lock. Since 6.8 the kernel catches up when it is asked
    /// about one link (`linkwatch_sync_dev` in `rtnl_getlink`); before, the first packets of a pod may be lost.
    fn await_carrier(&mut self) -> Result<(), ApplyError> {
        observe::link_named(&mut self.pod, &self.wiring.container_ifname)?;
        Ok(())
    }

    fn note(&mut self, made: Changes) {
        self.done.extend(made.iter().cloned());
    }

    /// The link is known by its name *and* the MAC drawn for it: only what this call made is removed. The pod's end
    /// and everything on either end goes with it, its settings too.
    fn undo(&mut self) -> Result<(), ApplyError> {
        let mut back = undo::inverse(&self.done);
        back.retain(|change| !matches!(change, Change::Set { .. }));
        let rules_and_routes = apply(&mut self.host, &back).map_err(ApplyError::from);
        let link = observe::link_named(&mut self.host, &self.host_name)?;
        if let Some(link) = link.filter(|link| link.mac == Some(self.host_mac)) {
            self.remove_link(&link)?;
        }
        rules_and_routes.map(|_| ())
    }

    fn remove_link(&mut self, link: &Link) -> Result<(), ApplyError> {
        let attempt = format!("remove link {}", link.name);
        match ask(&mut self.host, encode::link_removal(link.index), &attempt)?.outcome {
            Err(refusal) if refusal.errno != Errno::ENODEV => {
                Err(ApplyError::Refused { attempt, refusal })
            }
            _ => Ok(()),
        }
    }
}

/// The kernel would route and rule these too, and the node would lose its own traffic to a pod.
fn check(address: Ipv4Addr) -> Result<(), ApplyError> {
    let special = address.is_unspecified() || address.is_broadcast() || address.is_multicast();
    if special || address.is_loopback() || address.is_link_local() {
        return Err(ApplyError::InvalidAddress { address });
    }
    Ok(())
}

fn ask(socket: &mut Socket, request: Request, attempt: &str) -> Result<Response, ApplyError> {
    socket.request(request).map_err(|source| ApplyError::Wire {
        attempt: attempt.into(),
        source,
    })
}

/// 46 random bits, unicast and locally administered. Two links with one address would need as many pods as no node has,
/// so existing links are not searched for it. The standard library's hash keys are the kernel's randomness.
fn random_mac() -> Mac {
    let [first, rest @ .., _, _] = RandomState::new().hash_one(()).to_ne_bytes();
    let [b, c, d, e, f] = rest;
    Mac([(first | 2) & 0xfe, b, c, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_belong_to_no_pod_are_refused() {
        for bad in [
            "0.0.0.0",
            "127.0.0.9",
            "169.254.169.254",
            "224.0.0.9",
            "255.255.255.255",
        ] {
            let refused = check(bad.parse().unwrap()).unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!("{bad} cannot be a pod's address")
            );
        }
        for good in ["10.0.1.121", "100.64.0.7", "172.16.0.1", "52.1.2.3"] {
            assert!(check(good.parse().unwrap()).is_ok(), "{good} was refused");
        }
    }

    #[test]
    fn host_addresses_are_local_unicast_and_differ() {
        let drawn: std::collections::BTreeSet<_> = (0..100).map(|_| random_mac()).collect();
        assert!(drawn.iter().all(|mac| mac.0[0] & 3 == 2), "{drawn:?}");
        assert_eq!(drawn.len(), 100);
    }
}
