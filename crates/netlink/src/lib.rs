//! Talking to the kernel's routing netlink: one blocking socket, batches of requests, dumps, network namespaces; and the
//! number of the packet filter's ruleset.
//!
//! Owns: the wire (framing, sequence numbers, acknowledgements, extended error texts) and the calling thread's trip
//! into another namespace. Must not: know pods, ENIs or what a request is for; retry a refused request; await.
//! Driven by: `datapath`, and `lab` for its fabric.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod batch;
pub mod dump;
pub mod error;
mod frame;
pub mod generation;
pub mod namespace;
pub mod socket;

pub use batch::{Request, Response};
pub use dump::Dump;
pub use error::{Error, Refusal};
pub use generation::generation;
pub use namespace::Namespace;
pub use socket::Socket;
