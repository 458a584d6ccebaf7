//! The address pool of one network card: what is owned, who holds it, and what should change.
//!
//! Owns: the inventory of ENIs and secondary IPv4 addresses with its legal changes, the choice of an address for a pod,
//! the arithmetic of the warm targets, and the plans that grow and shrink the pool. Must not: do I/O, read a clock, make
//! an EC2 call, remember what was planned before. Driven by: `ipam::Node`, which applies the plans and feeds back what
//! happened.
#![deny(missing_docs)]
#![warn(clippy::wildcard_enum_match_arm)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod address;
pub mod assign;
pub mod check;
pub mod eni;
pub mod grow;
pub mod inventory;
pub mod reconcile;
pub mod restore;
pub mod room;
pub mod shrink;
mod slots;
pub mod stats;
pub mod targets;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod scene;
