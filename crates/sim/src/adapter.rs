//! `model::Call` in EC2's words and EC2's answers in ours: what `cloud` does with the SDK, done without a wire.
//! Must not: retry, or know what a refusal means (`model::error::classify` says it, as in production).
//! Driven by: `world`; the agreement test of `cloud` compares it with SDK and HTTP.

use model::call::{Call, Reply, Scope};
use model::error::{CallError, Class, Refusal, classify};
use vpc::{
    Answer, Caller, CreateInterface, DescribeInterfaces, Filter, Modification, Request, Verdict,
    Vpc, Wanted,
};

/// What `cloud` never sends, because EC2 would take it for something else: no ids mean everything, no groups the VPC's
/// default group.
fn unsent(call: &Call) -> Option<Result<Reply, CallError>> {
    if matches!(call, Call::DescribeInterfaces(Scope::Ids(ids)) if ids.is_empty()) {
        return Some(Ok(Reply::Interfaces(Vec::new())));
    }
    let groupless = matches!(call, Call::CreateInterface(create) if create.groups.is_empty());
    groupless.then(|| {
        Err(CallError::Refused(Refusal {
            class: Class::Invalid,
            code: "RequestNotBuilt".into(),
            message: "no security groups".into(),
        }))
    })
}

/// Carries a judged call out, all pages of it. `None`: the caller never hears of it.
pub fn carry_out(
    vpc: &mut Vpc,
    now: model::time::Instant,
    caller: &Caller,
    (call, verdict): (&Call, &Verdict),
) -> Option<Result<Reply, CallError>> {
    if let Some(answer) = unsent(call) {
        return Some(answer);
    }
    let mut request = request(call);
    let mut pages = Vec::new();
    loop {
        let answer = match vpc.carry_out(now, caller, request.clone(), verdict)? {
            Ok(answer) => answer,
            Err(error) => {
                return Some(Err(classify(
                    error.code.name(),
                    &error.message,
                    error.status(),
                )));
            }
        };
        match (answer, &mut request) {
            (
                Answer::Interfaces {
                    interfaces,
                    next_token: Some(next),
                },
                Request::DescribeInterfaces(describe),
            ) => {
                pages.extend(interfaces);
                describe.next_token = Some(next);
            }
            (
                Answer::Interfaces {
                    interfaces,
                    next_token: None,
                },
                _,
            ) => {
                pages.extend(interfaces);
                return Some(Ok(Reply::Interfaces(
                    pages.iter().map(vpc::InterfaceView::record).collect(),
                )));
            }
            (answer, _) => return Some(reply(answer)),
        }
    }
}

/// The action that decides which faults strike.
pub fn action(call: &Call) -> vpc::Action {
    request(call).action()
}

/// The request that the SDK would send.
pub fn request(call: &Call) -> Request {
    match call {
        Call::DescribeInterfaces(scope) => Request::DescribeInterfaces(describe(scope)),
        Call::DescribeSubnets { vpc, zone } => Request::DescribeSubnets {
            ids: vec![],
            filters: vec![
                Filter::new("vpc-id", vpc.as_str()),
                Filter::new("availability-zone", zone),
            ],
        },
        Call::DescribeInstanceType { name } => Request::DescribeInstanceTypes {
            names: vec![name.clone()],
        },
        Call::CreateInterface(create) => Request::CreateNetworkInterface(CreateInterface {
            client_token: Some(create.token.as_str().to_owned()),
            groups: create.groups.clone(),
            description: create.description.clone(),
            tags: create.tags.clone(),
            wanted: Wanted::Count(create.secondary_addresses),
            ..CreateInterface::in_subnet(create.subnet.clone())
        }),
        Call::AttachInterface {
            eni,
            instance,
            index,
            card,
        } => Request::AttachNetworkInterface {
            eni: eni.clone(),
            instance: instance.clone(),
            index: *index,
            card: *card,
        },
        Call::DeleteOnTermination { eni, attachment } => Request::ModifyNetworkInterfaceAttribute {
            eni: eni.clone(),
            change: Modification::DeleteOnTermination {
                attachment: attachment.clone(),
                delete: true,
            },
        },
        Call::DetachInterface { attachment, .. } => Request::DetachNetworkInterface {
            attachment: attachment.clone(),
            force: false,
        },
        Call::DeleteInterface { eni } => Request::DeleteNetworkInterface { eni: eni.clone() },
        Call::AssignAddresses { eni, count } => Request::AssignPrivateIpAddresses {
            eni: eni.clone(),
            wanted: Wanted::Count(*count),
            allow_reassignment: false,
        },
        Call::UnassignAddresses { eni, addresses } => Request::UnassignPrivateIpAddresses {
            eni: eni.clone(),
            addresses: addresses.clone(),
            prefixes: vec![],
        },
        Call::CreateTags { eni, tags } => Request::CreateTags {
            resources: vec![eni.as_str().to_owned()],
            tags: tags.clone(),
        },
    }
}

fn describe(scope: &Scope) -> DescribeInterfaces {
    let by = |name: &str, value: &str| DescribeInterfaces {
        filters: vec![Filter::new(name, value)],
        max_results: Some(1000),
        ..DescribeInterfaces::default()
    };
    match scope {
        // EC2 refuses a page size beside ids.
        Scope::Ids(ids) => DescribeInterfaces {
            ids: ids.clone(),
            ..DescribeInterfaces::default()
        },
        Scope::AttachedTo(instance) => by("attachment.instance-id", instance.as_str()),
        Scope::MadeFor(instance) => by(
            &format!("tag:{}", model::call::INSTANCE_TAG),
            instance.as_str(),
        ),
    }
}

