//! The Container Network Interface, 0.1.0 to 1.1.0, as values: what a runtime says to a plugin and what it reads back.
//!
//! Owns: the network configuration, CNI_ARGS, the required environment, the result per version, the error object and its
//! codes, and the one dispatcher that reads a process's environment and stdin and writes its stdout. Must not: talk to a
//! daemon or to the kernel. Driven by: `cni-plugin`; `lab` reads results with it.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod args;
pub mod config;
pub mod dispatch;
pub mod environment;
pub mod error;
pub mod fields;
pub mod previous;
pub mod result;
pub mod version;
