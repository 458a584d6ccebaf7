//! What one pod needs of the kernel, inside and on the host, in upstream's layout (datapath.md §2, §3.2). Pure.
//! Must not: know SNAT, other address families or branch ENIs. The hands are `pod::add`, `pod::del` and `pod::leftover`.

mod add;
mod del;
mod leftover;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use model::card::RouteTable;
use model::mac::Mac;
use model::pod::PodName;

pub use self::add::apply_add;
pub use self::del::{Deleted, apply_del, apply_del_of};
pub use self::leftover::{remove_leftovers, ruled};
use crate::diff::{Change, diff};
use crate::layout::{FROM_POD, POD_GATEWAY, TO_POD, egress_table, everything, host};
use crate::names;
use crate::value::{Address, Neighbour, Object, Protocol, Route, Rule, Scope, Setting};

/// What the daemon answered and the runtime asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodWiring {
    pub pod: PodName,
    /// Up to four characters, `eni` by default.
    pub veth_prefix: String,
    pub container_ifname: String,
    pub address: Ipv4Addr,
    /// Table of the ENI that owns the address; 0 and 1 mean main here.
    pub table: RouteTable,
    pub mtu: u32,
}

/// A wired pod, for the CNI result and the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wired {
    pub host_interface: String,
    pub host_index: u32,
    pub host_mac: Mac,
    /// Index inside the pod.
    pub container_index: u32,
}

impl PodWiring {
    pub fn host_interface(&self) -> String {
        names::host_veth(&self.veth_prefix, &self.pod)
    }

    /// What the pod's namespace holds on its end `link`.
    pub fn pod_side(&self, link: u32, host_mac: Mac) -> BTreeSet<Object> {
        let route = |destination, gateway, scope| {
            let (table, link) = (RouteTable::MAIN, Some(link));
            let protocol = Protocol::BOOT;
            Object::Route(Route {
                table,
                destination,
                gateway,
                link,
                scope,
                source: None,
                metric: 0,
                protocol,
            })
        };
        BTreeSet::from([
            Object::Address(Address {
                link,
                address: host(self.address),
            }),
            route(host(POD_GATEWAY), None, Scope::Link),
            route(everything(), Some(POD_GATEWAY), Scope::Global),
            Object::Neighbour(Neighbour {
                link,
                address: POD_GATEWAY,
                mac: host_mac,
            }),
        ])
    }

    /// What the host holds for this pod, with `link` the host's end.
    pub fn host_side(&self, link: u32) -> BTreeSet<Object> {
        let mut objects = BTreeSet::from([
            Object::Route(host_route(self.address, Some(link))),
            Object::Rule(rule_to(self.address)),
        ]);
        let table = egress_table(self.table);
        if table != RouteTable::MAIN {
            objects.insert(Object::Rule(rule_from(self.address, table)));
        }
        objects
    }

    fn pod_changes(&self, link: u32, host_mac: Mac) -> Vec<Change> {
        let mut changes = vec![go_up(link)];
        changes.extend(diff(&BTreeSet::new(), &self.pod_side(link, host_mac)));
        changes
    }

    /// The address may still be routed to the link of a former holder, hence put instead of add.
    fn host_changes(&self, link: u32) -> Vec<Change> {
        let put = |change| match change {
            Change::Add(route @ Object::Route(_)) => Change::Replace {
                old: None,
                new: route,
            },
            other => other,
        };
        let mut changes = vec![go_up(link)];
        changes.extend(
            diff(&BTreeSet::new(), &self.host_side(link))
                .into_iter()
                .map(put),
        );
        changes
    }
}

fn go_up(link: u32) -> Change {
    Change::Set {
        link,
        from: Setting::Up(false),
        to: Setting::Up(true),
    }
}

fn host_route(address: Ipv4Addr, link: Option<u32>) -> Route {
    Route {
        table: RouteTable::MAIN,
        destination: host(address),
        gateway: None,
        link,
        scope: Scope::Link,
        source: None,
        metric: 0,
        protocol: Protocol::BOOT,
    }
}

fn rule_to(address: Ipv4Addr) -> Rule {
    Rule {
        priority: TO_POD,
        from: None,
        to: Some(host(address)),
        mark: None,
        table: RouteTable::MAIN,
    }
}

fn rule_from(address: Ipv4Addr, table: RouteTable) -> Rule {
    Rule {
        priority: FROM_POD,
        from: Some(host(address)),
        to: None,
        mark: None,
        table,
    }
}
