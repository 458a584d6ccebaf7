//! The SDK on a real socket: what is sent for each call, what each answer becomes, and what every failure between the two
//! says about the outcome. The other end is a stub that answers what a test tells it, or the laboratory's account
//! (`agreement`, `laboratory`). Needs neither root nor network.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod account;
mod agreement;
mod calls;
mod credentials;
mod laboratory;
mod metadata;
mod outcomes;
mod records;
mod stub;
