//! Table: each action with one success and each of its errors, reached by state.

use crate::world::{World, ZONE, assign, attach, attach_on_card, block, cidr, id, modify, run};
use model::card::NetworkCard;
use model::eni::EniKind;
use model::id::{AttachmentId, EniId};
use model::time::Instant;
use std::net::Ipv4Addr;
use vpc::{
    Action, Answer, Caller, Code, CreateInterface, DescribeInterfaces, Filter, InstanceState,
    Modification, Request, Rule, Source, Tags, Verdict, Wanted,
};

fn tags(count: usize) -> Tags {
    (0..count)
        .map(|n| (format!("key-{n}"), String::new()))
        .collect()
}

#[test]
fn vpcs_and_subnets_have_ranges_that_ec2_allows() {
    let mut w = World::new();
    assert_eq!(
        w.code(Request::CreateVpc {
            cidr: cidr("10.0.0.0/8")
        }),
        Code::VpcRange
    );
    let subnet = |vpc: &str, range: &str, zone: &str| Request::CreateSubnet {
        vpc: id(vpc),
        cidr: cidr(range),
        zone: zone.to_owned(),
        tags: Tags::new(),
    };
    let own = w.network.to_string();
    assert_eq!(
        w.code(subnet("vpc-0", "10.0.3.0/24", ZONE)),
        Code::VpcNotFound
    );
    assert_eq!(w.code(subnet(&own, "10.1.0.0/24", ZONE)), Code::SubnetRange);
    assert_eq!(w.code(subnet(&own, "10.0.3.0/29", ZONE)), Code::SubnetRange);
    assert_eq!(
        w.code(subnet(&own, "10.0.1.128/25", ZONE)),
        Code::SubnetConflict
    );
    assert_eq!(
        w.code(subnet(&own, "10.0.3.0/24", "")),
        Code::InvalidParameterValue
    );
    let more = |range| Request::AssociateVpcCidrBlock {
        vpc: id(&own),
        cidr: cidr(range),
    };
    assert_eq!(w.code(more("10.0.4.0/24")), Code::VpcRange);
    assert_eq!(
        w.code(Request::AssociateVpcCidrBlock {
            vpc: id("vpc-0"),
            cidr: cidr("10.1.0.0/16")
        }),
        Code::VpcNotFound
    );
    assert_eq!(w.ask(more("10.1.0.0/16")), Ok(Answer::Done));
    let Ok(Answer::Subnet(view)) = w.ask(subnet(&own, "10.1.0.0/28", ZONE)) else {
        panic!("a subnet")
    };
    assert_eq!((view.record.available, view.zone.as_str()), (11, ZONE));
}

#[test]
fn groups_are_made_opened_and_closed() {
    let mut w = World::new();
    let group = w.group("web");
    let create = |vpc: &str| Request::CreateSecurityGroup {
        vpc: id(vpc),
        name: "web".to_owned(),
        description: String::new(),
    };
    let own = w.network.to_string();
    assert_eq!(w.code(create(&own)), Code::GroupDuplicate);
    assert_eq!(w.code(create("vpc-0")), Code::VpcNotFound);
    let open = |id: &_, rule| Request::AuthorizeSecurityGroupIngress {
        group: Clone::clone(id),
        rules: vec![rule],
    };
    let close = |id: &_, rule| Request::RevokeSecurityGroupIngress {
        group: Clone::clone(id),
        rules: vec![rule],
    };
    assert_eq!(w.ask(open(&group, Rule::everything())), Ok(Answer::Done));
    assert_eq!(
        w.code(open(&group, Rule::everything())),
        Code::PermissionDuplicate
    );
    assert_eq!(
        w.code(open(&id("sg-0"), Rule::everything())),
        Code::GroupNotFound
    );
    let unknown = Rule {
        source: Source::Group(id("sg-0")),
        ..Rule::everything()
    };
    assert_eq!(w.code(open(&group, unknown)), Code::GroupNotFound);
    assert_eq!(w.ask(close(&group, Rule::everything())), Ok(Answer::Done));
    assert_eq!(
        w.code(close(&group, Rule::everything())),
        Code::PermissionNotFound
    );
    assert_eq!(
        w.code(close(&id("sg-0"), Rule::everything())),
        Code::GroupNotFound
    );
}

