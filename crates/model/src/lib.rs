//! The words everybody uses: values that are parsed when constructed, compared, stored and sent.
//!
//! Owns: identifiers, addresses, ENIs as EC2 describes them, EC2 calls and their outcomes as values, who holds which
//! address, why an ADD failed, time. Must not: do I/O, read a clock, an environment variable or a random device, await.
//! Driven by: every other crate.
#![deny(missing_docs)]
#![warn(clippy::wildcard_enum_match_arm)]

pub mod allocation;
pub mod block;
pub mod call;
pub mod card;
pub mod eni;
pub mod error;
pub mod id;
pub mod imds;
pub mod intent;
pub mod limits;
pub mod mac;
pub mod pod;
pub mod reason;
pub mod settings;
pub mod time;
