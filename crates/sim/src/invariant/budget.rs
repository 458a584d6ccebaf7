//! P8: the node's calls alone never empty one of EC2's documented token buckets (peers-and-ec2.md §10.4). Counted where
//! they leave, over all processes of a run: a daemon that dies over and over is no excuse.

use super::{Check, Invariant, violated};
use model::call::Action;
use model::time::Instant;
use std::collections::BTreeMap;

/// What EC2 would have left for this node if it were alone in its account.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    levels: BTreeMap<Action, (u64, Instant)>,
}

impl Budget {
    /// A call leaves.
    pub fn call(&mut self, now: Instant, action: Action) -> Check {
        let (size, refill) = rate(action);
        let (level, at) = self
            .levels
            .entry(bucket(action))
            .or_insert((size * 1000, now));
        let elapsed = now.0.saturating_sub(at.0);
        *level = (*level + elapsed * refill).min(size * 1000);
        *at = now;
        match level.checked_sub(1000) {
            Some(left) => {
                *level = left;
                Ok(())
            }
            None => violated(
                Invariant::Budget,
                format!(
                    "{} is sent more often than EC2's bucket of {size} and {refill}/s allows",
                    action.name()
                ),
            ),
        }
    }
}

/// Reads share one bucket.
fn bucket(action: Action) -> Action {
    match action {
        Action::DescribeSubnets | Action::DescribeInstanceTypes => {
            Action::DescribeNetworkInterfaces
        }
        Action::DescribeNetworkInterfaces
        | Action::CreateNetworkInterface
        | Action::AttachNetworkInterface
        | Action::ModifyNetworkInterfaceAttribute
        | Action::DetachNetworkInterface
        | Action::DeleteNetworkInterface
        | Action::AssignPrivateIpAddresses
        | Action::UnassignPrivateIpAddresses
        | Action::CreateTags => action,
    }
}

/// Size and refill per second.
fn rate(action: Action) -> (u64, u64) {
    match action {
        Action::DescribeNetworkInterfaces
        | Action::DescribeSubnets
        | Action::DescribeInstanceTypes => (100, 20),
        Action::AttachNetworkInterface | Action::DetachNetworkInterface => (50, 5),
        Action::CreateNetworkInterface
        | Action::DeleteNetworkInterface
        | Action::ModifyNetworkInterfaceAttribute
        | Action::AssignPrivateIpAddresses
        | Action::UnassignPrivateIpAddresses => (100, 5),
        Action::CreateTags => (100, 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_empties_and_refills() {
        let mut budget = Budget::default();
        let action = Action::AttachNetworkInterface;
        for _ in 0..50 {
            budget.call(Instant(0), action).unwrap();
        }
        assert!(budget.call(Instant(199), action).is_err());
        budget.call(Instant(400), action).unwrap();
    }
}