#[test]
fn instances_run_with_a_primary_eni_and_take_it_along() {
    let mut w = World::new();
    assert_eq!(
        w.code(run("m5.tiny", w.subnet.clone())),
        Code::InvalidParameterValue
    );
    assert_eq!(
        w.code(run("m5.large", id("subnet-0"))),
        Code::SubnetNotFound
    );
    let kept = w.create(Wanted::Count(0));
    let taken = w.create(Wanted::Count(0));
    w.attach(&kept, 1);
    let attachment = w.attach(&taken, 2);
    w.ask(modify(
        &taken,
        Modification::DeleteOnTermination {
            attachment,
            delete: true,
        },
    ))
    .unwrap();
    let end = Request::TerminateInstances {
        instances: vec![w.node.clone()],
    };
    assert_eq!(
        w.code(Request::TerminateInstances {
            instances: vec![id("i-0")]
        }),
        Code::InstanceNotFound
    );
    assert_eq!(w.ask(end), Ok(Answer::Done));
    let left: Vec<_> = w
        .vpc
        .interfaces()
        .map(|eni| (&eni.id, eni.attachment.is_none()))
        .collect();
    assert_eq!(
        left,
        [(&kept, true)],
        "the primary ENI and the marked one went with the instance"
    );
    let Ok(Answer::Instances(views)) = w.ask(Request::DescribeInstances {
        ids: vec![w.node.clone()],
    }) else {
        panic!()
    };
    assert_eq!(views[0].instance.state, InstanceState::Terminated);
    assert_eq!(
        w.code(Request::DescribeInstances {
            ids: vec![id("i-0")]
        }),
        Code::InstanceNotFound
    );
}

#[test]
fn describes_of_interfaces_filter_page_and_refuse() {
    let mut w = World::new();
    for _ in 0..6 {
        w.create(Wanted::Count(0));
    }
    let node = w.node.to_string();
    let describe = |w: &mut World, describe: DescribeInterfaces| match w
        .ask(Request::DescribeInterfaces(describe))
    {
        Ok(Answer::Interfaces {
            interfaces,
            next_token,
        }) => Ok((
            interfaces
                .into_iter()
                .map(|view| view.interface.id)
                .collect::<Vec<_>>(),
            next_token,
        )),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.code),
    };
    let filtered = |name: &str, value: &str| DescribeInterfaces {
        filters: vec![Filter::new(name, value)],
        ..Default::default()
    };
    assert_eq!(
        describe(&mut w, filtered("attachment.instance-id", &node)),
        Ok((vec![w.primary()], None))
    );
    assert_eq!(
        describe(&mut w, filtered("status", "avail*"))
            .unwrap()
            .0
            .len(),
        6
    );
    assert_eq!(
        describe(&mut w, filtered("tag:no", "x")),
        Ok((vec![], None))
    );
    assert_eq!(
        describe(&mut w, filtered("colour", "red")),
        Err(Code::InvalidParameterValue)
    );
    let many = Filter {
        name: "status".to_owned(),
        values: vec![String::new(); 201],
    };
    let many = DescribeInterfaces {
        filters: vec![many],
        ..Default::default()
    };
    assert_eq!(describe(&mut w, many), Err(Code::FilterLimitExceeded));
    let unknown = DescribeInterfaces {
        ids: vec![w.primary(), id("eni-0")],
        ..Default::default()
    };
    assert_eq!(describe(&mut w, unknown), Err(Code::InterfaceNotFound));
    let first = DescribeInterfaces {
        max_results: Some(5),
        ..Default::default()
    };
    let (page, token) = describe(&mut w, first.clone()).unwrap();
    assert_eq!((page.len(), token.is_some()), (5, true));
    let (rest, end) = describe(
        &mut w,
        DescribeInterfaces {
            next_token: token,
            ..first.clone()
        },
    )
    .unwrap();
    let all: Vec<EniId> = page.into_iter().chain(rest).collect();
    assert_eq!(
        (all, end),
        (w.vpc.interfaces().map(|eni| eni.id.clone()).collect(), None)
    );
    let both = DescribeInterfaces {
        ids: vec![w.primary()],
        ..first.clone()
    };
    assert_eq!(
        describe(&mut w, both),
        Err(Code::InvalidParameterCombination)
    );
    assert_eq!(
        describe(
            &mut w,
            DescribeInterfaces {
                max_results: Some(4),
                ..first.clone()
            }
        ),
        Err(Code::InvalidParameterValue)
    );
    let bad = DescribeInterfaces {
        next_token: Some("x".to_owned()),
        ..first
    };
    assert_eq!(describe(&mut w, bad), Err(Code::InvalidNextToken));
}

