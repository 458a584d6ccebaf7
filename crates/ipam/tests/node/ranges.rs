//! The VPC's ranges change while the node runs: the kernel gets the new ones, and a bad read takes none away.

use crate::harness::{Bench, metadata};
use ipam::event::{Event, Outcome};
use ipam::notice::Notice;
use ipnetwork::Ipv4Network;
use model::imds::InstanceMetadata;
use model::settings::NodeSettings;

fn ranges(list: &[&str]) -> Vec<Ipv4Network> {
    list.iter().map(|range| range.parse().unwrap()).collect()
}

fn with(list: &[&str]) -> InstanceMetadata {
    InstanceMetadata {
        vpc_cidrs: ranges(list),
        ..metadata()
    }
}

/// Lets a minute pass, in which the metadata are read once, with this answer.
fn read(bench: &mut Bench, answer: Result<InstanceMetadata, String>) {
    bench.pass(75_000);
    assert_eq!(bench.imds.len(), 1, "one read at a time");
    let op = bench.imds.pop().unwrap();
    bench.event(Event::Done(op, Outcome::Imds(answer.map(Box::new))));
}

fn desired(bench: &Bench) -> (u64, Vec<Ipv4Network>) {
    let (version, desired) = bench.host.clone().expect("the node serves");
    (version, desired.vpc)
}

#[test]
fn the_kernel_is_told_the_nodes_address_and_the_vpcs_ranges() {
    let bench = Bench::serving(NodeSettings::default(), 9);
    let (_, desired) = bench.host.clone().unwrap();
    assert_eq!(desired.address, metadata().local_ipv4);
    assert_eq!(desired.vpc, ranges(&["10.0.0.0/16"]));
}

#[test]
fn a_range_that_is_added_or_taken_away_reaches_the_kernel_within_a_minute_or_so() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    let (version, _) = desired(&bench);
    read(&mut bench, Ok(with(&["100.64.0.0/16", "10.0.0.0/16"])));
    let both = ranges(&["10.0.0.0/16", "100.64.0.0/16"]);
    assert_eq!(desired(&bench), (version + 1, both));
    assert!(
        bench
            .notices
            .iter()
            .any(|it| matches!(it, Notice::RangesChanged(_)))
    );
    read(&mut bench, Ok(with(&["10.0.0.0/16"])));
    assert_eq!(desired(&bench), (version + 2, ranges(&["10.0.0.0/16"])));
}

#[test]
fn the_same_ranges_in_another_order_are_no_news() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    read(&mut bench, Ok(with(&["10.0.0.0/16", "100.64.0.0/16"])));
    let before = (desired(&bench), bench.notices.len());
    read(&mut bench, Ok(with(&["100.64.0.0/16", "10.0.0.0/16"])));
    assert_eq!((desired(&bench), bench.notices.len()), before);
}

#[test]
fn a_read_that_fails_or_has_no_ranges_or_is_another_instances_keeps_the_old_ones() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    let before = desired(&bench);
    let other = InstanceMetadata {
        instance: "i-2".parse().unwrap(),
        ..with(&["192.168.0.0/16"])
    };
    for answer in [
        Err("vpc-ipv4-cidr-blocks: 404".to_owned()),
        Ok(with(&[])),
        Ok(other),
    ] {
        read(&mut bench, answer);
        assert_eq!(desired(&bench), before);
    }
    let untold = bench
        .notices
        .iter()
        .filter(|it| matches!(it, Notice::RangesUnread(_)));
    assert_eq!(untold.count(), 3);
    read(&mut bench, Ok(with(&["100.64.0.0/16"])));
    assert_eq!(desired(&bench).1, ranges(&["100.64.0.0/16"]));
}

#[test]
fn only_the_ranges_are_taken_from_metadata_that_are_read_again() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    let (_, before) = bench.host.clone().unwrap();
    let lie = InstanceMetadata {
        local_ipv4: "10.0.1.99".parse().unwrap(),
        primary_mac: crate::harness::mac(77),
        groups: vec![],
        ..metadata()
    };
    read(&mut bench, Ok(lie));
    assert_eq!(bench.host.clone().unwrap().1, before);
}
