//! One instance in an account, as EC2, metadata service and kernel of one node.

use crate::clock;
use crate::host::{Applied, Kernel};
use crate::run::ec2::Ec2;
use crate::run::imds::Imds;
use futures::FutureExt;
use futures::future::BoxFuture;
use ipam::effect::HostDesired;
use ipam::event::LinkView;
use model::call::{Call, Reply};
use model::error::CallError;
use model::id::InstanceId;
use model::imds::InstanceMetadata;
use model::time::Instant;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
use vpc::{Answer, Caller, GuestLink, Request, RunInstances, Tags, Vpc};

pub(super) struct Account {
    vpc: Mutex<Vpc>,
    instance: InstanceId,
    /// Whether the metadata service answers.
    imds: watch::Sender<bool>,
    /// How often it was asked.
    asked: watch::Sender<u32>,
}

impl Account {
    /// One m5.large: 3 ENIs with 10 addresses each.
    pub(super) fn new() -> Self {
        let mut vpc = Vpc::new(1);
        let mut must = |request| vpc.request(Instant(0), &Caller::Operator, request).unwrap();
        let Answer::Vpc(id) = must(Request::CreateVpc {
            cidr: "10.0.0.0/16".parse().unwrap(),
        }) else {
            panic!("a VPC")
        };
        let cidr = "10.0.16.0/24".parse().unwrap();
        let subnet = Request::CreateSubnet {
            vpc: id,
            cidr,
            zone: "eu-central-1a".into(),
            tags: Tags::new(),
        };
        let Answer::Subnet(subnet) = must(subnet) else {
            panic!("a subnet")
        };
        let run = RunInstances {
            instance_type: "m5.large".into(),
            subnet: subnet.record.id,
            groups: vec![],
            private_address: None,
            role: None,
            tags: Tags::new(),
        };
        let Answer::Instances(instances) = must(Request::RunInstances(run)) else {
            panic!("instances")
        };
        let instance = instances[0].instance.id.clone();
        Self {
            vpc: Mutex::new(vpc),
            instance,
            imds: watch::channel(true).0,
            asked: watch::channel(0).0,
        }
    }

    pub(super) fn answer_imds(&self, answer: bool) {
        self.imds.send_replace(answer);
    }

    pub(super) async fn asked_imds(&self) {
        self.asked
            .subscribe()
            .wait_for(|count| *count > 0)
            .await
            .unwrap();
    }

    /// From now on all calls of this action end like this.
    pub(super) fn fail(&self, action: vpc::Action, verdict: vpc::Verdict) {
        let chance = vpc::Chance {
            action: Some(action),
            permille: 1000,
            verdict,
            before: vpc::Delay::default(),
            after: vpc::Delay::default(),
        };
        self.vpc().faults_mut().add(chance);
    }

    fn vpc(&self) -> MutexGuard<'_, Vpc> {
        self.vpc.lock().unwrap()
    }

    fn devices(&self) -> Vec<GuestLink> {
        let now = clock::boot();
        let mut vpc = self.vpc();
        vpc.advance(now);
        vpc.links(now, &self.instance)
    }
}

impl Ec2 for Account {
    fn perform(&self, call: Call, _deadline: Duration) -> BoxFuture<'_, Result<Reply, CallError>> {
        let (mut vpc, now) = (self.vpc(), clock::boot());
        vpc.advance(now);
        let verdict = vpc.judge(sim::adapter::action(&call));
        let caller = Caller::Instance(self.instance.clone());
        let answer = sim::adapter::carry_out(&mut vpc, now, &caller, (&call, &verdict));
        let lost = || Err(CallError::Unknown("the answer got lost".into()));
        std::future::ready(answer.unwrap_or_else(lost)).boxed()
    }
}

impl Imds for Account {
    fn fetch(&self, _deadline: Duration) -> BoxFuture<'_, Result<InstanceMetadata, String>> {
        async move {
            self.asked.send_modify(|count| *count += 1);
            self.imds
                .subscribe()
                .wait_for(|answers| *answers)
                .await
                .unwrap();
            self.vpc()
                .metadata(clock::boot(), &self.instance)
                .ok_or_else(|| "no metadata".to_owned())
        }
        .boxed()
    }
}

impl Kernel for Account {
    fn links(&self) -> Result<LinkView, String> {
        Ok(sim::kernel::Kernel::default().look(&self.devices()))
    }

    fn ensure(&self, desired: &HostDesired) -> Applied {
        Applied {
            report: sim::kernel::Kernel::apply(desired, &self.devices(), false),
            ..Applied::default()
        }
    }
}