#[test]
fn describes_of_subnets_and_types_filter_and_refuse() {
    let mut w = World::new();
    let describe = |filters| Request::DescribeSubnets {
        ids: vec![],
        filters,
    };
    let vpc = Filter::new("vpc-id", w.network.as_str());
    let Ok(Answer::Subnets(views)) =
        w.ask(describe(vec![vpc, Filter::new("availability-zone", ZONE)]))
    else {
        panic!()
    };
    assert_eq!(
        views
            .iter()
            .map(|view| (&view.record.id, view.record.available))
            .collect::<Vec<_>>(),
        [(&w.subnet, 250)]
    );
    assert_eq!(
        w.code(describe(vec![Filter::new("colour", "red")])),
        Code::InvalidParameterValue
    );
    assert_eq!(
        w.code(Request::DescribeSubnets {
            ids: vec![id("subnet-0")],
            filters: vec![]
        }),
        Code::SubnetNotFound
    );
    let types = |name: &str| Request::DescribeInstanceTypes {
        names: vec![name.to_owned()],
    };
    let Ok(Answer::InstanceTypes(types_of)) = w.ask(types("m5.large")) else {
        panic!()
    };
    assert_eq!(
        (types_of[0].1.enis(), types_of[0].1.addresses_per_eni.get()),
        (3, 10)
    );
    assert_eq!(w.code(types("m5.tiny")), Code::InvalidInstanceType);
    let large = types_of[0].1.clone();
    w.vpc.offer_type("m5.tiny", large.clone());
    assert_eq!(
        w.ask(types("m5.tiny")),
        Ok(Answer::InstanceTypes(vec![("m5.tiny".to_owned(), large)]))
    );
}

#[test]
fn a_create_takes_addresses_groups_and_tags_at_once() {
    let mut w = World::new();
    let group = w.group("web");
    let create = CreateInterface {
        groups: vec![group.clone()],
        description: "aws-K8S-i-1".to_owned(),
        tags: tags(50),
        wanted: Wanted::Count(9),
        ..CreateInterface::in_subnet(w.subnet.clone())
    };
    let record = w.created(create.clone()).record();
    assert_eq!(
        (
            record.addresses.len(),
            record.pod_blocks().count(),
            record.groups
        ),
        (10, 9, vec![group])
    );
    assert_eq!(
        (record.tags.len(), record.description.as_str()),
        (50, "aws-K8S-i-1")
    );
    assert_eq!(w.vpc.subnet(&w.subnet).unwrap().available(), 251 - 1 - 10);
    let default = w.vpc.networks().next().unwrap().default_group.clone();
    let ungrouped = w
        .created(CreateInterface {
            groups: vec![],
            ..create
        })
        .record();
    assert_eq!(
        ungrouped.groups,
        [default],
        "EC2 takes the VPC's default group when none is named"
    );
}

