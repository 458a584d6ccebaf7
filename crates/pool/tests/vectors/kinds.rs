//! One function per kind of vector: what this crate, `config` and `model` compute for it. Must not: look at what the
//! vector expects.

use crate::build::{NOW, Vector, eni_id, new_eni};
use crate::steady::{oscillation, release, steady_state};
use model::error::{CallError, Class, classify};
use model::limits::{Hypervisor, InstanceLimits};
use model::settings::WarmTargets;
use pool::grow::{Demand, Growth, plan_growth};
use pool::inventory::Inventory;
use pool::room::enis_left;
use pool::shrink::deletable_enis;
use pool::targets::{assess, may_free_eni, prefixes_for};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;

/// Why there is no verdict.
pub(crate) struct NotYet(pub(crate) String);

/// Computed outputs by the name a vector gives them.
pub(crate) type Outputs = BTreeMap<&'static str, Value>;
type Compute = fn(&Vector) -> Result<Outputs, NotYet>;

/// The function of a kind.
pub(crate) fn of(kind: &str) -> Result<Compute, NotYet> {
    Ok(match kind {
        "target_state" | "pool_low" | "pool_high" => assessment,
        "stats" => stats,
        "env_parse" => env_parse,
        "instance_limits" => instance_limits,
        "error_class" => error_class,
        "arith" => arith,
        "assign_clamp" => assign_clamp,
        "room" => room,
        "increase" => increase,
        "decrease" => decrease,
        "deletable" | "remove_extra" => removal,
        "steady_state" => steady_state,
        "oscillation" => oscillation,
        _ => return Err(not_yet("this kind is not built")),
    })
}

pub(crate) fn not_yet(why: &str) -> NotYet {
    NotYet(why.to_owned())
}

/// Kinds that need an inventory have only secondary addresses yet, and none of the features `config` refuses.
pub(crate) fn only_secondary(vector: &Vector) -> Result<(), NotYet> {
    if !vector.is_secondary() {
        return Err(not_yet("prefix delegation"));
    }
    match config::resolve(&vector.env) {
        Ok(_) => Ok(()),
        Err(refused) => Err(NotYet(refused[0].why.clone())),
    }
}

fn assessment(vector: &Vector) -> Result<Outputs, NotYet> {
    if !vector.is_secondary() && vector.state.network_card > 0 {
        return Err(not_yet(
            "prefix delegation on other cards, where upstream mixes its units",
        ));
    }
    let counts = vector.counts();
    let got = assess(&counts, &vector.targets(), &vector.limits());
    Ok(BTreeMap::from([
        ("targets_defined", json!(got.targets_defined)),
        ("short", json!(got.short)),
        ("over", json!(got.over)),
        ("pool_low", json!(got.too_low)),
        ("pool_high", json!(got.too_high)),
        ("free_prefixes", json!(counts.free_prefixes)),
    ]))
}

fn stats(vector: &Vector) -> Result<Outputs, NotYet> {
    only_secondary(vector)?;
    let inventory = vector.inventory();
    let stats = inventory.stats(NOW);
    Ok(BTreeMap::from([
        ("total_ips", json!(stats.total)),
        ("assigned_ips", json!(stats.held)),
        ("cooldown_ips", json!(stats.cooling)),
        ("available_ips", json!(stats.available)),
        ("total_prefixes", json!(inventory.prefixes().count())),
    ]))
}

fn env_parse(vector: &Vector) -> Result<Outputs, NotYet> {
    let (config, _) =
        config::resolve(&vector.env).map_err(|refused| NotYet(refused[0].why.clone()))?;
    let targets = config.node.targets;
    let mut outputs = BTreeMap::from([
        ("WARM_ENI_TARGET", json!(targets.warm_eni)),
        ("WARM_IP_TARGET", json!(targets.warm_ip)),
        ("MINIMUM_IP_TARGET", json!(targets.minimum_ip)),
        ("WARM_PREFIX_TARGET", json!(targets.warm_prefix)),
    ]);
    if let Some(instance) = vector.number("instance_eni_limit") {
        outputs.insert(
            "max_eni",
            json!(config.node.max_enis.unwrap_or(u32::MAX).min(instance)),
        );
    }
    Ok(outputs)
}

fn instance_limits(vector: &Vector) -> Result<Outputs, NotYet> {
    only_secondary(vector)?;
    let described = vector.state.more.get("describe_instance_types");
    let of_type = |name| {
        described
            .and_then(|d| d[name].as_u64())
            .and_then(|n| u32::try_from(n).ok())
    };
    let addresses = vector
        .number("ipv4_per_eni_limit")
        .or_else(|| of_type("Ipv4AddressesPerInterface"));
    let limits = InstanceLimits {
        enis_per_card: of_type("MaximumNetworkInterfaces")
            .and_then(NonZeroU32::new)
            .into_iter()
            .collect(),
        addresses_per_eni: addresses
            .and_then(NonZeroU32::new)
            .ok_or_else(|| not_yet("no limit given"))?,
        hypervisor: Hypervisor::Unknown,
        bare_metal: false,
    };
    Ok(BTreeMap::from([
        ("max_ips_per_eni", json!(limits.slots_per_eni())),
        // Without prefix delegation no slot takes a prefix.
        ("max_prefixes_per_eni", json!(0)),
        ("instance_eni_limit", json!(limits.enis())),
    ]))
}

