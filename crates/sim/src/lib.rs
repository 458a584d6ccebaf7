//! The machine and the account in virtual time: `ipam::Node` against `vpc::Vpc`, with everything going wrong on purpose.
//!
//! Owns: what a seed stands for, what callers, kernel and disk do, what was told to whom, and what must hold. Must not:
//! do I/O, read a clock, an environment variable or a random device (the program `sim` reads its arguments).
//! Driven by: the program `sim`, the tests, other laboratories that need a call carried out without a wire.
#![deny(missing_docs)]
#![warn(clippy::wildcard_enum_match_arm)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod adapter;
pub mod arguments;
pub mod checked;
pub mod disk;
pub mod fate;
pub mod invariant;
pub mod kernel;
pub mod mutant;
pub mod oracle;
pub mod plan;
pub mod queue;
pub mod random;
pub mod reached;
pub mod runtime;
pub mod seam;
pub mod shrink;
pub mod sweep;
pub mod tally;
pub mod text;
pub mod trace;
pub mod world;