#[test]
fn a_create_is_refused_whole() {
    let mut w = World::new();
    let base = CreateInterface::in_subnet(w.subnet.clone());
    let taken = w.vpc.interface(&w.primary()).unwrap().primary().unwrap();
    let six: Vec<_> = (0..6).map(|n| w.group(&format!("g{n}"))).collect();
    let Ok(Answer::Vpc(other)) = w.ask(Request::CreateVpc {
        cidr: cidr("10.9.0.0/16"),
    }) else {
        panic!()
    };
    let foreign = w
        .vpc
        .networks()
        .find(|network| network.id == other)
        .unwrap()
        .default_group
        .clone();
    let aws = Tags::from([("aws:x".to_owned(), String::new())]);
    let free = Ipv4Addr::new(10, 0, 1, if taken.octets()[3] == 77 { 78 } else { 77 });
    for (create, want) in [
        (
            CreateInterface::in_subnet(id("subnet-0")),
            Code::SubnetNotFound,
        ),
        (
            CreateInterface {
                groups: vec![id("sg-0")],
                ..base.clone()
            },
            Code::GroupNotFound,
        ),
        (
            CreateInterface {
                groups: vec![foreign],
                ..base.clone()
            },
            Code::InvalidParameter,
        ),
        (
            CreateInterface {
                groups: six,
                ..base.clone()
            },
            Code::SecurityGroupsPerInterfaceLimitExceeded,
        ),
        (
            CreateInterface {
                tags: tags(51),
                ..base.clone()
            },
            Code::TagLimitExceeded,
        ),
        (
            CreateInterface {
                tags: aws,
                ..base.clone()
            },
            Code::InvalidParameterValue,
        ),
        (
            CreateInterface {
                wanted: Wanted::Count(250),
                ..base.clone()
            },
            Code::InsufficientFreeAddresses,
        ),
        (
            CreateInterface {
                wanted: Wanted::PrefixCount(15),
                ..base.clone()
            },
            Code::InsufficientCidrBlocks,
        ),
        (
            CreateInterface {
                primary: Some(taken),
                ..base.clone()
            },
            Code::IpAddressInUse,
        ),
        (
            CreateInterface {
                primary: Some(Ipv4Addr::new(10, 0, 1, 3)),
                ..base.clone()
            },
            Code::InvalidParameterValue,
        ),
        (
            CreateInterface {
                primary: Some(Ipv4Addr::new(10, 0, 2, 9)),
                ..base.clone()
            },
            Code::InvalidParameterValue,
        ),
        (
            CreateInterface {
                wanted: Wanted::Addresses(vec![taken]),
                ..base.clone()
            },
            Code::ResourceAlreadyAssigned,
        ),
        (
            CreateInterface {
                wanted: Wanted::Addresses(vec![free, free]),
                ..base.clone()
            },
            Code::InvalidParameterValue,
        ),
        (
            CreateInterface {
                kind: EniKind::EfaOnly,
                wanted: Wanted::Count(1),
                ..base.clone()
            },
            Code::InvalidParameterValue,
        ),
        (
            CreateInterface {
                client_token: Some("x".repeat(65)),
                ..base.clone()
            },
            Code::InvalidParameterValue,
        ),
    ] {
        assert_eq!(w.code(Request::CreateNetworkInterface(create)), want);
    }
    w.vpc.set_interface_quota(1);
    assert_eq!(
        w.code(Request::CreateNetworkInterface(base)),
        Code::InterfaceLimitExceeded
    );
    assert_eq!(
        (
            w.vpc.interfaces().count(),
            w.vpc.subnet(&w.subnet).unwrap().available()
        ),
        (1, 250)
    );
}

#[test]
fn a_create_repeated_with_its_token_makes_nothing_new() {
    let mut w = World::new();
    let create = CreateInterface {
        client_token: Some("cni-1".to_owned()),
        wanted: Wanted::Count(3),
        ..CreateInterface::in_subnet(w.subnet.clone())
    };
    let first = w.created(create.clone());
    assert!(
        first.interface.addresses[0].primary,
        "the answer lists the primary address"
    );
    assert_eq!(w.created(create.clone()), first);
    w.attach(&first.interface.id, 1);
    let again = w.created(create.clone());
    assert!(
        again.interface.attachment.is_some(),
        "the answer to a repetition shows the ENI as it is"
    );
    let other = CreateInterface {
        wanted: Wanted::Count(4),
        ..create.clone()
    };
    assert_eq!(
        w.code(Request::CreateNetworkInterface(other)),
        Code::IdempotentParameterMismatch
    );
    let fresh = w.created(CreateInterface {
        client_token: Some("cni-2".to_owned()),
        ..create
    });
    assert_ne!(fresh.interface.id, first.interface.id);
}

