//! A node at its limit: nobody waits in vain, nobody is refused who could be served, EC2 is left alone.

use crate::harness::{Bench, address, metadata, record};
use ipam::boot::Restored;
use model::eni::{EniAddress, EniRecord};
use model::settings::NodeSettings;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

const PODS: usize = 116;
const CHURN: usize = 110;

/// An m5.4xlarge with MAX_ENI=4: four ENIs of 29 addresses, all held by pods with links, for five minutes.
fn crowded() -> (Bench, Vec<u64>) {
    let settings = NodeSettings {
        max_enis: Some(4),
        ..NodeSettings::default()
    };
    let mut bench = Bench::new(settings, Restored::default());
    let mut metadata = metadata();
    metadata.instance_type = "m5.4xlarge".into();
    bench.boot_with(metadata, (0..4).map(wide).collect());
    let adds: Vec<_> = (0..PODS)
        .map(|n| bench.add(&format!("old-{n}"), &format!("old-{n}")))
        .collect();
    let addresses: BTreeSet<_> = adds
        .iter()
        .map(|add| bench.granted(*add).unwrap())
        .collect();
    assert_eq!(addresses.len(), PODS);
    for n in 0..PODS {
        bench.links.names.insert(link(n));
    }
    for _ in 0..10 {
        bench.see_links();
        bench.pass(30_000);
    }
    bench.calls.clear();
    (bench, adds)
}

fn wide(n: u8) -> EniRecord {
    let mut record = record(n, 0);
    let more = (1..=29).map(|k| EniAddress {
        address: Ipv4Addr::new(10, 0, 100 + n, k),
        primary: false,
    });
    record.addresses.extend(more);
    record
}

fn link(n: usize) -> String {
    format!(
        "eni{}",
        crate::harness::pod(&format!("old-{n}")).link_suffix(0)
    )
}

/// 110 pods end and 110 others come, one after the other within 2 s; the DEL of each for which `lost` holds never comes.
/// Returns when each new ADD was answered, in milliseconds after the first.
fn churn(lost: impl Fn(usize) -> bool) -> Vec<u64> {
    let (mut bench, old) = crowded();
    let began = bench.at;
    let mut waiting = Vec::new();
    for n in 0..CHURN {
        if !lost(n) {
            bench.del(&format!("old-{n}"));
        }
        bench.links.names.remove(&link(n));
        bench.see_links();
        bench.pass(9);
        waiting.push(bench.add(&format!("new-{n}"), &format!("new-{n}")));
        bench.pass(9);
    }
    assert!(bench.at - began < 2_000);
    let mut answered = vec![None; CHURN];
    while answered.contains(&None) && bench.at < began + 95_000 {
        bench.pass(1_000);
        if (bench.at - began) / 1_000 % 30 == 0 {
            bench.see_links();
        }
        for (slot, add) in answered.iter_mut().zip(&waiting) {
            if slot.is_none() && bench.replies.contains_key(add) {
                assert!(bench.granted(*add).is_some(), "{}", bench.refusal(*add));
                *slot = Some(bench.at - began);
            }
        }
    }
    let before: BTreeSet<_> = old[..CHURN].iter().map(|add| bench.granted(*add)).collect();
    let after: BTreeSet<_> = waiting.iter().map(|add| bench.granted(*add)).collect();
    assert_eq!(after, before, "the same addresses, each once");
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
    answered
        .into_iter()
        .map(|at| at.expect("every ADD is served"))
        .collect()
}

#[test]
fn pods_that_replace_pods_on_a_full_node_are_served_when_cooldowns_end_without_an_ec2_mutation() {
    let answered = churn(|_| false);
    assert!(
        answered.iter().all(|at| (30_000..=33_000).contains(at)),
        "{answered:?}"
    );
}

#[test]
fn the_same_when_a_fifth_of_the_dels_never_comes() {
    let answered = churn(|n| n % 5 == 0);
    assert!(answered.iter().all(|at| *at < 88_000), "{answered:?}");
    let at_once = answered.iter().filter(|at| **at <= 33_000).count();
    assert_eq!(at_once, CHURN * 4 / 5);
}

#[test]
fn twenty_seven_pods_fit_an_m5_large_and_the_next_is_refused_at_once_with_the_limit() {
    let mut bench = Bench::new(NodeSettings::default(), Restored::default());
    bench.boot((0..3).map(|n| record(n, 9)).collect());
    let adds: Vec<_> = (0..28)
        .map(|n| bench.add(&format!("c{n}"), &format!("web-{n}")))
        .collect();
    let addresses: BTreeSet<_> = adds[..27]
        .iter()
        .map(|add| bench.granted(*add).unwrap())
        .collect();
    assert_eq!(addresses.len(), 27);
    assert!(
        !addresses.contains(&address(0, 0)),
        "never a primary address"
    );
    assert!(
        bench
            .refusal(adds[27])
            .starts_with("node limit 27: 27 addresses are held")
    );
}
