//! An ENI from creating to serving, and what stops it.

use crate::harness::{Bench, address, eni, mac, record, refused, unattached, unknown};
use model::call::{CREATED_AT_TAG, Call, INSTANCE_TAG, Reply, Scope, TOKEN_TAG};
use model::settings::{NodeSettings, WarmTargets};

#[test]
fn twenty_adds_on_a_fresh_m5_large_need_one_assign_and_two_enis() {
    let mut bench = Bench::serving(NodeSettings::default(), 0);
    for n in 0..20 {
        bench.add(&format!("c{n}"), &format!("web-{n}"));
    }
    let sizes: Vec<_> = bench
        .mutations()
        .into_iter()
        .map(|call| match call {
            Call::AssignAddresses { count, .. } => ("assign", *count),
            Call::CreateInterface(create) => ("create", create.secondary_addresses),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(
        sizes.iter().filter(|(kind, _)| *kind == "create").count(),
        2,
        "{sizes:?}"
    );
    assert_eq!(
        sizes.iter().map(|(_, count)| count).sum::<u32>(),
        27,
        "{sizes:?}"
    );
}

#[test]
fn a_new_eni_serves_pods_only_when_ec2_and_the_kernel_are_done_with_it() {
    let mut bench = Bench::serving(
        NodeSettings {
            max_enis: Some(2),
            ..NodeSettings::default()
        },
        9,
    );
    for n in 0..9 {
        bench.add(&format!("c{n}"), &format!("web-{n}"));
    }
    let add = bench.add("waits", "waits");
    let Call::CreateInterface(create) =
        bench.answer(Call::mutating, Ok(Reply::Created(unattached(1, 9))))
    else {
        panic!()
    };
    assert_eq!(create.description, "aws-K8S-i-1");
    assert_eq!(create.groups, ["sg-1".parse().unwrap()]);
    assert_eq!(create.tags[INSTANCE_TAG], "i-1");
    assert_eq!(create.tags[TOKEN_TAG], create.token.to_string());
    assert!(create.tags[CREATED_AT_TAG].ends_with('Z'));

    bench.answer(
        |call| matches!(call, Call::AttachInterface { .. }),
        Ok(Reply::Attached("eni-attach-1".parse().unwrap())),
    );
    bench.answer(
        |call| matches!(call, Call::DeleteOnTermination { .. }),
        Ok(Reply::Done),
    );
    bench.settle_host();
    assert_eq!(bench.granted(add), None, "its link is not there");
    bench.links.macs.insert(mac(1));
    bench.see_links();
    assert_eq!(
        bench.granted(add),
        None,
        "its table and rules are not there"
    );
    bench.settle_host();
    assert_eq!(bench.granted(add), Some(address(1, 1)));
}

#[test]
fn a_refused_attach_deletes_the_eni_and_is_not_met_again_at_once() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    bench.add("a", "web-0");
    bench.answer(Call::mutating, Ok(Reply::Created(unattached(1, 9))));
    bench.answer(
        |call| matches!(call, Call::AttachInterface { .. }),
        refused("AttachmentLimitExceeded"),
    );
    assert_eq!(bench.mutations(), [&Call::DeleteInterface { eni: eni(1) }]);
    bench.answer(Call::mutating, Ok(Reply::Done));
    bench.pass(10_000);
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
}

#[test]
fn an_eni_that_ec2_would_leave_behind_is_undone() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    bench.add("a", "web-0");
    bench.answer(Call::mutating, Ok(Reply::Created(unattached(1, 9))));
    bench.answer(
        |call| matches!(call, Call::AttachInterface { .. }),
        Ok(Reply::Attached("eni-attach-1".parse().unwrap())),
    );
    bench.answer(
        |call| matches!(call, Call::DeleteOnTermination { .. }),
        refused("UnauthorizedOperation"),
    );
    bench.answer(
        |call| matches!(call, Call::DetachInterface { .. }),
        Ok(Reply::Done),
    );
    bench.pass(1_000);
    bench.answer(
        |call| matches!(call, Call::DeleteInterface { .. }),
        Ok(Reply::Done),
    );
    assert_eq!(bench.node.view(bench.now().boot).enis.len(), 1);
}

#[test]
fn without_known_security_groups_nothing_is_created() {
    let mut bench = Bench::new(NodeSettings::default(), ipam::boot::Restored::default());
    let mut primary = record(0, 9);
    primary.groups.clear();
    let op = bench.imds.pop().unwrap();
    let mut metadata = crate::harness::metadata();
    metadata.groups.clear();
    bench.imds.push(op);
    bench.boot_with(metadata, vec![primary]);
    bench.add("a", "web-0");
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
}

#[test]
fn a_subnet_that_refuses_many_is_asked_for_fewer_and_then_left_alone() {
    let mut bench = Bench::serving(
        NodeSettings {
            max_enis: Some(1),
            ..NodeSettings::default()
        },
        0,
    );
    let add = bench.add("a", "web-0");
    let mut asked = vec![];
    for _ in 0..4 {
        let call = bench.answer(
            |call| matches!(call, Call::AssignAddresses { .. }),
            refused("InsufficientFreeAddressesInSubnet"),
        );
        let Call::AssignAddresses { count, .. } = call else {
            unreachable!()
        };
        asked.push(count);
        bench.pass(1);
    }
    assert_eq!(asked, [9, 4, 2, 1]);
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
    bench.pass(88_000);
    let _ = add;
}

#[test]
fn with_ip_targets_what_is_over_goes_back_and_the_rest_stays() {
    let targets = WarmTargets {
        warm_ip: 2,
        minimum_ip: 4,
        ..WarmTargets::default()
    };
    let mut bench = Bench::serving(
        NodeSettings {
            targets,
            ..NodeSettings::default()
        },
        9,
    );
    let call = bench.answer(Call::mutating, Ok(Reply::Done));
    let Call::UnassignAddresses { addresses, .. } = call else {
        panic!("{call}")
    };
    assert_eq!(addresses.len(), 5);
    assert_eq!(bench.node.view(bench.now().boot).stats.total, 4);
    bench.pass(120_000);
    assert!(bench.mutations().is_empty(), "{:?}", bench.call_names());
}

#[test]
fn while_ec2_attaches_no_more_enis_one_that_waits_for_it_is_given_back() {
    let mut bench = Bench::serving(NodeSettings::default(), 9);
    for n in 0..19 {
        bench.add(&format!("c{n}"), &format!("web-{n}"));
    }
    let create = |call: &Call| matches!(call, Call::CreateInterface(_));
    let attach = |n: u8| move |call: &Call| matches!(call, Call::AttachInterface { eni: it, .. } if *it == eni(n));
    for n in [1, 2] {
        bench.answer(create, Ok(Reply::Created(unattached(n, 9))));
    }
    bench.answer(attach(1), unknown());
    bench.answer(attach(2), refused("AttachmentLimitExceeded"));
    bench.pass(5_000);
    bench.answer(
        |call| matches!(call, Call::DescribeInterfaces(Scope::Ids(_))),
        Ok(Reply::Interfaces(vec![unattached(1, 9)])),
    );
    let given_back = |n| Call::DeleteInterface { eni: eni(n) };
    let mutations = bench.mutations();
    assert!(
        mutations.contains(&&given_back(1)) && mutations.contains(&&given_back(2)),
        "{:?}",
        bench.call_names()
    );
}
