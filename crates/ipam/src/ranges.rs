//! The VPC's address ranges, which an administrator may add to or take from at any time: taken anew from each read of
//! IMDS, about one a minute (upstream: every 30 s; the service itself lags behind EC2 by more). Part of [`Node`].
//!
//! Must not: take anything else from the metadata (EC2 is the truth about ENIs and groups), nor let go of known ranges
//! because a read failed or had none.

use crate::node::{Node, Out};
use crate::notice::Notice;
use ipnetwork::Ipv4Network;
use model::imds::InstanceMetadata;
use std::collections::BTreeSet;

impl Node {
    /// The metadata were read again.
    pub(crate) fn ranges_read(
        &mut self,
        result: &Result<InstanceMetadata, String>,
        out: &mut Out<'_>,
    ) {
        let Some(known) = &mut self.world.metadata else {
            return;
        };
        let new = match result {
            Ok(read) if read.instance == known.instance && !read.vpc_cidrs.is_empty() => {
                &read.vpc_cidrs
            }
            Ok(_) => return out.note(Notice::RangesUnread("it has none".to_owned())),
            Err(error) => return out.note(Notice::RangesUnread(error.clone())),
        };
        if sorted(new) != sorted(&known.vpc_cidrs) {
            out.note(Notice::RangesChanged(new.clone()));
            known.vpc_cidrs = new.clone();
        }
    }
}

/// In an order of its own: the service's means nothing.
pub(crate) fn sorted(ranges: &[Ipv4Network]) -> Vec<Ipv4Network> {
    let set: BTreeSet<_> = ranges.iter().copied().collect();
    set.into_iter().collect()
}
