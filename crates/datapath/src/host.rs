//! What the node itself needs of the kernel for IPv4 pods: its own rules, and the primary link.
//! Must not: write /proc/sys (read-only for the daemon), NAT or marks (`nat`), other links.
//! Driven by: `ipamd::host`, again after each kernel event.

use std::collections::BTreeSet;

use ipnetwork::Ipv4Network;
use model::card::RouteTable;
use model::mac::Mac;

use crate::apply::{Changes, apply as carry_out};
use crate::diff::{Change, LinkWish, diff, link_changes};
use crate::eni::link_of;
use crate::error::ApplyError;
use crate::layout::{EXTERNAL_SERVICE, LOOSE, MARKED, RETURN};
use crate::observe;
use crate::value::{Link, Mark, Object, Rule};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostWiring {
    /// Of the primary ENI.
    pub primary: Mac,
    pub mtu: u32,
    /// [`crate::layout::CONNMARK`] unless configured otherwise.
    pub mark: Mark,
    /// Whether packets are marked so at all.
    pub marking: bool,
    /// The other ENIs' tables, with the marks of packets that leave through them.
    pub returns: Vec<(Mark, RouteTable)>,
    /// Ranges that are always reached through the main table.
    pub external_services: Vec<Ipv4Network>,
}

/// Makes the node's rules and primary link what they should be. A second call changes nothing.
pub fn apply(wiring: &HostWiring) -> Result<Changes, ApplyError> {
    let mut socket = observe::open()?;
    let link = link_of(observe::links_on(&mut socket)?, wiring.primary)?;
    let rules = observe::rules_on(&mut socket)?;
    Ok(carry_out(&mut socket, &wiring.plan(&link, &rules))?)
}

impl HostWiring {
    /// The rules by which marked packets leave through their ENI, and those of services outside the VPC.
    pub fn objects(&self) -> BTreeSet<Object> {
        let plain = Rule {
            priority: MARKED,
            from: None,
            to: None,
            mark: None,
            table: RouteTable::MAIN,
        };
        let marked = self.marking.then(|| Rule {
            mark: Some(self.mark),
            ..plain.clone()
        });
        let returns = self.returns.iter().map(|(mark, table)| Rule {
            priority: RETURN,
            mark: Some(*mark),
            table: *table,
            ..plain.clone()
        });
        let services = self.external_services.iter().map(|range| Rule {
            priority: EXTERNAL_SERVICE,
            // The kernel says nothing of a range of all addresses.
            to: (range.prefix() > 0).then_some(*range),
            ..plain.clone()
        });
        let all = marked.into_iter().chain(returns).chain(services);
        all.map(Object::Rule).collect()
    }

    /// NodePort replies need the loose filter: their request came in on the primary link, marked, for a pod elsewhere.
    pub fn plan(&self, link: &Link, rules: &[Rule]) -> Vec<Change> {
        let present = rules.iter().filter(|rule| self.is_ours(rule));
        let present = present.cloned().map(Object::Rule).collect();
        let mut changes = link_changes(
            link,
            LinkWish {
                mtu: self.mtu,
                rp_filter: LOOSE,
            },
        );
        changes.extend(diff(&present, &self.objects()));
        changes
    }

    /// Of the marked ones only that of our mark: nobody knows whose the others are.
    fn is_ours(&self, rule: &Rule) -> bool {
        match rule.priority {
            MARKED => {
                rule.mark == Some(self.mark)
                    && rule.table == RouteTable::MAIN
                    && (rule.from, rule.to) == (None, None)
            }
            RETURN => rule.mark.is_some() && (rule.from, rule.to) == (None, None),
            EXTERNAL_SERVICE => {
                rule.table == RouteTable::MAIN && (rule.from, rule.mark) == (None, None)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{CONNMARK, eni_mark};
    use crate::value::LinkKind;

    fn wiring() -> HostWiring {
        HostWiring {
            primary: Mac([2, 0, 0, 0, 0, 0x10]),
            mtu: 9001,
            mark: CONNMARK,
            marking: true,
            returns: vec![],
            external_services: vec![],
        }
    }

    fn full() -> HostWiring {
        let entrance = |table| (eni_mark(0x78, table).unwrap(), table);
        HostWiring {
            returns: [2, 3].map(RouteTable).map(entrance).into(),
            external_services: ["100.64.0.0/10", "0.0.0.0/0"]
                .map(|range| range.parse().unwrap())
                .into(),
            ..wiring()
        }
    }

    fn rules(wiring: &HostWiring) -> Vec<Rule> {
        let objects = wiring.objects().into_iter();
        let rules = objects.map(|object| match object {
            Object::Rule(rule) => rule,
            other => panic!("{other}"),
        });
        rules.collect()
    }

    fn said(wiring: &HostWiring, rules: &[Rule]) -> Vec<String> {
        let changes = wiring.plan(&primary(2), rules);
        changes.iter().map(ToString::to_string).collect()
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
        assert_eq!(full().plan(&primary(2), &rules(&full())), []);
    }

    #[test]
    fn every_other_eni_and_every_service_range_has_a_rule() {
        assert_eq!(
            said(&full(), &rules(&wiring())),
            [
                "add rule 1025:\tfrom all fwmark 0x8/0x78 lookup 2",
                "add rule 1025:\tfrom all fwmark 0x10/0x78 lookup 3",
                "add rule 1535:\tfrom all lookup main",
                "add rule 1535:\tfrom all to 100.64.0.0/10 lookup main",
            ]
        );
    }

    #[test]
    fn what_is_no_longer_configured_goes_and_what_others_made_stays() {
        let mut present = rules(&full());
        let foreign = |priority, table| Rule {
            priority,
            from: Some("10.0.0.1/32".parse().unwrap()),
            to: None,
            mark: None,
            table: RouteTable(table),
        };
        present.extend([foreign(1024, 254), foreign(1025, 2), foreign(1535, 254)]);
        let bare = HostWiring {
            marking: false,
            ..wiring()
        };
        let gone = said(&bare, &present);
        assert_eq!(gone.len(), 5, "{gone:?}");
        assert!(gone.iter().all(|change| change.starts_with("remove rule")));
        assert!(gone[0].contains("fwmark 0x80/0x80"), "{gone:?}");
    }
}
