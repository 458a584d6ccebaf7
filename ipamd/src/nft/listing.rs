//! What a table looks like, comparable: without handles and without an order where there is none. Must not: fail because
//! of something it does not know: that is a difference.

use super::json::objects;
use datapath::nat::TABLE;
use datapath::nat::ruleset::Ruleset;
use serde_json::Value;
use std::collections::BTreeMap;

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// Chains, sets and whatever else, by kind and name.
    objects: BTreeMap<(String, String), Value>,
    /// By chain, in their order.
    rules: BTreeMap<String, Vec<Value>>,
}

/// Numbers that the kernel gives.
const OF_THE_KERNEL: [&str; 3] = ["handle", "position", "index"];

impl Listing {
    /// What the table should look like; none when there should be none.
    pub(super) fn wanted(desired: &Ruleset) -> Option<Self> {
        let objects = objects(desired);
        (!desired.chains.is_empty()).then(|| Self::made_of(objects.iter()))
    }

    /// What `nft -j list table` showed.
    pub(super) fn of(shown: &Value) -> Self {
        Self::made_of(entries(shown))
    }

    fn made_of<'a>(entries: impl Iterator<Item = &'a Value>) -> Self {
        let mut listing = Self::default();
        let objects = entries.filter_map(Value::as_object).flatten();
        for (kind, body) in objects.filter(|(kind, _)| *kind != "metainfo") {
            let mut body = plain(body);
            let text =
                |body: &Value, name: &str| body[name].as_str().unwrap_or_default().to_owned();
            if kind == "rule" {
                let chain = text(&body, "chain");
                listing.rules.entry(chain).or_default().push(body);
                continue;
            }
            if let Some(Value::Array(elements)) = body.get_mut("elem") {
                elements.sort_by_key(Value::to_string);
            }
            let name = text(&body, "name");
            listing.objects.insert((kind.clone(), name), body);
        }
        listing
    }
}

/// Whether our table is among the tables that `nft -j list tables ip` showed.
pub(super) fn has_table(shown: &Value) -> bool {
    entries(shown).any(|entry| entry["table"]["name"] == TABLE && entry["table"]["family"] == "ip")
}

fn entries(shown: &Value) -> impl Iterator<Item = &Value> {
    shown["nftables"].as_array().into_iter().flatten()
}

/// An object without what the kernel gave it.
fn plain(body: &Value) -> Value {
    let mut body = words(body);
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|name, _| !OF_THE_KERNEL.contains(&name.as_str()));
    }
    body
}

/// The same with all flags as lists: some versions show a single one as a word.
fn words(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(words).collect(),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| match (name.as_str(), value) {
                    ("flags", Value::String(_)) => {
                        (name.clone(), Value::Array(vec![value.clone()]))
                    }
                    _ => (name.clone(), words(value)),
                });
            Value::Object(fields.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(entries: &[Value]) -> Listing {
        Listing::of(&json!({"nftables": entries}))
    }

    #[test]
    fn handles_versions_and_the_order_of_elements_make_no_difference() {
        let one = shown(&[
            json!({"metainfo": {"version": "1.0.6"}}),
            json!({"set": {"name": "s", "handle": 4, "flags": ["interval"], "elem": ["a", {"b": 1}]}}),
            json!({"rule": {"chain": "c", "handle": 7, "expr": [1]}}),
        ]);
        let other = shown(&[
            json!({"rule": {"chain": "c", "handle": 9, "expr": [1]}}),
            json!({"set": {"name": "s", "handle": 1, "flags": "interval", "elem": [{"b": 1}, "a"]}}),
        ]);
        assert_eq!(one, other);
    }

    #[test]
    fn another_rule_order_chain_or_object_is_a_difference() {
        let rule =
            |chain: &str, expression: u8| json!({"rule": {"chain": chain, "expr": [expression]}});
        let both = shown(&[rule("c", 1), rule("c", 2)]);
        for other in [
            vec![rule("c", 2), rule("c", 1)],
            vec![rule("c", 1), rule("d", 2)],
            vec![rule("c", 1)],
            vec![rule("c", 1), rule("c", 2), json!({"map": {"name": "m"}})],
        ] {
            assert_ne!(shown(&other), both, "{other:?}");
        }
    }

    #[test]
    fn our_table_is_found_by_family_and_name() {
        let tables = |name: &str, family: &str| json!({"nftables": [{"metainfo": {}}, {"table": {"name": name, "family": family}}]});
        assert!(has_table(&tables("aws-vpc-node", "ip")));
        assert!(!has_table(&tables("aws-vpc-node", "inet")));
        assert!(!has_table(&tables("aws-cni", "ip")));
        assert!(!has_table(&json!({})));
    }

    #[test]
    fn no_ruleset_is_no_listing() {
        assert_eq!(Listing::wanted(&Ruleset::default()), None);
    }
}
