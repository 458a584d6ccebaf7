//! Rules of ENIs that left while nobody was there to remove them: a daemon that was killed between the deletion and its
//! clean-up. Must not: touch a rule that still does anything. Driven by: `ipamd::host`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use model::card::RouteTable;

use crate::apply::{Changes, apply as carry_out};
use crate::diff::Change;
use crate::error::ApplyError;
use crate::layout::FROM_ENI;
use crate::observe;
use crate::value::{Address, Object, Rule};

/// Tables of ENIs on the first card: the lowest free device index is taken, and no card has more ENIs.
const TABLES: std::ops::RangeInclusive<u32> = 2..=16;

/// Removes rules of the form that ENIs have, whose address is on no link and whose table is empty: the kernel passes over
/// them.
pub fn remove_dead_rules() -> Result<Changes, ApplyError> {
    let mut socket = observe::open()?;
    let rules = observe::rules_on(&mut socket)?;
    let suspects = suspects(&rules, &observe::addresses_on(&mut socket)?);
    let mut routes = BTreeMap::new();
    for table in suspects.iter().map(|rule| rule.table) {
        routes.insert(table, observe::routes_on(&mut socket, table)?.len());
    }
    Ok(carry_out(&mut socket, &plan(suspects, &routes))?)
}

/// Rules for the address of an ENI that has no link.
fn suspects(rules: &[Rule], addresses: &[Address]) -> Vec<Rule> {
    let present: BTreeSet<Ipv4Addr> = addresses.iter().map(|it| it.address.ip()).collect();
    let is_suspect = |rule: &&Rule| {
        let single = rule.from.filter(|from| from.prefix() == 32);
        let plain = rule.priority == FROM_ENI && rule.to.is_none() && rule.mark.is_none();
        plain
            && TABLES.contains(&rule.table.0)
            && single.is_some_and(|from| !present.contains(&from.ip()))
    };
    rules.iter().filter(is_suspect).cloned().collect()
}

fn plan(suspects: Vec<Rule>, routes: &BTreeMap<RouteTable, usize>) -> Vec<Change> {
    let leads_nowhere = |rule: &Rule| routes.get(&rule.table) == Some(&0);
    suspects
        .into_iter()
        .filter(leads_nowhere)
        .map(|rule| Change::Remove(Object::Rule(rule)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(from: &str, table: u32) -> Rule {
        Rule {
            priority: FROM_ENI,
            from: from.parse().ok(),
            to: None,
            mark: None,
            table: RouteTable(table),
        }
    }

    fn address(text: &str) -> Address {
        Address {
            link: 3,
            address: text.parse().unwrap(),
        }
    }

    #[test]
    fn the_rule_of_an_eni_without_link_and_routes_is_dead() {
        let (gone, here) = (rule("10.0.1.20", 2), rule("10.0.1.30", 3));
        let suspects = suspects(&[gone.clone(), here], &[address("10.0.1.30/24")]);
        assert_eq!(suspects, [gone]);
        let said = |routes| {
            let changes = plan(suspects.clone(), &BTreeMap::from([(RouteTable(2), routes)]));
            changes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(said(0), ["remove rule 32765:\tfrom 10.0.1.20 lookup 2"]);
        assert_eq!(said(1), [""; 0], "somebody else's routes are in its table");
    }

    #[test]
    fn rules_of_other_shapes_are_not_ours() {
        let dead = rule("10.0.1.20", 2);
        let others = [
            rule("10.0.1.20", 100),
            rule("10.0.1.0/24", 2),
            Rule {
                priority: 32764,
                ..dead.clone()
            },
            Rule {
                to: dead.from,
                ..dead.clone()
            },
            Rule { from: None, ..dead },
        ];
        assert_eq!(suspects(&others, &[]), []);
    }
}