#[test]
fn attach_obeys_the_limits_of_the_instance_type() {
    let mut w = World::new();
    let node = w.node.clone();
    let eni = w.create(Wanted::Count(0));
    assert_eq!(
        w.code(attach(&id("eni-0"), &node, 1)),
        Code::InterfaceNotFound
    );
    assert_eq!(w.code(attach(&eni, &id("i-0"), 1)), Code::InstanceNotFound);
    let error = w.ask(attach(&eni, &node, 0)).unwrap_err();
    assert_eq!(error.code, Code::InvalidParameterValue);
    assert!(
        error
            .message
            .contains("already has an interface attached at device index '0'"),
        "{error}"
    );
    assert_eq!(
        w.code(attach_on_card(&eni, &node, 1, 1)),
        Code::InvalidParameterValue
    );
    let large = w.create(Wanted::Count(10));
    assert_eq!(
        w.code(attach(&large, &node, 1)),
        Code::InterfaceAddressLimit
    );
    let elsewhere = CreateInterface::in_subnet(w.elsewhere.clone());
    let elsewhere = w.created(elsewhere).interface.id;
    assert_eq!(
        w.code(attach(&elsewhere, &node, 1)),
        Code::InvalidParameterCombination
    );
    w.attach(&eni, 1);
    assert_eq!(w.code(attach(&eni, &node, 2)), Code::InterfaceInUse);
    let (second, third) = (w.create(Wanted::Count(9)), w.create(Wanted::Count(0)));
    w.attach(&second, 2);
    assert_eq!(
        w.code(attach(&third, &node, 3)),
        Code::AttachmentLimitExceeded
    );
    w.ask(Request::TerminateInstances {
        instances: vec![node.clone()],
    })
    .unwrap();
    assert_eq!(w.code(attach(&third, &node, 1)), Code::IncorrectState);
}

#[test]
fn each_card_has_its_own_limit_and_indices() {
    let mut w = World::new();
    let big = w.run("p4d.24xlarge", w.subnet.clone());
    for index in 0..15 {
        let eni = w.create(Wanted::Count(0));
        let answer = w.ask(attach_on_card(&eni, &big, index, 1));
        assert!(
            matches!(
                answer,
                Ok(Answer::Attached {
                    card: NetworkCard(1),
                    ..
                })
            ),
            "{answer:?}"
        );
    }
    let eni = w.create(Wanted::Count(0));
    assert_eq!(
        w.code(attach_on_card(&eni, &big, 15, 1)),
        Code::AttachmentLimitExceeded
    );
    assert!(
        w.ask(attach_on_card(&eni, &big, 0, 2)).is_ok(),
        "another card"
    );
}

#[test]
fn modify_changes_one_attribute_of_an_eni_that_is_there() {
    let mut w = World::new();
    let eni = w.create(Wanted::Count(0));
    let attachment = w.attach(&eni, 1);
    let group = w.group("web");
    let delete = |attachment: &AttachmentId| Modification::DeleteOnTermination {
        attachment: attachment.clone(),
        delete: true,
    };
    for change in [
        delete(&attachment),
        Modification::Groups(vec![group]),
        Modification::SourceDestCheck(false),
    ] {
        assert_eq!(w.ask(modify(&eni, change)), Ok(Answer::Done));
    }
    let now = w.vpc.interface(&eni).unwrap();
    assert!(now.attachment.as_ref().unwrap().delete_on_termination && !now.source_dest_check);
    assert_eq!(
        w.code(modify(&id("eni-0"), delete(&attachment))),
        Code::InterfaceNotFound
    );
    assert_eq!(
        w.code(modify(&eni, delete(&id("eni-attach-0")))),
        Code::AttachmentNotFound
    );
    assert_eq!(
        w.code(modify(&eni, Modification::Groups(vec![id("sg-0")]))),
        Code::GroupNotFound
    );
    let six: Vec<_> = (0..6).map(|n| w.group(&format!("g{n}"))).collect();
    assert_eq!(
        w.code(modify(&eni, Modification::Groups(six))),
        Code::SecurityGroupsPerInterfaceLimitExceeded
    );
}

