//! Every environment variable of the node daemon, once: name, type, default, what a bad value does, documentation.
//!
//! Owns: the table of variables, parsing, the refusals and fallbacks, the generated reference page. Must not: read the
//! process's environment, a clock or a file; decide anything about pods or ENIs. Driven by: `ipamd` (once, at start),
//! `sim` and the vectors of `pool` (with a map of their own), and the generator of `docs/configuration.md`.
#![deny(missing_docs)]
#![warn(clippy::wildcard_enum_match_arm)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod cluster;
pub mod docs;
pub mod eni;
pub mod host;
pub mod installed;
pub mod pool;
pub mod process;
pub mod resolve;
pub mod variable;

pub use installed::InstalledSettings;
pub use resolve::{Config, Fallback, HostSettings, Refused, resolve};
