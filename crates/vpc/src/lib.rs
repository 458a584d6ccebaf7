//! An EC2 account and its instance metadata as a pure function of (state, now, caller, request), in EC2's own words.
//!
//! Owns: VPCs, subnets, security groups, instances, ENIs, addresses, attachments, tags, client tokens; what each view
//! (describe, tags, IMDS, the guest's devices) sees when; which packets arrive, also from and to networks beyond the
//! VPC; what goes wrong. Must not: do I/O, read
//! a clock or a random device (`now` and a seed are arguments), know anything about our programs.
//! Driven by: `sim::adapter` in virtual time, `lab::ec2` and `lab::imds` over HTTP, `lab::fabric` for packets.
#![deny(missing_docs)]
#![warn(clippy::wildcard_enum_match_arm)]

mod address;
mod attachment;
mod balancer;
mod bucket;
mod carry;
mod describe;
mod eni;
mod error;
mod fault;
mod flows;
mod group;
mod hash;
mod history;
pub mod imds;
mod instance;
mod lag;
mod outside;
mod request;
mod route;
mod subnet;
mod tag;
mod token;
mod vpc;

pub use attachment::Attachment;
pub use bucket::Buckets;
pub use carry::{Hop, Traffic};
pub use eni::{ConnectionTracking, Interface, InterfaceView};
pub use error::{Code, Error};
pub use fault::{Chance, Faults, Outcome, Verdict};
pub use flows::Flows;
pub use group::{Group, Rule, Source};
pub use history::View;
pub use instance::{Instance, InstanceState, InstanceView};
pub use lag::{Delay, Lag};
pub use outside::{Neighbour, Outside, Side};
pub use request::{
    Action, Answer, Caller, CreateInterface, DescribeInterfaces, Filter, Modification, Request,
    RunInstances, Tags, Wanted,
};
pub use route::{Delivery, Drop, End, Ends, GuestLink, Packet};
pub use subnet::{Subnet, SubnetView};
pub use vpc::{Network, Vpc};

/// The account that owns everything here.
pub const ACCOUNT: &str = "111122223333";

/// The Region of an availability zone: its name without the last letter.
pub fn region_of(zone: &str) -> &str {
    zone.strip_suffix(|c: char| c.is_ascii_lowercase())
        .unwrap_or(zone)
}
