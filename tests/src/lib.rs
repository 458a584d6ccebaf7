//! What the end-to-end tests and the demo share: programs under test, scenes with them, waiting, evidence.
//!
//! Owns: how a test gets a world with the real programs in it, and what is kept when it fails. Must not: link the daemon
//! or the AWS SDK (programs are processes), judge what a test is about. Driven by: the test binaries of this package.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod bench;
pub mod binaries;
pub mod cluster;
pub mod cut;
pub mod daemon;
pub mod demo;
pub mod evidence;
pub mod expect;
pub mod filter;
pub mod kernel;
pub mod kill;
pub mod mirrors;
pub mod once;
pub mod percentile;
pub mod progress;
pub mod stage;
pub mod traffic;
mod watchdog;
pub mod wrapped;
