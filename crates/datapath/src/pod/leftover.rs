//! Rules of pods that are gone: what a DEL leaves that was cut short and is not called again. Must not: touch a rule
//! whose address is routed to a link (a pod has it), or choose addresses (the daemon knows who holds what).
//! Driven by: `ipamd::host`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use model::card::RouteTable;

use crate::apply::{Changes, apply as carry_out};
use crate::diff::Change;
use crate::error::ApplyError;
use crate::layout::{FROM_POD, TO_POD};
use crate::observe;
use crate::value::{Object, Route, Rule};

/// The addresses that rules of pods name.
pub fn ruled(rules: &[Rule]) -> BTreeSet<Ipv4Addr> {
    rules.iter().filter_map(pod_of).collect()
}

/// Removes the rules for these addresses, which nobody holds, unless a route leads there all the same.
pub fn remove_leftovers(unheld: &[Ipv4Addr]) -> Result<Changes, ApplyError> {
    if unheld.is_empty() {
        return Ok(Changes::default());
    }
    let mut socket = observe::open()?;
    let rules = observe::rules_on(&mut socket)?;
    let routes = observe::routes_on(&mut socket, RouteTable::MAIN)?;
    Ok(carry_out(&mut socket, &plan(unheld, &routes, rules))?)
}

fn plan(unheld: &[Ipv4Addr], main: &[Route], rules: Vec<Rule>) -> Vec<Change> {
    let is_routed = |address: &Ipv4Addr| {
        let mut single = main.iter().filter(|route| route.destination.prefix() == 32);
        single.any(|route| route.destination.ip() == *address)
    };
    let is_left = |rule: &Rule| {
        pod_of(rule).is_some_and(|address| unheld.contains(&address) && !is_routed(&address))
    };
    rules
        .into_iter()
        .filter(is_left)
        .map(|rule| Change::Remove(Object::Rule(rule)))
        .collect()
}

/// The pod's address, when the rule looks like one of those that an ADD makes.
fn pod_of(rule: &Rule) -> Option<Ipv4Addr> {
    let network = match rule {
        Rule {
            priority: TO_POD,
            from: None,
            to,
            mark: None,
            table: RouteTable::MAIN,
        } => *to,
        Rule {
            priority: FROM_POD,
            from,
            to: None,
            mark: None,
            ..
        } => *from,
        _ => None,
    };
    network
        .filter(|network| network.prefix() == 32)
        .map(|network| network.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::CONNMARK;
    use crate::pod::{host_route, rule_from, rule_to};

    const GONE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 121);
    const LIVE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 122);

    fn rules() -> Vec<Rule> {
        let pods = [GONE, LIVE].into_iter();
        pods.flat_map(|pod| [rule_to(pod), rule_from(pod, RouteTable(2))])
            .collect()
    }

    fn said(unheld: &[Ipv4Addr], main: &[Route], rules: Vec<Rule>) -> Vec<String> {
        let changes = plan(unheld, main, rules);
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_rules_of_the_named_addresses_go() {
        assert_eq!(ruled(&rules()), BTreeSet::from([GONE, LIVE]));
        assert_eq!(
            said(&[GONE], &[host_route(LIVE, Some(7))], rules()),
            [
                "remove rule 512:\tfrom all to 10.0.1.121 lookup main",
                "remove rule 1536:\tfrom 10.0.1.121 lookup 2"
            ]
        );
    }

    #[test]
    fn an_address_that_is_routed_by_now_keeps_its_rules() {
        let main = [GONE, LIVE].map(|pod| host_route(pod, Some(7)));
        assert_eq!(said(&[GONE, LIVE], &main, rules()), [""; 0]);
    }

    #[test]
    fn rules_of_other_shapes_are_nobodys_leftovers() {
        let to = rule_to(GONE);
        let subnet = "10.0.1.0/24".parse().ok();
        let others = vec![
            Rule {
                priority: 513,
                ..to.clone()
            },
            Rule {
                mark: Some(CONNMARK),
                ..to.clone()
            },
            Rule {
                table: RouteTable(101),
                ..to.clone()
            },
            Rule {
                to: subnet,
                ..to.clone()
            },
            Rule { from: subnet, ..to },
            Rule {
                to: subnet,
                ..rule_from(GONE, RouteTable(2))
            },
        ];
        assert_eq!(ruled(&others), BTreeSet::new());
        assert_eq!(said(&[GONE], &[], others), [""; 0]);
    }
}
