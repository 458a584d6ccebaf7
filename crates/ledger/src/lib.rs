//! The node's files: who holds which address (in upstream's format) and which EC2 mutations were announced.
//!
//! Owns: the text of the files, and how one is replaced without ever being half written. Must not: decide what a file's
//! content means, log, or touch the file system outside [`mod@file`]. Driven by: `ipamd`'s disk runner, `vpcctl`, and the
//! simulator, which uses the codecs alone.
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod checkpoint;
pub mod file;
pub mod intents;
mod object;
