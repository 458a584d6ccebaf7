//! A real containerd calls the plugin, and the daemon runs in containers made of the manifest: its own image, mounts,
//! capabilities and probes.
//!
//! Needs root. One module per claim. Must not: look into a program; what counts is what the runtime, kernel, fabric and
//! EC2 show.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod cage;
mod churn;
mod crowd;
mod given_up;
mod leftovers;
mod pods;
mod probes;
mod reboot;
mod rolling;
mod steady;
mod upgrade;
