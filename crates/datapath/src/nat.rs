//! Address translation and marks of the node (datapath.md §3.8, §4.4–4.6) as a ruleset of values.
//!
//! A flow that a pod opens to the world outside the VPC is marked, leaves by the primary ENI because of its mark
//! ([`crate::layout::MARKED`]) and with the node's address. A NodePort connection is marked with the ENI that it came in
//! by, and its answers leave by that ENI ([`MARKED`](crate::layout::MARKED), [`crate::layout::RETURN`]). Nothing else is
//! marked, no rule is a pod's, and no bit of a mark is changed but those of the settings.
//! Must not: run `nft`, know JSON (`ipamd::nft` does both). Driven by: `ipamd::host`, again after each kernel event.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use model::card::RouteTable;
use model::settings::Snat;

use crate::layout::eni_mark;
use crate::value::Mark;

pub mod ruleset;

use ruleset::{Action, Chain, Condition, Hook, Links, Rule, Ruleset};

/// The table's name. It is ours alone: upstream's is `aws-cni`, kube-proxy's `kube-proxy`, iptables' are `nat` and so on.
pub const TABLE: &str = "aws-vpc-node";

/// What is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatSettings {
    pub snat: Snat,
    /// Whether answers to NodePort connections leave by the ENI that these came in by.
    pub node_ports: bool,
    /// Of flows that belong to the primary ENI.
    pub mark: Mark,
    /// The bits that name one of the other ENIs, none of them in `mark`; 0 is off.
    pub eni_marks: u32,
    /// What pods' host-side links are called.
    pub veth_prefix: String,
    /// Ranges that pods reach with their own address, besides the VPC's.
    pub excluded: Vec<Ipv4Network>,
}

/// What is known of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatFacts {
    /// The node's own address, which translated flows get.
    pub address: Ipv4Addr,
    /// Every range of the VPC.
    pub vpc: Vec<Ipv4Network>,
    /// The link of the primary ENI.
    pub primary: String,
    /// The links and tables of the others, as far as they have a link.
    pub enis: Vec<(String, RouteTable)>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NatError {
    /// Without them pods' flows within the VPC would be translated too.
    #[error("the ranges of the VPC are not known")]
    UnknownRanges,
}

/// The ruleset that the node should have; without chains: none at all.
pub fn ruleset(settings: &NatSettings, facts: &NatFacts) -> Result<Ruleset, NatError> {
    Plan::new(settings, facts).map(|plan| plan.ruleset())
}

/// Names of chains.
mod chain {
    pub(super) const ARRIVALS: &str = "arrivals";
    pub(super) const ENTRANCES: &str = "entrances";
    pub(super) const ROUTING: &str = "routing";
    pub(super) const PODS: &str = "pods";
    pub(super) const RETURNS: &str = "returns";
    pub(super) const ANSWERS: &str = "answers";
    pub(super) const DEPARTURES: &str = "departures";
}

struct Plan<'a> {
    settings: &'a NatSettings,
    facts: &'a NatFacts,
    /// What pods reach with their own address; none: everything.
    direct: Option<Vec<Ipv4Network>>,
    /// By which link a NodePort connection comes in that is marked so.
    entrances: Vec<(&'a str, Mark)>,
}

impl<'a> Plan<'a> {
    fn new(settings: &'a NatSettings, facts: &'a NatFacts) -> Result<Self, NatError> {
        let others = facts.enis.iter().filter_map(|(link, table)| {
            Some((link.as_str(), eni_mark(settings.eni_marks, *table)?))
        });
        let entrances: BTreeSet<_> = others.filter(|_| settings.node_ports).collect();
        Ok(Self {
            settings,
            facts,
            direct: direct(settings, facts)?,
            entrances: entrances.into_iter().collect(),
        })
    }

    fn ruleset(&self) -> Ruleset {
        let parts = [self.node_ports(), self.routing(), self.departures()];
        Ruleset {
            direct: self.direct.clone().unwrap_or_default(),
            chains: parts.into_iter().flatten().collect(),
        }
    }

    /// Before a Service's address is replaced: afterwards nobody knows any more that it was one of the node's own.
    fn node_ports(&self) -> Vec<Chain> {
        if !self.settings.node_ports {
            return Vec::new();
        }
        let entrance = |link: &str, mark| Rule {
            when: vec![Condition::From(Links::Named(link.into()))],
            then: Action::MarkFlow(mark),
        };
        let mut entrances = vec![entrance(&self.facts.primary, self.settings.mark)];
        entrances.extend(
            self.entrances
                .iter()
                .map(|(link, mark)| entrance(link, *mark)),
        );
        let arrivals = Rule {
            when: vec![Condition::Opens, Condition::ToThisLink],
            then: Action::Call(chain::ENTRANCES),
        };
        vec![
            Chain::called(chain::ENTRANCES, entrances),
            Chain::at(Hook::Arrival, chain::ARRIVALS, vec![arrivals]),
        ]
    }