#[test]
fn detach_spares_the_primary_and_ends_once() {
    let mut w = World::new();
    let eni = w.create(Wanted::Count(0));
    let attachment = w.attach(&eni, 1);
    let detach = |attachment: &AttachmentId, force| Request::DetachNetworkInterface {
        attachment: attachment.clone(),
        force,
    };
    let bound = w.vpc.interfaces().filter_map(|eni| eni.attachment.as_ref());
    let primary = bound
        .filter(|bound| bound.is_primary())
        .map(|bound| bound.id.clone())
        .next()
        .unwrap();
    assert_eq!(w.code(detach(&primary, true)), Code::OperationNotPermitted);
    assert_eq!(
        w.code(detach(&id("eni-attach-0"), false)),
        Code::AttachmentNotFound
    );
    w.vpc.lag_mut().detach = vpc::Delay::exactly(model::time::Duration::from_secs(5));
    assert_eq!(w.ask(detach(&attachment, false)), Ok(Answer::Done));
    assert_eq!(w.code(detach(&attachment, false)), Code::IncorrectState);
    assert_eq!(w.vpc.next_event(w.now), Some(Instant(5000)));
    w.now = Instant(5000);
    assert_eq!(w.code(detach(&attachment, false)), Code::AttachmentNotFound);
    assert_eq!(w.vpc.interface(&eni).unwrap().attachment, None);
}

#[test]
fn delete_wants_an_eni_that_is_there_and_free() {
    let mut w = World::new();
    let eni = w.create(Wanted::Count(4));
    let delete = |eni: &EniId| Request::DeleteNetworkInterface { eni: eni.clone() };
    let attachment = w.attach(&eni, 1);
    let error = w.ask(delete(&eni)).unwrap_err();
    assert_eq!(
        (error.code, error.message.contains("is currently in use")),
        (Code::InvalidParameterValue, true)
    );
    w.ask(Request::DetachNetworkInterface {
        attachment,
        force: false,
    })
    .unwrap();
    assert_eq!(w.ask(delete(&eni)), Ok(Answer::Done));
    assert_eq!(w.code(delete(&eni)), Code::InterfaceNotFound);
    assert_eq!(w.vpc.subnet(&w.subnet).unwrap().available(), 250);
}

#[test]
fn assign_gives_all_or_nothing_and_answers_only_the_new() {
    let mut w = World::new();
    let (eni, other) = (w.create(Wanted::Count(1)), w.create(Wanted::Count(1)));
    w.attach(&eni, 1);
    let Ok(Answer::Assigned { addresses, .. }) = w.ask(assign(&eni, Wanted::Count(3))) else {
        panic!()
    };
    let own: Vec<_> = w
        .vpc
        .interface(&eni)
        .unwrap()
        .addresses
        .iter()
        .map(|a| a.address)
        .collect();
    assert_eq!(own[2..], addresses);
    assert_eq!(
        w.code(assign(&eni, Wanted::Count(6))),
        Code::PrivateIpAddressLimitExceeded
    );
    assert_eq!(
        w.code(assign(&id("eni-0"), Wanted::Count(1))),
        Code::InterfaceNotFound
    );
    assert_eq!(
        w.code(assign(&other, Wanted::Count(300))),
        Code::InsufficientFreeAddresses
    );
    assert_eq!(
        w.code(assign(&other, Wanted::PrefixCount(15))),
        Code::InsufficientCidrBlocks
    );
    assert_eq!(
        w.code(assign(&other, Wanted::Addresses(vec![own[1]]))),
        Code::ResourceAlreadyAssigned
    );
    assert_eq!(
        w.code(assign(
            &other,
            Wanted::Addresses(vec![Ipv4Addr::new(10, 0, 1, 0)])
        )),
        Code::InvalidParameterValue
    );
    let steal = |address| Request::AssignPrivateIpAddresses {
        eni: other.clone(),
        wanted: Wanted::Addresses(vec![address]),
        allow_reassignment: true,
    };
    assert_eq!(
        w.code(steal(own[0])),
        Code::IpAddressInUse,
        "a primary address does not move"
    );
    assert!(w.ask(steal(own[1])).is_ok());
    assert_eq!(
        (
            w.vpc.interface(&eni).unwrap().has(own[1]),
            w.vpc.interface(&other).unwrap().has(own[1])
        ),
        (false, true)
    );
}