fn reply(answer: Answer) -> Result<Reply, CallError> {
    Ok(match answer {
        Answer::Interfaces { interfaces, .. } => {
            Reply::Interfaces(interfaces.iter().map(vpc::InterfaceView::record).collect())
        }
        Answer::Subnets(subnets) => {
            Reply::Subnets(subnets.into_iter().map(|view| view.record).collect())
        }
        Answer::InstanceTypes(mut types) => match types.pop() {
            Some((_, limits)) => Reply::InstanceType(limits),
            None => {
                return Err(CallError::Unknown(
                    "EC2 answered without the instance type".into(),
                ));
            }
        },
        Answer::Interface(view) => Reply::Created(view.record()),
        Answer::Attached { attachment, .. } => Reply::Attached(attachment),
        Answer::Assigned { addresses, .. } => Reply::Assigned(addresses),
        Answer::Done => Reply::Done,
        Answer::Vpc(_) | Answer::Subnet(_) | Answer::Group(_) | Answer::Instances(_) => {
            return Err(CallError::Unknown("EC2 answered another request".into()));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::card::{DeviceIndex, NetworkCard};
    use model::error::Class;
    use model::id::{EniId, InstanceId, SubnetId};
    use model::time::Instant;
    use std::collections::BTreeMap;

    struct Account {
        vpc: Vpc,
        instance: InstanceId,
        subnet: SubnetId,
    }

    impl Account {
        fn new() -> Self {
            let mut vpc = Vpc::new(7);
            let mut ask = |request| vpc.request(Instant(0), &Caller::Operator, request).unwrap();
            let Answer::Vpc(id) = ask(Request::CreateVpc {
                cidr: "10.0.0.0/16".parse().unwrap(),
            }) else {
                panic!()
            };
            let cidr = "10.0.1.0/24".parse().unwrap();
            let subnet = Request::CreateSubnet {
                vpc: id,
                cidr,
                zone: "eu-central-1a".into(),
                tags: BTreeMap::new(),
            };
            let Answer::Subnet(subnet) = ask(subnet) else {
                panic!()
            };
            let subnet = subnet.record.id;
            let run = vpc::RunInstances {
                instance_type: "m5.large".into(),
                subnet: subnet.clone(),
                groups: vec![],
                private_address: None,
                role: None,
                tags: BTreeMap::new(),
            };
            let Answer::Instances(started) = ask(Request::RunInstances(run)) else {
                panic!()
            };
            Self {
                instance: started[0].instance.id.clone(),
                vpc,
                subnet,
            }
        }

        fn call(&mut self, call: &Call) -> Result<Reply, CallError> {
            let caller = Caller::Instance(self.instance.clone());
            carry_out(
                &mut self.vpc,
                Instant(1),
                &caller,
                (call, &Verdict::default()),
            )
            .unwrap()
        }

        fn create(&mut self, token: &str) -> EniId {
            let create = model::call::CreateInterface {
                token: token.parse().unwrap(),
                subnet: self.subnet.clone(),
                groups: self.vpc.groups().map(|group| group.id.clone()).collect(),
                description: "aws-K8S-test".into(),
                tags: BTreeMap::from([(
                    model::call::INSTANCE_TAG.to_owned(),
                    self.instance.to_string(),
                )]),
                secondary_addresses: 2,
            };
            let Ok(Reply::Created(record)) = self.call(&Call::CreateInterface(create)) else {
                panic!()
            };
            assert_eq!(record.pod_blocks().count(), 2);
            record.id
        }
    }

    #[test]
    fn a_created_eni_is_found_by_its_tag_and_by_its_attachment() {
        let mut account = Account::new();
        let eni = account.create("cni-one");
        assert_eq!(
            account.create("cni-one"),
            eni,
            "the same token answers the same ENI"
        );
        let instance = account.instance.clone();
        let attach = Call::AttachInterface {
            eni: eni.clone(),
            instance: instance.clone(),
            index: DeviceIndex(1),
            card: NetworkCard(0),
        };
        assert!(matches!(account.call(&attach), Ok(Reply::Attached(_))));
        for scope in [
            Scope::MadeFor(instance.clone()),
            Scope::AttachedTo(instance),
            Scope::Ids(vec![eni.clone()]),
        ] {
            let Ok(Reply::Interfaces(listed)) = account.call(&Call::DescribeInterfaces(scope))
            else {
                panic!()
            };
            assert!(listed.iter().any(|record| record.id == eni));
        }
    }

    #[test]
    fn refusals_are_classified_as_in_production() {
        let mut account = Account::new();
        let eni = account.create("cni-one");
        let instance = account.instance.clone();
        let mut class = |call: &Call| match account.call(call) {
            Err(CallError::Refused(refusal)) => refusal.class,
            other => panic!("{call}: {other:?}"),
        };
        let (index, card) = (DeviceIndex(0), NetworkCard(0));
        let attach = Call::AttachInterface {
            eni: eni.clone(),
            instance: instance.clone(),
            index,
            card,
        };
        assert_eq!(class(&attach), Class::InUse);
        let gone = "eni-0123456789abcdef0".parse().unwrap();
        assert_eq!(class(&Call::DeleteInterface { eni: gone }), Class::NotFound);
        let addresses = vec!["10.0.1.250".parse().unwrap()];
        assert_eq!(
            class(&Call::UnassignAddresses { eni, addresses }),
            Class::NotFound
        );
    }
}
