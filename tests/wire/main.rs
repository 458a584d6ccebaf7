//! The daemon against EC2 and IMDS over HTTP, and against its callers over its socket: no pods, no packets.
//!
//! Needs root (scenes are namespaces). One module per claim. Must not: wire pods (`netns` does).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod boot;
mod conflist;
mod console;
mod create;
mod grpc;
mod image;
mod init;
mod limit;
mod outage;
mod probe;
mod recovery;
mod refusals;
mod start;
mod state_files;
mod stopping;
mod trouble;
mod waiting;