#[test]
fn a_prefix_wants_sixteen_free_addresses_in_a_row() {
    let mut w = World::new();
    let eni = w.create(Wanted::Count(0));
    let free = |w: &World| w.vpc.subnet(&w.subnet).unwrap().available();
    let before = free(&w);
    let Ok(Answer::Assigned { prefixes, .. }) = w.ask(assign(&eni, Wanted::PrefixCount(2))) else {
        panic!()
    };
    assert_eq!((prefixes.len(), before - free(&w)), (2, 32));
    assert_eq!(
        w.code(assign(&eni, Wanted::Prefixes(vec![prefixes[0]]))),
        Code::InsufficientCidrBlocks
    );
    assert_eq!(
        w.code(assign(&eni, Wanted::Prefixes(vec![block("10.0.1.0/28")]))),
        Code::InsufficientCidrBlocks
    );
    // One address in each block leaves many addresses and no block.
    let singles: Vec<Ipv4Addr> = (1..15)
        .map(|n| Ipv4Addr::new(10, 0, 1, n * 16 + 8))
        .filter(|a| w.vpc.subnet(&w.subnet).unwrap().owner(*a).is_none())
        .collect();
    let other = w.create(Wanted::Addresses(singles));
    assert_eq!(
        w.code(assign(&other, Wanted::PrefixCount(1))),
        Code::InsufficientCidrBlocks
    );
    assert!(free(&w) > 150);
    let release = Request::UnassignPrivateIpAddresses {
        eni: eni.clone(),
        addresses: vec![],
        prefixes,
    };
    assert_eq!(w.ask(release), Ok(Answer::Done));
    assert!(w.ask(assign(&other, Wanted::PrefixCount(2))).is_ok());
}

#[test]
fn unassign_wants_secondary_addresses_that_are_there() {
    let mut w = World::new();
    let eni = w.create(Wanted::Count(2));
    let own: Vec<_> = w
        .vpc
        .interface(&eni)
        .unwrap()
        .addresses
        .iter()
        .map(|a| a.address)
        .collect();
    let take = |eni: &EniId, addresses: &[Ipv4Addr]| Request::UnassignPrivateIpAddresses {
        eni: eni.clone(),
        addresses: addresses.to_vec(),
        prefixes: vec![],
    };
    let text = |w: &mut World, request| w.ask(request).unwrap_err().message;
    assert_eq!(
        text(&mut w, take(&eni, &own[..1])),
        "Primary IP address cannot be unassigned"
    );
    assert!(
        text(&mut w, take(&eni, &[own[1], Ipv4Addr::new(10, 0, 1, 250)]))
            .contains("are not assigned")
    );
    assert_eq!(
        w.code(take(&id("eni-0"), &own[1..])),
        Code::InterfaceNotFound
    );
    assert_eq!(w.code(take(&eni, &[])), Code::MissingParameter);
    assert_eq!(w.ask(take(&eni, &own[1..])), Ok(Answer::Done));
    assert!(
        text(&mut w, take(&eni, &own[1..])).contains("are not assigned"),
        "the second time"
    );
    assert_eq!(w.vpc.interface(&eni).unwrap().addresses.len(), 1);
}

