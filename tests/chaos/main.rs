//! Programs are killed with SIGKILL at every place where something is half done, and come back.
//!
//! Needs root and strace. Where a program is cut is read from a record of its own run, never from a list. Must not: look
//! into a program; what counts is what its files, the kernel and EC2 show when everything has settled.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod absent;
mod announcement;
mod calls;
mod cooldown;
mod files;
mod home;
mod kernel;
mod plugin;
mod removal;
mod requests;
mod truth;
