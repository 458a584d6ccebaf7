//! The wire between the plugin and the node daemon: upstream's messages, and what they mean in our words.
//!
//! Owns: the types generated from `proto/`, the client, the socket file, how a refusal travels in a gRPC status, the
//! conversion to and from `model`. Must not: decide anything about addresses, read a clock or the environment.
//! Driven by: `cni-plugin::ask` (client side), `ipamd::serve::grpc` (server side).
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod client;
pub mod convert;
pub mod reason;
pub mod socket;

/// Generated from `proto/`: messages, `cni_backend_client`, `cni_backend_server` and the same of the agent's services.
#[allow(
    clippy::all,
    clippy::unwrap_used,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    reason = "generated"
)]
pub mod wire {
    tonic::include_proto!("rpc");
}

/// The encoded descriptors of every service and message above, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rpc.fds"));

#[cfg(test)]
mod tests;
