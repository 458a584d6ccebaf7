//! The kernel as this plugin uses it: one real implementation, which is `datapath`'s.
//! Must not: decide what is wired, or run while a future is polled (a thread's namespace is changed for a moment).

use datapath::error::ApplyError;
use datapath::namespace::Namespace;
use datapath::pod::{Deleted, PodWiring, Wired, apply_add, apply_del, apply_del_of};
use model::card::RouteTable;
use std::net::Ipv4Addr;
use std::path::Path;

/// A kernel in which pods can be wired.
pub trait Kernel {
    /// An open network namespace.
    type Namespace;

    /// Opens the namespace at `netns`; fails when it is none.
    fn open(&self, netns: &Path) -> Result<Self::Namespace, ApplyError>;

    /// Wires a pod; a failure leaves nothing behind.
    fn add(&self, wiring: &PodWiring, netns: &Self::Namespace) -> Result<Wired, ApplyError>;

    /// Removes the rules and the route of an address; what is gone is no failure.
    fn del(&self, address: Ipv4Addr, table: RouteTable) -> Result<(), ApplyError>;

    /// The same, unless the address leads to another link than `host_link`.
    fn del_of(
        &self,
        address: Ipv4Addr,
        table: RouteTable,
        host_link: &str,
    ) -> Result<Deleted, ApplyError>;
}

/// The kernel that this process runs on.
#[derive(Debug)]
pub struct Host;

impl Kernel for Host {
    type Namespace = Namespace;

    fn open(&self, netns: &Path) -> Result<Namespace, ApplyError> {
        Ok(Namespace::open(netns)?)
    }

    fn add(&self, wiring: &PodWiring, netns: &Namespace) -> Result<Wired, ApplyError> {
        apply_add(wiring, netns)
    }

    fn del(&self, address: Ipv4Addr, table: RouteTable) -> Result<(), ApplyError> {
        apply_del(address, table)
    }

    fn del_of(
        &self,
        address: Ipv4Addr,
        table: RouteTable,
        host_link: &str,
    ) -> Result<Deleted, ApplyError> {
        apply_del_of(address, table, host_link)
    }
}
