//! EC2's request token buckets, one set per account and Region, shared by all callers; off unless switched on.
//! Must not: know who calls. Table: peers-and-ec2.md §10.4.

use crate::error::{Code, Error};
use crate::request::{Action, Request};
use model::time::Instant;
use std::collections::BTreeMap;

/// One token in millionths.
const TOKEN: u64 = 1_000_000;

/// Whether calls are throttled, and the buckets' contents.
#[derive(Debug, Clone, Default)]
pub struct Buckets {
    /// Thousandths of the documented sizes and rates that other callers leave; `None`: off.
    share: Option<u16>,
    levels: BTreeMap<(Category, Option<Action>), Level>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Category {
    Read,
    ReadAll,
    Mutate,
    Interface,
    Tag,
    Run,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    /// Millionths of a token, so that refilling a share by the millisecond is exact.
    microtokens: u64,
    at: Instant,
}

impl Category {
    fn of(request: &Request) -> Self {
        let unbounded = if let Request::DescribeInterfaces(describe) = request {
            describe.ids.is_empty() && describe.filters.is_empty() && describe.max_results.is_none()
        } else {
            matches!(request, Request::DescribeInstances { ids } if ids.is_empty())
        };
        match request.action() {
            _ if unbounded => Self::ReadAll,
            Action::DescribeNetworkInterfaces
            | Action::DescribeInstances
            | Action::DescribeSubnets
            | Action::DescribeInstanceTypes => Self::Read,
            Action::AssignPrivateIpAddresses
            | Action::UnassignPrivateIpAddresses
            | Action::CreateNetworkInterface
            | Action::DeleteNetworkInterface
            | Action::ModifyNetworkInterfaceAttribute
            | Action::TerminateInstances => Self::Interface,
            Action::CreateTags => Self::Tag,
            Action::RunInstances => Self::Run,
            Action::AttachNetworkInterface
            | Action::DetachNetworkInterface
            | Action::CreateVpc
            | Action::AssociateVpcCidrBlock
            | Action::CreateSubnet
            | Action::CreateSecurityGroup
            | Action::AuthorizeSecurityGroupIngress
            | Action::RevokeSecurityGroupIngress => Self::Mutate,
        }
    }

    /// Bucket size and refill per second.
    fn rate(self) -> (u64, u64) {
        match self {
            Self::Read => (100, 20),
            Self::ReadAll => (50, 10),
            Self::Mutate => (50, 5),
            Self::Interface => (100, 5),
            Self::Tag => (100, 10),
            Self::Run => (5, 2),
        }
    }

    /// Reads share one bucket; each mutating action has its own of its category's size.
    fn shared(self) -> bool {
        matches!(self, Self::Read | Self::ReadAll)
    }
}

impl Buckets {
    /// Switches throttling on, with full buckets.
    pub fn enable(&mut self) {
        self.enable_shared(1000);
    }

    /// Switches throttling on for a caller to whom the others of the account leave `permille` of every bucket; at least
    /// one token of each.
    pub fn enable_shared(&mut self, permille: u16) {
        *self = Self {
            share: Some(permille),
            levels: BTreeMap::new(),
        };
    }

    /// Switches throttling off.
    pub fn disable(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn take(&mut self, now: Instant, request: &Request) -> Result<(), Error> {
        let Some(share) = self.share.map(u64::from) else {
            return Ok(());
        };
        let category = Category::of(request);
        let (size, refill) = category.rate();
        let key = (category, (!category.shared()).then(|| request.action()));
        let (size, refill) = ((size * share).max(1000), (refill * share).max(1));
        let level = self.levels.entry(key).or_insert(Level {
            microtokens: size * 1000,
            at: now,
        });
        let elapsed = u64::try_from(now.since(level.at).as_millis()).unwrap_or(u64::MAX);
        level.microtokens = level
            .microtokens
            .saturating_add(elapsed.saturating_mul(refill))
            .min(size * 1000);
        level.at = now;
        if level.microtokens < TOKEN {
            return Err(Error::new(
                Code::RequestLimitExceeded,
                "Request limit exceeded.",
            ));
        }
        level.microtokens -= TOKEN;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_bucket_refuses_and_refills_at_its_rate() {
        let attach = Request::DetachNetworkInterface {
            attachment: "eni-attach-1".parse().expect("id"),
            force: false,
        };
        let other = Request::DescribeInstanceTypes { names: vec![] };
        let mut buckets = Buckets::default();
        assert!(
            (0..500).all(|_| buckets.take(Instant(0), &attach).is_ok()),
            "off by default"
        );
        buckets.enable();
        assert_eq!(
            (0..80)
                .filter(|_| buckets.take(Instant(0), &attach).is_ok())
                .count(),
            50
        );
        assert!(buckets.take(Instant(199), &attach).is_err());
        assert!(buckets.take(Instant(200), &attach).is_ok());
        assert!(buckets.take(Instant(200), &other).is_ok(), "another bucket");
        assert_eq!(
            (0..80)
                .filter(|_| buckets.take(Instant(10_200), &attach).is_ok())
                .count(),
            50
        );
    }

    #[test]
    fn sizes_and_refills_are_the_documented_ones() {
        // peers-and-ec2.md §10.4
        for (category, size, refill) in [
            (Category::Read, 100, 20),
            (Category::ReadAll, 50, 10),
            (Category::Mutate, 50, 5),
            (Category::Interface, 100, 5),
            (Category::Tag, 100, 10),
            (Category::Run, 5, 2),
        ] {
            assert_eq!(category.rate(), (size, refill), "{category:?}");
        }
    }
}