fn error_class(vector: &Vector) -> Result<Outputs, NotYet> {
    let code = vector
        .state
        .more
        .get("ec2_error_code")
        .and_then(Value::as_str)
        .ok_or_else(|| not_yet("no code"))?;
    let class = match classify(code, "", 400) {
        CallError::Refused(refusal) => Some(refusal.class),
        CallError::Unknown(_) => None,
    };
    let full = matches!(class, Some(Class::SubnetFull | Class::SubnetFragmented));
    Ok(BTreeMap::from([
        ("insufficient_addresses", json!(full)),
        (
            "ip_limit_exceeded",
            json!(class == Some(Class::AddressLimit)),
        ),
    ]))
}

fn arith(vector: &Vector) -> Result<Outputs, NotYet> {
    match (vector.number("x"), vector.number("y")) {
        (Some(x), Some(16)) => Ok(BTreeMap::from([(
            "value",
            json!(prefixes_for(i64::from(x))),
        )])),
        _ => Err(not_yet(
            "a division by another number than the size of a prefix does not occur",
        )),
    }
}

fn assign_clamp(vector: &Vector) -> Result<Outputs, NotYet> {
    let (Some(limit), Some(wanted)) =
        (vector.number("ipv4_per_eni_limit"), vector.number("wanted"))
    else {
        return Err(not_yet("no limit given"));
    };
    // One more address is there and held, so that a target of no free address is one that counts.
    let mut limits = vector.limits();
    (limits.slots_per_eni, limits.max_enis) = (limit, 1);
    let mut inventory = Inventory::new(limits);
    inventory.insert_eni(new_eni(eni_id("p"), 0));
    inventory.add_address(&eni_id("p"), Ipv4Addr::new(10, 0, 0, 1));
    inventory.hold_by_link(Ipv4Addr::new(10, 0, 0, 1));
    let targets = WarmTargets {
        warm_ip: wanted,
        minimum_ip: 1,
        ..WarmTargets::default()
    };
    let requested =
        match plan_growth(&inventory, &targets, &Demand::default(), &|_| false, NOW).as_slice() {
            [Growth::Assign { count, .. }] => *count,
            _ => 0,
        };
    Ok(BTreeMap::from([
        ("requested", json!(requested)),
        ("ec2_called", json!(requested > 0)),
    ]))
}

fn room(vector: &Vector) -> Result<Outputs, NotYet> {
    only_secondary(vector)?;
    Ok(BTreeMap::from([(
        "has_room_for_eni",
        json!(enis_left(&vector.inventory(), 0) > 0),
    )]))
}

fn increase(vector: &Vector) -> Result<Outputs, NotYet> {
    only_secondary(vector)?;
    let inventory = vector.inventory();
    let plan = plan_growth(
        &inventory,
        &vector.targets(),
        &Demand::default(),
        &|_| false,
        NOW,
    );
    let first = match plan.first() {
        None => json!({"op": "none", "count": 0}),
        Some(Growth::Create { secondary }) => json!({"op": "create", "count": secondary}),
        Some(Growth::Assign { eni, count }) => {
            json!({"op": "assign", "eni": short_name(eni.as_str()), "count": count})
        }
    };
    Ok(BTreeMap::from([("first_request", first)]))
}

fn decrease(vector: &Vector) -> Result<Outputs, NotYet> {
    only_secondary(vector)?;
    let mut inventory = vector.inventory();
    let (freed, batches) = release(&mut inventory, &vector.targets(), NOW);
    let over = assess(
        &inventory.stats(NOW).into(),
        &vector.targets(),
        inventory.limits(),
    )
    .over;
    let (again, _) = release(&mut inventory, &vector.targets(), NOW);
    Ok(BTreeMap::from([
        ("freed_ips_total", json!(freed)),
        ("unassign_ip_batches", json!(batches)),
        ("over_after", json!(over)),
        ("second_pass_frees", json!(again)),
    ]))
}

fn removal(vector: &Vector) -> Result<Outputs, NotYet> {
    only_secondary(vector)?;
    if vector.has_excluded() {
        return Err(not_yet("freeing excluded ENIs"));
    }
    let inventory = vector.inventory();
    let deletable = deletable_enis(&inventory, &vector.targets(), NOW);
    let names: Vec<_> = deletable
        .iter()
        .map(|eni| short_name(eni.as_str()))
        .collect();
    let remove = may_free_eni(&vector.counts(), &vector.targets(), inventory.limits());
    Ok(BTreeMap::from([
        ("deletable_enis", json!(names)),
        ("remove_extra_enis", json!(remove)),
    ]))
}

/// The id as the vector writes it.
fn short_name(id: &str) -> &str {
    match id.strip_prefix("eni-") {
        Some(short) if short.len() == 1 && short.chars().all(char::is_alphabetic) => short,
        _ => id,
    }
}
