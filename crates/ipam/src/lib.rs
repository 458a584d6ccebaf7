//! One node's state machine: events in, effects out.
//!
//! Owns: who is answered what and when, which EC2 calls are made, what is written before what leaves. Must not: do
//! I/O, read a clock, an environment variable or a random device, await, panic on any order of events.
//! Driven by: `ipamd` (for real) and `sim` (in virtual time).
#![warn(missing_docs, clippy::wildcard_enum_match_arm)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod attach;
pub mod boot;
mod bucket;
mod budget;
mod capacity;
mod commit;
mod displace;
pub mod effect;
pub mod event;
mod hint;
mod host;
mod intents;
mod lifecycle;
mod links;
mod look;
pub mod node;
pub mod notice;
mod observe;
mod operations;
mod outcome;
mod pace;
mod plan;
mod ranges;
mod refresh;
mod refuse;
mod release;
mod requests;
mod resume;
mod serve;
mod sweep;
mod truth;
pub mod view;
mod why;
