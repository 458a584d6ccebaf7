//! AWS as this node uses it: EC2 calls as values in, replies as values out, and what the metadata service says.
//!
//! Owns: the AWS SDK, which no other crate sees, and the translation between its types and `model`'s. Must not: retry,
//! remember an answer, decide what an error means for the node, read the environment (the SDK's credential chain and
//! its FIPS and dual-stack switches excepted: they are AWS's own). Driven by: `ipamd`'s runners and `vpcctl`.
#![deny(missing_docs)]

mod client;
mod ec2;
mod error;
pub mod imds;

pub use client::{Ec2, InvalidEndpoint};
pub use imds::{Imds, ImdsError};
