//! Our values → the JSON that `nft` reads and shows (libnftables-json(5)). Must not: run it.

use datapath::Mark;
use datapath::nat::TABLE;
use datapath::nat::ruleset::{Action, Chain, Condition, Hook, Links, Rule, Ruleset};
use model::settings::RandomizeSnat;
use serde_json::{Value, json};

const FAMILY: &str = "ip";
/// The set of ranges.
const DIRECT: &str = "direct";

/// What makes the table this one, whatever it was, at once. A table that is added is there if it was not.
pub(super) fn transaction(desired: &Ruleset) -> Value {
    let table = table();
    let mut commands = vec![json!({"add": table}), json!({"delete": table})];
    if !desired.chains.is_empty() {
        commands.extend(
            objects(desired)
                .into_iter()
                .map(|object| json!({"add": object})),
        );
    }
    json!({"nftables": commands})
}

/// The table and what is in it, each before what refers to it.
pub(super) fn objects(desired: &Ruleset) -> Vec<Value> {
    let mut objects = vec![table()];
    if !desired.direct.is_empty() {
        objects.push(ranges(desired));
    }
    for chain in &desired.chains {
        objects.push(head(chain));
        objects.extend(chain.rules.iter().map(|rule| {
            json!({"rule": {"family": FAMILY, "table": TABLE, "chain": chain.name, "expr": expression(rule)}})
        }));
    }
    objects
}

fn table() -> Value {
    json!({"table": {"family": FAMILY, "name": TABLE}})
}

fn ranges(desired: &Ruleset) -> Value {
    let elements = desired.direct.iter().map(|range| match range.prefix() {
        32 => json!(range.ip()),
        length => json!({"prefix": {"addr": range.network(), "len": length}}),
    });
    json!({"set": {
        "family": FAMILY, "table": TABLE, "name": DIRECT, "type": "ipv4_addr", "flags": ["interval"],
        "elem": elements.collect::<Vec<_>>(),
    }})
}

fn head(chain: &Chain) -> Value {
    let mut head = json!({"family": FAMILY, "table": TABLE, "name": chain.name});
    if let Some(hook) = chain.hook {
        let (kind, point, priority) = place(hook);
        head["type"] = json!(kind);
        head["hook"] = json!(point);
        head["prio"] = json!(priority);
        head["policy"] = json!("accept");
    }
    json!({"chain": head})
}

/// Type, hook and priority. A Service's address is replaced at -100 (kube-proxy, whatever its mode), upstream's rules are
/// at -150 and -90, connection tracking is at -200.
fn place(hook: Hook) -> (&'static str, &'static str, i32) {
    match hook {
        Hook::Arrival => ("filter", "prerouting", -150),
        Hook::Routing => ("filter", "prerouting", 0),
        Hook::Answer => ("route", "output", -150),
        Hook::Departure => ("nat", "postrouting", 100),
    }
}

fn expression(rule: &Rule) -> Vec<Value> {
    let conditions = rule.when.iter().flat_map(condition);
    conditions.chain([action(&rule.then)]).collect()
}

fn condition(condition: &Condition) -> Vec<Value> {
    let direction = |way: &str| compare("==", json!({"ct": {"key": "direction"}}), json!(way));
    let fate = |flags: Value| json!({"fib": {"result": "type", "flags": flags}});
    match condition {
        Condition::From(links) => {
            let name = match links {
                Links::Named(name) => name.clone(),
                Links::Prefixed(prefix) => format!("{prefix}*"),
            };
            vec![compare(
                "==",
                json!({"meta": {"key": "iifname"}}),
                json!(name),
            )]
        }
        Condition::Opens => vec![
            compare("in", json!({"ct": {"key": "state"}}), json!("new")),
            direction("original"),
        ],
        Condition::Answers => vec![direction("reply")],
        Condition::ToThisLink => vec![compare("==", fate(json!(["daddr", "iif"])), json!("local"))],
        Condition::ToOthers => vec![compare("!=", fate(json!(["daddr"])), json!("local"))],
        Condition::Outside => {
            let destination = json!({"payload": {"protocol": "ip", "field": "daddr"}});
            vec![compare("!=", destination, json!(format!("@{DIRECT}")))]
        }
        Condition::Flow(mark) => vec![under("==", flow_mark(), *mark)],
        Condition::FlowNot(mark) => vec![under("!=", flow_mark(), *mark)],
        Condition::PacketNot(mark) => vec![under("!=", packet_mark(), *mark)],
    }
}

fn action(action: &Action) -> Value {
    match action {
        Action::MarkFlow(mark) => set(flow_mark(), *mark),
        Action::MarkPacket(mark) => set(packet_mark(), *mark),
        Action::Call(chain) => json!({"jump": {"target": chain}}),
        Action::Leave => json!({"return": null}),
        Action::Translate { to, ports } => {
            let flag = match ports {
                RandomizeSnat::Prng => Some("fully-random"),
                RandomizeSnat::HashRandom => Some("random"),
                RandomizeSnat::None => None,
            };
            let mut snat = json!({"addr": to});
            if let Some(flag) = flag {
                snat["flags"] = json!(flag);
            }
            json!({"snat": snat})
        }
    }
}

fn flow_mark() -> Value {
    json!({"ct": {"key": "mark"}})
}

fn packet_mark() -> Value {
    json!({"meta": {"key": "mark"}})
}

fn compare(operator: &str, left: Value, right: Value) -> Value {
    json!({"match": {"op": operator, "left": left, "right": right}})
}

fn under(operator: &str, of: Value, mark: Mark) -> Value {
    compare(operator, json!({"&": [of, mark.mask]}), json!(mark.value))
}

/// Gives the bits of the mask the value. The kernel keeps a mask and bits to flip; this is how `nft` shows them again.
fn set(of: Value, mark: Mark) -> Value {
    let kept = !mark.mask | mark.value;
    let cleared = match kept {
        u32::MAX => of.clone(),
        kept => json!({"&": [of, kept]}),
    };
    let value = match mark.value {
        0 => cleared,
        value => json!({"|": [cleared, value]}),
    };
    json!({"mangle": {"key": of, "value": value}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_set_as_nft_shows_it() {
        let key = flow_mark();
        let value = |value, mask| set(flow_mark(), Mark { value, mask })["mangle"]["value"].clone();
        assert_eq!(value(0x80, 0x80), json!({"|": [key, 0x80]}));
        assert_eq!(value(0, 0x80), json!({"&": [key, 0xffff_ff7f_u32]}));
        let both = json!({"|": [{"&": [key, 0xffff_ff8f_u32]}, 8]});
        assert_eq!(value(8, 0x78), both);
    }

    #[test]
    fn no_ruleset_is_no_table() {
        let table = json!({"table": {"family": "ip", "name": "aws-vpc-node"}});
        assert_eq!(
            transaction(&Ruleset::default()),
            json!({"nftables": [{"add": table}, {"delete": table}]})
        );
    }

    #[test]
    fn an_address_alone_is_no_range() {
        let ruleset = Ruleset {
            direct: vec![
                "9.9.9.9/32".parse().unwrap(),
                "10.0.0.0/16".parse().unwrap(),
            ],
            chains: vec![],
        };
        let elements = &ranges(&ruleset)["set"]["elem"];
        assert_eq!(
            *elements,
            json!(["9.9.9.9", {"prefix": {"addr": "10.0.0.0", "len": 16}}])
        );
    }
}
