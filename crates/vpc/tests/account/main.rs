//! The account from outside: every action and its errors, what views see when, packets, metadata, faults.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod actions;
mod beyond;
mod conservation;
mod knobs;
mod metadata;
mod packets;
mod views;
mod world;
