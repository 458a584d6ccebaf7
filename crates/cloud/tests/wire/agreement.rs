//! SDK, HTTP and the laboratory's door against the simulator's adapter, from equal accounts: what the machine hears in
//! simulation is what it hears in production.

use crate::account::{Twins, ZONE};
use crate::calls::id;
use model::call::{Call, CreateInterface, Reply, Scope};
use model::card::{DeviceIndex, NetworkCard};
use model::eni::EniRecord;
use model::error::{CallError, Class};
use model::id::{AttachmentId, EniId};
use std::collections::{BTreeMap, BTreeSet};
use vpc::{Action, Caller, Code, Error, Request, Verdict};

fn class(outcome: Result<Reply, CallError>) -> Class {
    match outcome {
        Err(CallError::Refused(refusal)) => refusal.class,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

async fn created(twins: &mut Twins, create: CreateInterface) -> EniRecord {
    match twins.agree(&Call::CreateInterface(create)).await {
        Ok(Reply::Created(record)) => record,
        other => panic!("{other:?}"),
    }
}

fn attach(twins: &Twins, eni: &EniId, index: u8) -> Call {
    let (eni, instance) = (eni.clone(), twins.ground.node.clone());
    Call::AttachInterface {
        eni,
        instance,
        index: DeviceIndex(index),
        card: NetworkCard(0),
    }
}

async fn attached(twins: &mut Twins, eni: &EniId, index: u8) -> AttachmentId {
    match twins.agree(&attach(twins, eni, index)).await {
        Ok(Reply::Attached(attachment)) => attachment,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_whole_life_of_an_eni_reads_the_same() {
    let mut twins = Twins::new(1).await;
    let ground = twins.ground.clone();
    let subnets = Call::DescribeSubnets {
        vpc: ground.network.clone(),
        zone: ZONE.into(),
    };
    assert!(matches!(twins.agree(&subnets).await, Ok(Reply::Subnets(found)) if found.len() == 2));
    for name in ["m5.large", "p4d.24xlarge", "m5.metal", "t2.micro"] {
        let limits = model::limits::InstanceLimits::of(name).expect(name);
        let described = twins
            .agree(&Call::DescribeInstanceType { name: name.into() })
            .await;
        assert_eq!(described, Ok(Reply::InstanceType(limits)), "{name}");
    }
    let create = ground.create("cni-1", 3);
    let first = created(&mut twins, create.clone()).await;
    assert_eq!(
        (first.addresses.len(), &first.groups, &first.tags),
        (4, &create.groups, &create.tags)
    );
    assert_eq!(
        created(&mut twins, create.clone()).await.id,
        first.id,
        "the same token made another ENI"
    );
    let eni = &first.id;
    let attachment = attached(&mut twins, eni, 1).await;
    let on_termination = Call::DeleteOnTermination {
        eni: eni.clone(),
        attachment: attachment.clone(),
    };
    assert_eq!(twins.agree(&on_termination).await, Ok(Reply::Done));
    let assign = Call::AssignAddresses {
        eni: eni.clone(),
        count: 2,
    };
    let Ok(Reply::Assigned(new)) = twins.agree(&assign).await else {
        panic!("two addresses")
    };
    assert!(
        first
            .addresses
            .iter()
            .all(|old| !new.contains(&old.address)),
        "an old address among {new:?}"
    );
    let tags = BTreeMap::from([(
        "node.k8s.amazonaws.com/createdAt".to_owned(),
        "2026-01-01T00:00:00Z".to_owned(),
    )]);
    assert_eq!(
        twins
            .agree(&Call::CreateTags {
                eni: eni.clone(),
                tags
            })
            .await,
        Ok(Reply::Done)
    );
    for scope in [
        Scope::Ids(vec![eni.clone()]),
        Scope::AttachedTo(ground.node.clone()),
        Scope::MadeFor(ground.node.clone()),
        Scope::MadeFor(id("i-0123")),
    ] {
        twins
            .agree(&Call::DescribeInterfaces(scope))
            .await
            .expect("a list");
    }
    let unassign = Call::UnassignAddresses {
        eni: eni.clone(),
        addresses: new,
    };
    assert_eq!(twins.agree(&unassign).await, Ok(Reply::Done));
    assert_eq!(class(twins.agree(&unassign).await), Class::NotFound);
    assert_eq!(
        class(
            twins
                .agree(&Call::DeleteInterface { eni: eni.clone() })
                .await
        ),
        Class::InUse
    );
    let detach = Call::DetachInterface {
        eni: eni.clone(),
        attachment,
    };
    assert_eq!(twins.agree(&detach).await, Ok(Reply::Done));
    assert_eq!(class(twins.agree(&detach).await), Class::NotFound);
    assert_eq!(
        twins
            .agree(&Call::DeleteInterface { eni: eni.clone() })
            .await,
        Ok(Reply::Done)
    );
    assert_eq!(
        class(
            twins
                .agree(&Call::DeleteInterface { eni: eni.clone() })
                .await
        ),
        Class::NotFound
    );
    let gone = Call::DescribeInterfaces(Scope::Ids(vec![eni.clone()]));
    assert_eq!(class(twins.agree(&gone).await), Class::NotFound);
}

#[tokio::test]
async fn each_refusal_that_the_accounts_state_causes_reads_the_same() {
    let mut twins = Twins::new(2).await;
    let ground = twins.ground.clone();
    let create = |token: &str, change: &dyn Fn(&mut CreateInterface)| {
        let mut create = ground.create(token, 0);
        change(&mut create);
        Call::CreateInterface(create)
    };
    let first = created(&mut twins, ground.create("cni-1", 0)).await.id;
    let large = created(&mut twins, ground.create("cni-2", 12)).await.id;
    attached(&mut twins, &first, 1).await;
    let primary = ground.vpc.interfaces().next().expect("the node's").clone();
    let bound = primary.attachment.as_ref().expect("bound").id.clone();
    let (nobody, nowhere) = (id::<EniId>("eni-0123"), id("eni-attach-0123"));
    let assign = |eni: &EniId, count| Call::AssignAddresses {
        eni: eni.clone(),
        count,
    };
    let own = primary.primary().into_iter().collect();
    for (call, want) in [
        (create("cni-2", &|_| ()), Class::TokenMismatch),
        (
            create("cni-3", &|create| create.subnet = id("subnet-0123")),
            Class::ConfigurationMissing,
        ),
        (
            create("cni-4", &|create| create.groups = vec![id("sg-0123")]),
            Class::ConfigurationMissing,
        ),
        (
            create("cni-5", &|create| {
                (create.subnet, create.secondary_addresses) = (ground.narrow.clone(), 14)
            }),
            Class::SubnetFull,
        ),
        (attach(&twins, &large, 1), Class::InUse),
        (attach(&twins, &large, 2), Class::AddressesAboveType),
        (attach(&twins, &nobody, 2), Class::NotFound),
        (assign(&first, 10), Class::AddressLimit),
        (assign(&nobody, 1), Class::NotFound),
        (
            Call::UnassignAddresses {
                eni: primary.id.clone(),
                addresses: own,
            },
            Class::Invalid,
        ),
        (
            Call::DetachInterface {
                eni: primary.id.clone(),
                attachment: bound,
            },
            Class::Invalid,
        ),
        (
            Call::DeleteOnTermination {
                eni: first.clone(),
                attachment: nowhere,
            },
            Class::NotFound,
        ),
        (
            Call::DeleteInterface {
                eni: nobody.clone(),
            },
            Class::NotFound,
        ),
        (
            Call::CreateTags {
                eni: nobody.clone(),
                tags: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            },
            Class::NotFound,
        ),
        (
            Call::DescribeInterfaces(Scope::Ids(vec![first.clone(), nobody])),
            Class::NotFound,
        ),
        (
            Call::DescribeInstanceType {
                name: "x9.unheard".into(),
            },
            Class::Invalid,
        ),
    ] {
        assert_eq!(class(twins.agree(&call).await), want, "{call}");
    }
    let third = created(&mut twins, ground.create("cni-6", 0)).await.id;
    let fourth = created(&mut twins, ground.create("cni-7", 0)).await.id;
    attached(&mut twins, &third, 2).await;
    assert_eq!(
        class(twins.agree(&attach(&twins, &fourth, 3)).await),
        Class::EniLimit
    );
    twins.both(|vpc| vpc.set_interface_quota(3));
    assert_eq!(
        class(twins.agree(&create("cni-8", &|_| ())).await),
        Class::Quota
    );
    twins.both(|vpc| {
        vpc.denied_mut().insert(Action::CreateTags);
    });
    let tag = Call::CreateTags {
        eni: first,
        tags: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
    };
    assert_eq!(class(twins.agree(&tag).await), Class::Denied);
}

#[tokio::test]
async fn every_code_of_ec2_reads_the_same_whoever_carries_it() {
    let mut twins = Twins::new(3).await;
    let call = Call::DescribeSubnets {
        vpc: twins.ground.network.clone(),
        zone: ZONE.into(),
    };
    for code in Code::ALL {
        let verdict = Verdict::refused(Error::new(*code, "a text with <brackets> & \"quotes\""));
        twins.both(|vpc| {
            vpc.faults_mut()
                .plan_next(Action::DescribeSubnets, verdict.clone())
        });
        twins.agree(&call).await.expect_err(code.name());
    }
}

#[tokio::test]
async fn a_lost_answer_is_unknown_whether_or_not_the_call_was_carried_out() {
    for (verdict, enis) in [
        (Verdict::applied_and_lost(), 2),
        (Verdict::lost_unapplied(), 1),
    ] {
        let mut twins = Twins::new(4).await;
        let create = Call::CreateInterface(twins.ground.create("cni-1", 1));
        twins.both(|vpc| {
            vpc.faults_mut()
                .plan_next(Action::CreateNetworkInterface, verdict.clone())
        });
        assert!(matches!(
            twins.agree(&create).await,
            Err(CallError::Unknown(_))
        ));
        twins.both(|vpc| assert_eq!(vpc.interfaces().count(), enis));
        // The same call again, as the machine does: one ENI either way.
        twins.agree(&create).await.expect("done");
        twins.both(|vpc| assert_eq!(vpc.interfaces().count(), 2));
    }
}

#[tokio::test]
async fn throttling_by_the_account_reads_the_same() {
    let mut twins = Twins::new(5).await;
    twins.both(|vpc| vpc.buckets_mut().enable());
    let call = Call::AssignAddresses {
        eni: id("eni-0123"),
        count: 1,
    };
    let mut classes = BTreeSet::new();
    for _ in 0..110 {
        classes.insert(class(twins.agree(&call).await));
    }
    assert_eq!(classes, BTreeSet::from([Class::NotFound, Class::Throttled]));
}

#[tokio::test]
async fn a_list_of_more_than_one_page_is_whole() {
    let mut twins = Twins::new(6).await;
    let (ground, wide) = (twins.ground.clone(), "10.0.16.0/20");
    twins.both(|vpc| {
        let operator = Caller::Operator;
        let (cidr, zone, tags) = (wide.parse().unwrap(), ZONE.to_owned(), BTreeMap::new());
        let subnet = Request::CreateSubnet {
            vpc: ground.network.clone(),
            cidr,
            zone,
            tags,
        };
        let Ok(vpc::Answer::Subnet(subnet)) =
            vpc.request(model::time::Instant(0), &operator, subnet)
        else {
            panic!("a subnet")
        };
        for _ in 0..1003 {
            let mut create = vpc::CreateInterface::in_subnet(subnet.record.id.clone());
            create.tags = ground.create("cni-1", 0).tags;
            vpc.request(
                model::time::Instant(0),
                &operator,
                Request::CreateNetworkInterface(create),
            )
            .unwrap();
        }
    });
    let Ok(Reply::Interfaces(found)) = twins
        .agree_on_outcome(&Call::DescribeInterfaces(Scope::MadeFor(ground.node)))
        .await
    else {
        panic!("a list")
    };
    assert_eq!(
        found
            .iter()
            .map(|record| &record.id)
            .collect::<BTreeSet<_>>()
            .len(),
        1003
    );
}

/// Calls as a confused machine would make them: of every kind, on what there is and on what there isn't.
struct Confused {
    state: u64,
    tokens: u32,
    attachments: Vec<(EniId, AttachmentId)>,
}

impl Confused {
    fn draw(&mut self, below: usize) -> usize {
        // Knuth's MMIX generator; the high bits are the good ones.
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.state >> 33).expect("31 bits") % below
    }

    fn pick<T: Clone>(&mut self, from: &[T], otherwise: T) -> T {
        let place = self.draw(from.len() + 1);
        from.get(place).cloned().unwrap_or(otherwise)
    }

    fn call(&mut self, twins: &Twins, records: &[EniRecord]) -> Call {
        let enis: Vec<EniId> = records.iter().map(|record| record.id.clone()).collect();
        let eni = self.pick(&enis, id("eni-0123"));
        let attachments = self.attachments.clone();
        let (bound, attachment) = self.pick(&attachments, (eni.clone(), id("eni-attach-0123")));
        let count = u32::try_from(self.draw(5)).expect("small") + 1;
        match self.draw(12) {
            0..=2 => {
                self.tokens += u32::from(self.draw(4) > 0);
                Call::CreateInterface(twins.ground.create(&format!("cni-{}", self.tokens), count))
            }
            3 | 4 => attach(twins, &eni, u8::try_from(count).expect("small")),
            5 => Call::DeleteOnTermination {
                eni: bound,
                attachment,
            },
            6 => Call::DetachInterface {
                eni: bound,
                attachment,
            },
            7 => Call::DeleteInterface { eni },
            8 | 9 => Call::AssignAddresses { eni, count },
            10 => {
                let record = records.iter().find(|record| record.id == eni);
                let owned: Vec<_> = record
                    .iter()
                    .flat_map(|record| &record.addresses)
                    .map(|one| one.address)
                    .collect();
                Call::UnassignAddresses {
                    addresses: vec![self.pick(&owned, "10.0.9.9".parse().unwrap())],
                    eni,
                }
            }
            _ => Call::CreateTags {
                eni,
                tags: BTreeMap::from([(format!("k{count}"), "v".to_owned())]),
            },
        }
    }
}

#[tokio::test]
async fn a_long_confused_life_reads_the_same() {
    let mut twins = Twins::new(7).await;
    let second = model::time::Duration::from_secs(1);
    twins.both(|vpc| {
        *vpc.lag_mut() = vpc::Lag {
            describe: vpc::Delay {
                min: second,
                max: second * 8,
            },
            ..vpc::Lag::default()
        };
    });
    let mut confused = Confused {
        state: 7,
        tokens: 0,
        attachments: vec![],
    };
    let (mut done, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..200 {
        twins.pass(u64::try_from(confused.draw(3000)).expect("small"));
        let scope = Scope::MadeFor(twins.ground.node.clone());
        let Ok(Reply::Interfaces(records)) = twins.agree(&Call::DescribeInterfaces(scope)).await
        else {
            panic!("a list")
        };
        let call = confused.call(&twins, &records);
        match twins.agree(&call).await {
            Ok(reply) => {
                done.insert(call.action());
                if let (Reply::Attached(attachment), Some(eni)) = (reply, call.eni()) {
                    confused.attachments.push((eni.clone(), attachment));
                }
            }
            refusal => {
                refused.insert(class(refusal));
            }
        }
    }
    assert_eq!(done.len(), 8, "only these ever succeeded: {done:?}");
    assert!(
        refused.len() >= 5,
        "only these refusals were met: {refused:?}"
    );
}