    /// After a Service's address was replaced by what is behind it, and before the packet is routed.
    fn routing(&self) -> Vec<Chain> {
        if !self.settings.node_ports && self.direct.is_none() {
            return Vec::new();
        }
        let mut chains = vec![Chain::called(chain::PODS, self.pods())];
        let mut routing = Vec::new();
        if !self.entrances.is_empty() {
            let came_by_another = Rule {
                when: vec![
                    Condition::Answers,
                    Condition::FlowNot(Mark {
                        value: 0,
                        mask: self.settings.eni_marks,
                    }),
                ],
                then: Action::Call(chain::RETURNS),
            };
            let returns = self.entrances.iter().map(|(_, mark)| Rule {
                when: vec![Condition::Flow(*mark)],
                then: Action::MarkPacket(*mark),
            });
            chains.push(Chain::called(chain::RETURNS, returns.collect()));
            // The answers of the node's own processes (pods in its network) start here.
            let answers = vec![came_by_another.clone()];
            chains.push(Chain::at(Hook::Answer, chain::ANSWERS, answers));
            routing.push(came_by_another);
        }
        routing.extend(self.not_pods());
        routing.push(Rule {
            when: vec![self.sent_by_pod()],
            then: Action::Call(chain::PODS),
        });
        chains.push(Chain::at(Hook::Routing, chain::ROUTING, routing));
        chains
    }

    /// What comes from pods: the flow's mark becomes the packet's, in the bits that are ours.
    fn pods(&self) -> Vec<Rule> {
        let mark = self.settings.mark;
        let none = Mark { value: 0, ..mark };
        let mut rules = Vec::new();
        if self.direct.is_some() {
            rules.push(Rule {
                when: vec![Condition::Opens, Condition::Outside, Condition::ToOthers],
                then: Action::MarkFlow(mark),
            });
        }
        rules.push(Rule {
            when: vec![Condition::Flow(mark)],
            then: Action::MarkPacket(mark),
        });
        rules.push(Rule {
            when: vec![Condition::FlowNot(mark), Condition::PacketNot(none)],
            then: Action::MarkPacket(none),
        });
        rules
    }

    /// By destination, not by mark: with IPVS a Service's address is the node's own until after routing. Only a flow's
    /// first packet comes here, so what others opened to a pod is never translated.
    fn departures(&self) -> Vec<Chain> {
        let (Snat::Node(ports), Some(_)) = (self.settings.snat, &self.direct) else {
            return Vec::new();
        };
        let mut rules: Vec<_> = self.not_pods().collect();
        rules.push(Rule {
            when: vec![self.sent_by_pod(), Condition::Outside],
            then: Action::Translate {
                to: self.facts.address,
                ports,
            },
        });
        vec![Chain::at(Hook::Departure, chain::DEPARTURES, rules)]
    }

    fn sent_by_pod(&self) -> Condition {
        Condition::From(Links::Prefixed(self.settings.veth_prefix.clone()))
    }

    /// With a short prefix an ENI's link looks like a pod's.
    fn not_pods(&self) -> impl Iterator<Item = Rule> {
        let others = self.facts.enis.iter().map(|(link, _)| link);
        let links: BTreeSet<_> = others.chain([&self.facts.primary]).collect();
        links
            .into_iter()
            .filter(|link| link.starts_with(&self.settings.veth_prefix))
            .map(|link| Rule {
                when: vec![Condition::From(Links::Named(link.clone()))],
                then: Action::Leave,
            })
    }
}

/// The VPC's and the excluded ranges, none within another; `None` when nothing is to be translated.
fn direct(settings: &NatSettings, facts: &NatFacts) -> Result<Option<Vec<Ipv4Network>>, NatError> {
    if settings.snat == Snat::External {
        return Ok(None);
    }
    if facts.vpc.is_empty() {
        return Err(NatError::UnknownRanges);
    }
    let plain = |range: &Ipv4Network| Ipv4Network::new(range.network(), range.prefix()).ok();
    let all: BTreeSet<_> = facts
        .vpc
        .iter()
        .chain(&settings.excluded)
        .filter_map(plain)
        .collect();
    let mut ranges: Vec<Ipv4Network> = Vec::new();
    // In this order a range comes right after one that contains it, or after others within that one.
    for range in all {
        if !ranges
            .last()
            .is_some_and(|last| last.contains(range.network()))
        {
            ranges.push(range);
        }
    }
    Ok((ranges.first().is_some_and(|range| range.prefix() > 0)).then_some(ranges))
}

#[cfg(test)]
mod tests;
