//! The kernel's network state of a pod, an ENI and the node: what it should be, how it differs, making it so.
//!
//! Owns: our values for links, addresses, routes, rules and neighbours, upstream's layout of them, plans as pure
//! functions, and the hands that observe and apply. Must not: know EC2, gRPC or CNI; decide which address a pod gets;
//! delete a link because of its name outside an ADD; read a clock, await.
//! Driven by: `cni-plugin` (pods), `ipamd` (ENIs and the node), `vpcctl`.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

/// A pod's namespace, for callers that may not use `netlink` themselves.
pub use netlink::namespace;

pub mod apply;
pub mod diff;
mod encode;
pub mod eni;
pub mod error;
pub mod host;
pub mod layout;
pub mod names;
pub mod nat;
pub mod observe;
pub mod pod;
mod sysctl;
pub mod undo;
pub mod value;

pub use apply::Changes;
pub use error::ApplyError;
pub use value::{Address, Link, Mark, Neighbour, Object, Route, Rule};
