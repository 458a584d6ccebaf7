//! The laboratory: a VPC over HTTP, nodes as namespaces, packets that arrive.
//!
//! Owns: EC2's and IMDS's HTTP doors to `vpc`, the fabric, nodes, networks beyond the VPC, a container runtime's side
//! of CNI, scenes made of all this. Must not: be linked by a program that runs on a real node. Driven by: the end-to-end tests, `vpc-lab`.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod cluster;
pub mod command;
pub mod containerd;
pub mod cri;
pub mod doors;
pub mod ec2;
pub mod fabric;
mod http;
pub mod image;
pub mod imds;
pub mod kubelet;
pub mod manifest;
pub mod namespace;
pub mod node;
pub mod outside;
pub mod ping;
pub mod process;
pub mod reaper;
pub mod runtime;
pub mod scene;
pub mod talk;
pub mod task;
#[cfg(test)]
mod testing;

/// The account's vocabulary, for tests that may depend on the laboratory alone.
pub use vpc;
