//! Observed and desired state → the ordered changes between them. Pure.
//! Must not: look at anything but its arguments; the caller limits what was observed to what is ours to change.

use std::collections::BTreeSet;
use std::fmt;

use crate::value::{Link, Object, Scope, Setting};

/// One step, named so that undoing it is another step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Set {
        link: u32,
        from: Setting,
        to: Setting,
    },
    Add(Object),
    /// Puts `new` where the kernel holds `old` or, when that is unknown, anything that `new` excludes.
    Replace {
        old: Option<Object>,
        new: Object,
    },
    Remove(Object),
}

/// What a link should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkWish {
    pub mtu: u32,
    pub rp_filter: u32,
}

/// The changes that turn `observed` into `desired`: nothing routed is without its route or rule in between, and
/// nothing is added before what it needs.
pub fn diff(observed: &BTreeSet<Object>, desired: &BTreeSet<Object>) -> Vec<Change> {
    let mut surplus: Vec<&Object> = observed.difference(desired).collect();
    let mut changes = Vec::new();
    let mut crowded = Vec::new();
    for new in desired.difference(observed) {
        let (mut rivals, others): (Vec<_>, Vec<_>) =
            surplus.into_iter().partition(|old| old.excludes(new));
        surplus = others;
        match rivals.pop() {
            Some(old) => changes.push(Change::Replace {
                old: Some(old.clone()),
                new: new.clone(),
            }),
            None => changes.push(Change::Add(new.clone())),
        }
        // The kernel replaces the first of several rivals, so only one may be left when it does.
        crowded.extend(rivals.into_iter().cloned().map(Change::Remove));
    }
    changes.extend(surplus.into_iter().cloned().map(Change::Remove));
    changes.sort_by_key(rank);
    crowded.append(&mut changes);
    crowded
}

/// The changes that give `link` what is wished for, and put it up.
pub fn link_changes(link: &Link, wish: LinkWish) -> Vec<Change> {
    let set = |from, to| {
        (from != to).then_some(Change::Set {
            link: link.index,
            from,
            to,
        })
    };
    let filter = |value| set(Setting::RpFilter(value), Setting::RpFilter(wish.rp_filter));
    let mtu = set(Setting::Mtu(link.mtu), Setting::Mtu(wish.mtu));
    let up = set(Setting::Up(link.up), Setting::Up(true));
    [mtu, link.rp_filter.and_then(filter), up]
        .into_iter()
        .flatten()
        .collect()
}

/// Addresses go before they come: the kernel may drop a link's secondary addresses with its first. Everything else
/// comes before it goes; a gateway is reached through a link-scope route, so that one is there first and goes last.
fn rank(change: &Change) -> u8 {
    match change {
        Change::Set { .. } => 0,
        Change::Remove(Object::Address(_)) => 1,
        Change::Add(object) | Change::Replace { new: object, .. } => match object {
            Object::Address(_) => 2,
            Object::Route(route) if route.scope == Scope::Link => 3,
            Object::Route(_) => 4,
            Object::Neighbour(_) => 5,
            Object::Rule(_) => 6,
        },
        Change::Remove(Object::Rule(_)) => 7,
        Change::Remove(Object::Neighbour(_)) => 8,
        Change::Remove(Object::Route(route)) if route.scope == Scope::Link => 10,
        Change::Remove(Object::Route(_)) => 9,
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { link, from, to } => write!(f, "set link {link} from {from} to {to}"),
            Self::Add(object) => write!(f, "add {object}"),
            Self::Replace {
                old: Some(old),
                new,
            } => write!(f, "replace {old} by {new}"),
            Self::Replace { old: None, new } => write!(f, "put {new}"),
            Self::Remove(object) => write!(f, "remove {object}"),
        }
    }
}

#[cfg(test)]
mod tests;
