//! Behaviour of the machine, event by event: what is durable before what leaves, what an unknown outcome means, what
//! absence proves. The simulator looks for what nobody thought of; here stands what must never change.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod absence;
mod boot;
mod doubt;
mod durable;
mod first_address;
mod fresh;
mod growth;
mod harness;
mod late;
mod leftovers;
mod limit;
mod ranges;
mod reasons;
mod recovery;
mod requests;
mod stopping;
mod sweep;
mod unknown;
mod waiting;
