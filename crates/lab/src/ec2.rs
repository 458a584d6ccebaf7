//! The EC2 query API over HTTP, for the calls of one node's life. Must not: know EC2's rules (`vpc` does).
//!
//! `query` turns a form into a `vpc::Request`, `xml` an answer into EC2's XML, `server` waits and loses as the verdict
//! of `vpc` says, `gate` stops calls until a test lets them go, `journal` keeps what was called. Each node has a listener of its own, so the caller is known.

mod gate;
mod journal;
mod query;
mod server;
mod xml;

pub use gate::{Gates, Held, Moment};
pub use journal::{Journal, Record};
pub use server::{Clock, Door, serve};
