//! What the node itself needs of the kernel for IPv4 pods: the rule for marked connections, and the primary link.
//! Must not: write /proc/sys (read-only for the daemon), NAT or marks (nftables), other links.
//! Driven by: `ipamd::host`, again after each kernel event.

use std::collections::BTreeSet;

use model::card::RouteTable;
use model::mac::Mac;

use crate::apply::{Changes, apply as carry_out};
use crate::diff::{Change, LinkWish, diff, link_changes};
use crate::eni::link_of;
use crate::error::ApplyError;
use crate::layout::{LOOSE, MARKED};
use crate::observe;
use crate::value::{Link, Mark, Object, Rule};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostWiring {
    /// Of the primary ENI.
    pub primary: Mac,
    pub mtu: u32,
    /// [`crate::layout::CONNMARK`] unless configured otherwise.
    pub mark: Mark,
}

/// Makes the node's rule and primary link what they should be. A second call changes nothing.
pub fn apply(wiring: &HostWiring) -> Result<Changes, ApplyError> {
    let mut socket = observe::open()?;
    let link = link_of(observe::links_on(&mut socket)?, wiring.primary)?;
    let rules = observe::rules_on(&mut socket)?;
    Ok(carry_out(&mut socket, &wiring.plan(&link, &rules))?)
}

impl HostWiring {
    /// The rule by which connections that came in over the primary ENI leave through it.
    pub fn objects(&self) -> BTreeSet<Object> {
        let (mark, table) = (Some(self.mark), RouteTable::MAIN);
        BTreeSet::from([Object::Rule(Rule {
            priority: MARKED,
            from: None,
            to: None,
            mark,
            table,
        })])
    }

    /// NodePort replies need the loose filter: their request came in on the primary link, marked, for a pod elsewhere.
    pub fn plan(&self, link: &Link, rules: &[Rule]) -> Vec<Change> {
        let desired = self.objects();
        let present = rules
            .iter()
            .cloned()
            .map(Object::Rule)
            .filter(|rule| desired.contains(rule))
            .collect();
        let mut changes = link_changes(
            link,
            LinkWish {
                mtu: self.mtu,
                rp_filter: LOOSE,
            },
        );
        changes.extend(diff(&present, &desired));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::CONNMARK;
    use crate::value::LinkKind;

    fn wiring() -> HostWiring {
        HostWiring {
            primary: Mac([2, 0, 0, 0, 0, 0x10]),
            mtu: 9001,
            mark: CONNMARK,
        }
    }

    fn primary(rp_filter: u32) -> Link {
        Link {
            index: 2,
            name: "ens5".into(),
            mac: Some(wiring().primary),
            up: true,
            mtu: 9001,
            kind: LinkKind::Other,
            peer: None,
            rp_filter: Some(rp_filter),
        }
    }

    #[test]
    fn a_fresh_node_gets_the_rule_and_the_loose_filter() {
        let said: Vec<_> = wiring()
            .plan(&primary(1), &[])
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            said,
            [
                "set link 2 from rp_filter 1 to rp_filter 2",
                "add rule 1024:\tfrom all fwmark 0x80/0x80 lookup main"
            ]
        );
    }

    #[test]
    fn a_node_that_is_set_up_needs_nothing_and_other_rules_stay() {
        let ours = Rule {
            priority: 1024,
            from: None,
            to: None,
            mark: Some(CONNMARK),
            table: RouteTable::MAIN,
        };
        let other = Rule {
            mark: Some(Mark { value: 1, mask: 1 }),
            ..ours.clone()
        };
        assert_eq!(wiring().plan(&primary(2), &[ours, other]), []);
    }
}
