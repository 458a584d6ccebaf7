//! The node daemon: the hands around the node's machine; and what its image does beside it (`init`, `probe`).
//!
//! Owns: the process (log, lock, socket, signals), the one task that owns the machine, the runners of its effects, the
//! host's network as the machine wants it, the gRPC services, the network configuration that names the plugin. Must not: decide anything about addresses or ENIs (`ipam`
//! does), speak EC2's protocol (`cloud`), netlink's (`datapath`) or a file format (`ledger`).
//! Driven by: the `ipamd` program, and tests with a world of their own.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod alone;
pub mod app;
pub mod arguments;
pub mod aws;
pub mod clock;
pub mod conflist;
pub mod console;
pub mod daemon;
pub mod host;
pub mod inbox;
pub mod init;
pub mod log;
pub mod nft;
pub mod owner;
pub mod place;
pub mod probe;
pub mod restore;
pub mod run;
pub mod serve;
pub mod watch;

#[cfg(test)]
mod testing;