#[test]
fn tags_are_added_to_what_exists_up_to_fifty() {
    let mut w = World::new();
    let eni = w.primary();
    let tag = |ids: &[&str], tags: Tags| Request::CreateTags {
        resources: ids.iter().map(|id| (*id).to_owned()).collect(),
        tags,
    };
    let (subnet, node) = (w.subnet.to_string(), w.node.to_string());
    assert_eq!(
        w.ask(tag(&[eni.as_str(), &subnet, &node], tags(49))),
        Ok(Answer::Done)
    );
    assert_eq!(w.vpc.subnet(&w.subnet).unwrap().tags.len(), 49);
    for (ids, more, want) in [
        (
            eni.as_str(),
            Tags::from([
                ("a".to_owned(), String::new()),
                ("b".to_owned(), String::new()),
            ]),
            Code::TagLimitExceeded,
        ),
        (
            eni.as_str(),
            Tags::from([("aws:a".to_owned(), String::new())]),
            Code::InvalidParameterValue,
        ),
        ("eni-0", tags(1), Code::InterfaceNotFound),
        ("subnet-0", tags(1), Code::SubnetNotFound),
        ("i-0", tags(1), Code::InstanceNotFound),
        ("vol-0", tags(1), Code::InvalidId),
    ] {
        assert_eq!(w.code(tag(&[ids], more)), want, "{ids}");
    }
}

#[test]
fn what_is_denied_to_instances_is_allowed_to_operators() {
    let mut w = World::new();
    w.vpc.denied_mut().insert(Action::CreateNetworkInterface);
    let create = Request::CreateNetworkInterface(CreateInterface::in_subnet(w.subnet.clone()));
    let error = w
        .vpc
        .request(w.now, &w.node_as_caller(), create.clone())
        .unwrap_err();
    assert_eq!(
        (error.code, error.status()),
        (Code::UnauthorizedOperation, 403)
    );
    assert!(w.vpc.request(w.now, &Caller::Operator, create).is_ok());
}

#[test]
fn throttling_refuses_when_it_is_switched_on() {
    let mut w = World::new();
    w.vpc.buckets_mut().enable();
    let describe = Request::DescribeInterfaces(DescribeInterfaces::default());
    let refused = (0..60).filter(|_| w.ask(describe.clone()).is_err()).count();
    assert_eq!(refused, 10, "50 unfiltered describes fit in the bucket");
    assert_eq!(w.code(describe), Code::RequestLimitExceeded);
}

#[test]
fn a_verdict_decides_what_happens_and_what_is_heard() {
    let mut w = World::new();
    let create = Request::CreateNetworkInterface(CreateInterface::in_subnet(w.subnet.clone()));
    let throttled = vpc::Error::new(Code::RequestLimitExceeded, "Request limit exceeded.");
    for (verdict, heard, enis) in [
        (Verdict::applied_and_lost(), None, 2),
        (Verdict::lost_unapplied(), None, 2),
        (
            Verdict::refused(throttled.clone()),
            Some(Some(Code::RequestLimitExceeded)),
            2,
        ),
        (
            Verdict {
                applied: true,
                ..Verdict::refused(throttled)
            },
            Some(Some(Code::RequestLimitExceeded)),
            3,
        ),
        (Verdict::default(), Some(None), 4),
    ] {
        w.vpc
            .faults_mut()
            .plan_next(Action::CreateNetworkInterface, verdict.clone());
        let judged = w.vpc.judge(Action::CreateNetworkInterface);
        assert_eq!(judged, verdict);
        let answer = w
            .vpc
            .carry_out(w.now, &w.node_as_caller(), create.clone(), &judged);
        assert_eq!(
            answer.map(|answer| answer.err().map(|error| error.code)),
            heard,
            "{verdict:?}"
        );
        assert_eq!(w.vpc.interfaces().count(), enis, "{verdict:?}");
    }
}
