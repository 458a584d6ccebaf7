//! What one secondary ENI needs of the kernel (datapath.md §3.7), and making it so.
//! Must not: set up the primary ENI, retry (the daemon does, when the link appears), remove routes of other programs
//! from the ENI's table. Driven by: `ipamd::host`, again after each kernel event.

mod dead;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use model::card::RouteTable;
use model::mac::Mac;

pub use self::dead::remove_dead_rules;
use crate::apply::{Changes, apply as carry_out};
use crate::diff::{Change, LinkWish, diff, link_changes};
use crate::error::ApplyError;
use crate::layout::{FROM_ENI, LOOSE, egress_table, everything, host, subnet_gateway};
use crate::observe::{self, Links};
use crate::value::{Address, Link, Object, Protocol, Route, Rule, Scope};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EniWiring {
    pub mac: Mac,
    pub primary: Ipv4Addr,
    pub subnet: Ipv4Network,
    pub table: RouteTable,
    pub mtu: u32,
}

/// Makes link, address, table and rule of the ENI what they should be. A second call changes nothing.
pub fn apply(wiring: &EniWiring) -> Result<Changes, ApplyError> {
    if egress_table(wiring.table) == RouteTable::MAIN {
        return Err(ApplyError::PrimaryTable);
    }
    let mut socket = observe::open()?;
    let link = link_of(observe::links_on(&mut socket)?, wiring.mac)?;
    let addresses = observe::addresses_on(&mut socket)?;
    let mut changes = carry_out(&mut socket, &wiring.plan_link(&link, &addresses))?;
    // Only now: a link that goes up or an address that changes adds and removes routes by itself.
    let observed = Routing {
        own: observe::routes_on(&mut socket, wiring.table)?,
        main: observe::routes_on(&mut socket, RouteTable::MAIN)?,
        rules: observe::rules_on(&mut socket)?,
    };
    changes.extend(carry_out(
        &mut socket,
        &wiring.plan_routing(link.index, &observed),
    )?);
    Ok(changes)
}

/// Removes the rules that this module made for the primary address of an ENI that was detached; its routes went with
/// the link. A pod's rules are left alone: EC2 may give a pod what was an ENI's primary address.
pub fn remove_rules(primary: Ipv4Addr) -> Result<Changes, ApplyError> {
    let mut socket = observe::open()?;
    let rules = observe::rules_on(&mut socket)?;
    let removals: Vec<_> = rules
        .into_iter()
        .filter(|rule| comes_from(rule, primary) && rule.priority == FROM_ENI)
        .map(remove)
        .collect();
    Ok(carry_out(&mut socket, &removals)?)
}

/// Routes and rules as observed, from which the plan takes what is the ENI's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// Of the ENI's table.
    pub own: Vec<Route>,
    pub main: Vec<Route>,
    pub rules: Vec<Rule>,
}

impl EniWiring {
    /// The addresses that the link should have.
    pub fn addresses(&self, link: u32) -> BTreeSet<Object> {
        let address = Ipv4Network::new(self.primary, self.subnet.prefix())
            .expect("the prefix is a network's");
        BTreeSet::from([Object::Address(Address { link, address })])
    }

    /// The routes and the rule that the ENI should have.
    pub fn routing(&self, link: u32) -> BTreeSet<Object> {
        let gateway = subnet_gateway(self.subnet);
        let route = |destination, gateway, scope| {
            let (table, link) = (self.table, Some(link));
            let protocol = Protocol::BOOT;
            Object::Route(Route {
                table,
                destination,
                gateway,
                link,
                scope,
                source: None,
                metric: 0,
                protocol,
            })
        };
        let from = Some(host(self.primary));
        BTreeSet::from([
            route(host(gateway), None, Scope::Link),
            route(everything(), Some(gateway), Scope::Global),
            Object::Rule(Rule {
                priority: FROM_ENI,
                from,
                to: None,
                mark: None,
                table: self.table,
            }),
        ])
    }

    /// Size, filter and address. Every other global address goes: pods' addresses are never on an ENI's link.
    pub fn plan_link(&self, link: &Link, observed: &[Address]) -> Vec<Change> {
        let ours = |it: &&Address| it.link == link.index && !it.address.ip().is_link_local();
        let observed = observed
            .iter()
            .filter(ours)
            .copied()
            .map(Object::Address)
            .collect();
        let desired = self.addresses(link.index);
        let addresses = diff(&observed, &desired);
        let removing = addresses
            .iter()
            .any(|change| matches!(change, Change::Remove(_)));
        let mut changes = link_changes(
            link,
            LinkWish {
                mtu: self.mtu,
                rp_filter: LOOSE,
            },
        );
        changes.extend(addresses);
        // With another address of its subnet the kernel may drop ours, when that one came first.
        changes.extend(
            desired
                .intersection(&observed)
                .filter(|_| removing)
                .cloned()
                .map(Change::Add),
        );
        changes
    }

    /// What is compared: in the ENI's table whatever excludes one of our routes, in main the connected route that the
    /// address caused, and rules of our priority for the ENI's address.
    pub fn plan_routing(&self, link: u32, observed: &Routing) -> Vec<Change> {
        let desired = self.routing(link);
        let rivals = observed
            .own
            .iter()
            .cloned()
            .map(Object::Route)
            .filter(|it| desired.iter().any(|our| our.excludes(it)));
        let connected = observed
            .main
            .iter()
            .filter(|route| self.is_connected(route, link))
            .cloned()
            .map(Object::Route);
        let sources = observed
            .rules
            .iter()
            .filter(|rule| rule.priority == FROM_ENI && comes_from(rule, self.primary));
        let observed = rivals
            .chain(connected)
            .chain(sources.cloned().map(Object::Rule))
            .collect();
        diff(&observed, &desired)
    }

    /// In main it would draw the node's own traffic for the subnet out of this ENI.
    fn is_connected(&self, route: &Route, link: u32) -> bool {
        let here = route.link == Some(link)
            && route.scope == Scope::Link
            && route.source == Some(self.primary);
        here && route.destination.network() == self.subnet.network()
            && route.destination.prefix() == self.subnet.prefix()
    }
}

/// The link of an ENI. Links stacked on it may share its address; the oldest is the device.
pub(crate) fn link_of(links: Links, mac: Mac) -> Result<Link, ApplyError> {
    let Links { known, unreadable } = links;
    let found = known
        .into_iter()
        .filter(|link| link.mac == Some(mac))
        .min_by_key(|link| link.index);
    found.ok_or(ApplyError::LinkMissing { mac, unreadable })
}

fn comes_from(rule: &Rule, primary: Ipv4Addr) -> bool {
    rule.from.is_some_and(|from| from.ip() == primary)
}

fn remove(rule: Rule) -> Change {
    Change::Remove(Object::Rule(rule))
}

#[cfg(test)]
mod tests;
