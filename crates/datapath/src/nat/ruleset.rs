//! A ruleset of nftables as far as we write one: chains, conditions, actions. Must not: know what they are for.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use model::settings::RandomizeSnat;

use crate::value::Mark;

/// Everything in our table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The ranges that [`Condition::Outside`] is about: ascending, none within another, none of all addresses. Empty
    /// when no rule asks.
    pub direct: Vec<Ipv4Network>,
    /// A chain comes after those that it calls.
    pub chains: Vec<Chain>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub name: &'static str,
    /// Absent: it is called by other chains.
    pub hook: Option<Hook>,
    pub rules: Vec<Rule>,
}

impl Chain {
    pub(super) fn at(hook: Hook, name: &'static str, rules: Vec<Rule>) -> Self {
        Self {
            name,
            hook: Some(hook),
            rules,
        }
    }

    pub(super) fn called(name: &'static str, rules: Vec<Rule>) -> Self {
        Self {
            name,
            hook: None,
            rules,
        }
    }
}

/// Where a packet meets a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// As it came in, after connection tracking.
    Arrival,
    /// Behind every translation of its destination, before it is routed. Upstream's rules, which may be there during a
    /// take-over, wipe a packet's mark before.
    Routing,
    /// When a process of the node has sent it; it is routed again if its mark changed.
    Answer,
    /// The first packet of a flow, when its source is translated.
    Departure,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// All of them.
    pub when: Vec<Condition>,
    pub then: Action,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The link it came in by.
    From(Links),
    /// It belongs to a flow that has no answer yet, in the direction of the flow's first packet.
    Opens,
    /// It goes the other way.
    Answers,
    /// To an address of the link that it came in by.
    ToThisLink,
    /// To no address of the node.
    ToOthers,
    /// To none of [`Ruleset::direct`].
    Outside,
    /// The flow's mark has this value under the mask.
    Flow(Mark),
    FlowNot(Mark),
    /// The packet's mark has another value under the mask.
    PacketNot(Mark),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Links {
    Named(String),
    Prefixed(String),
}

/// What is done; then the next rule follows, unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The bits of the mask, and no others, get the value.
    MarkFlow(Mark),
    MarkPacket(Mark),
    /// Goes through the rules of another chain first.
    Call(&'static str),
    /// The packet is through with this chain.
    Leave,
    /// The flow gets this source address; the packet is through with this chain.
    Translate {
        to: Ipv4Addr,
        ports: RandomizeSnat,
    },
}
