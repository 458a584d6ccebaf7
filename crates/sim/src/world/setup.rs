//! The world before the first step: account, subnet, instance, foreign ENIs, faults and lags of the plan.
//! Must not: start anything but the first daemon's timer.

use super::{Happening, Orders, World};
use crate::checked::Checked;
use crate::disk::Disk;
use crate::invariant::ages::Ages;
use crate::invariant::budget::Budget;
use crate::kernel::Kernel;
use crate::oracle::Oracle;
use crate::plan::{Plan, START, Swarm};
use crate::queue::Queue;
use crate::random::Random;
use crate::reached::Reached;
use crate::runtime::Runtime;
use crate::trace::Trace;
use model::call::NO_MANAGE_TAG;
use model::card::{DeviceIndex, NetworkCard};
use model::eni::EniKind;
use model::id::InstanceId;
use model::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};
use vpc::{
    Answer, Caller, Chance, Code, CreateInterface, Delay, Error, Lag, Request, RunInstances,
    SubnetView, Tags, Verdict, Vpc, Wanted,
};

const ZONE: &str = "eu-central-1a";

impl<'t> World<'t> {
    pub(super) fn new(plan: Plan, orders: Orders, trace: &'t mut Trace) -> Self {
        let mut vpc = Vpc::new(plan.seed);
        let (instance, subnet) = launch(&mut vpc, &plan);
        let mut random = Random::new(plan.seed, "world");
        let foreign_enis = if plan.faults.foreign_enis {
            add_foreign(&mut vpc, &instance, &subnet, &mut random)
        } else {
            0
        };
        *vpc.lag_mut() = lag(&plan.faults);
        for chance in chances(&plan.faults) {
            vpc.faults_mut().add(chance);
        }
        for fate in &plan.fates {
            vpc.faults_mut()
                .plan(fate.action, fate.ordinal, fate.verdict());
        }
        if plan.faults.crowded_account {
            let share = random.pick(&[10, 30, 100]);
            vpc.buckets_mut().enable_shared(share);
        }
        let mut queue = Queue::new();
        queue.push(START, Happening::Boot(1));
        Self {
            now: START,
            queue,
            vpc,
            instance,
            subnet,
            foreign_enis,
            settings: plan.settings.clone(),
            neighbours: Vec::new(),
            taken_enis: BTreeSet::new(),
            disk: Disk::default(),
            disk_fails_until: Instant(0),
            checkpoint_fails_until: Instant(0),
            kernel: Kernel::default(),
            runtime: Runtime::new(plan.pods),
            oracle: Oracle::new(plan.settings.cooldown),
            daemon: None,
            process: 1,
            boot: (1, Instant(START.0 - millis(Plan::UPTIME))),
            wall_offset_secs: 0,
            requests: 0,
            flights: BTreeMap::new(),
            flown: 0,
            tokens: BTreeSet::new(),
            changes: Vec::new(),
            reads: 0,
            budget: Budget::default(),
            ages: Ages::default(),
            faults_on: true,
            steps: 0,
            events: 0,
            effects: Vec::new(),
            checked: Checked::default(),
            faultless: plan.is_faultless(),
            fates: Vec::new(),
            random,
            orders,
            reached: Reached::default(),
            trace,
            plan,
        }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A request of the operator that cannot fail in an empty account.
fn must(vpc: &mut Vpc, request: Request) -> Answer {
    let text = format!("{request:?}");
    match vpc.request(Instant(0), &Caller::Operator, request) {
        Ok(answer) => answer,
        Err(error) => panic!("setting up the account: {text}: {error}"),
    }
}

fn launch(vpc: &mut Vpc, plan: &Plan) -> (InstanceId, SubnetView) {
    let range = "10.0.0.0/16".parse().expect("a network");
    let Answer::Vpc(id) = must(vpc, Request::CreateVpc { cidr: range }) else {
        panic!("CreateVpc answers a VPC")
    };
    let cidr = format!("10.0.16.0/{}", plan.subnet_prefix)
        .parse()
        .expect("a prefix length of the plan");
    let subnet = Request::CreateSubnet {
        vpc: id,
        cidr,
        zone: ZONE.into(),
        tags: Tags::new(),
    };
    let Answer::Subnet(subnet) = must(vpc, subnet) else {
        panic!("CreateSubnet answers a subnet")
    };
    let run = RunInstances {
        instance_type: plan.instance_type.into(),
        subnet: subnet.record.id.clone(),
        groups: vec![],
        private_address: None,
        role: None,
        tags: Tags::new(),
    };
    let Answer::Instances(instances) = must(vpc, Request::RunInstances(run)) else {
        panic!("RunInstances answers instances")
    };
    let instance = instances
        .into_iter()
        .next()
        .expect("one was asked for")
        .instance
        .id;
    (instance, subnet)
}

/// One ENI that somebody else manages: tagged so, a trunk, or an EFA.
fn add_foreign(
    vpc: &mut Vpc,
    instance: &InstanceId,
    subnet: &SubnetView,
    random: &mut Random,
) -> u32 {
    let (kind, tags) = match random.between(0, 2) {
        0 => (EniKind::Trunk, Tags::new()),
        1 => (EniKind::Efa, Tags::new()),
        _ => (
            EniKind::Standard,
            Tags::from([(NO_MANAGE_TAG.to_owned(), "true".to_owned())]),
        ),
    };
    let create = CreateInterface {
        wanted: Wanted::Count(1),
        kind,
        tags,
        ..CreateInterface::in_subnet(subnet.record.id.clone())
    };
    let created = vpc.request(
        Instant(0),
        &Caller::Operator,
        Request::CreateNetworkInterface(create),
    );
    let Ok(Answer::Interface(view)) = created else {
        return 0;
    };
    let eni = view.interface.id;
    let (index, card) = (DeviceIndex(1), NetworkCard(0));
    let attach = Request::AttachNetworkInterface {
        eni: eni.clone(),
        instance: instance.clone(),
        index,
        card,
    };
    match vpc.request(Instant(0), &Caller::Operator, attach) {
        Ok(_) => 1,
        Err(_) => {
            must(vpc, Request::DeleteNetworkInterface { eni });
            0
        }
    }
}

fn secs(low: u64, high: u64) -> Delay {
    Delay {
        min: Duration::from_secs(low),
        max: Duration::from_secs(high),
    }
}

fn lag(faults: &Swarm) -> Lag {
    let when = |on: bool, delay: Delay| if on { delay } else { Delay::default() };
    Lag {
        describe: when(faults.describe_lag, secs(0, 25)),
        tags: when(faults.describe_lag, secs(0, 25)),
        imds: when(faults.imds_lag, secs(0, 60)),
        link: when(faults.link_lag, secs(0, 20)),
        attach: secs(0, 2),
        detach: secs(0, 3),
    }
}

fn chances(faults: &Swarm) -> Vec<Chance> {
    let refused = |code: Code, text: &str| Verdict::refused(Error::new(code, text));
    let chance = |permille, verdict| Chance {
        action: None,
        permille,
        verdict,
        before: Delay::default(),
        after: Delay::default(),
    };
    let mut on = Vec::new();
    if faults.throttle {
        on.push(chance(
            80,
            refused(Code::RequestLimitExceeded, "Request limit exceeded."),
        ));
    }
    if faults.refuse {
        on.push(chance(
            30,
            refused(
                Code::ConcurrentTagAccess,
                "Another operation is in progress.",
            ),
        ));
    }
    if faults.server_error {
        on.push(chance(
            20,
            refused(Code::InternalError, "An internal error has occurred"),
        ));
        let applied = Verdict {
            applied: true,
            ..refused(Code::InternalError, "An internal error has occurred")
        };
        on.push(chance(20, applied));
    }
    if faults.apply_and_lose {
        on.push(chance(60, Verdict::applied_and_lost()));
    }
    if faults.lose_unapplied {
        on.push(chance(60, Verdict::lost_unapplied()));
    }
    if faults.apply_late {
        on.push(Chance {
            before: secs(10, 60),
            ..chance(60, Verdict::default())
        });
    }
    let slow = if faults.slow_calls {
        secs(0, 12)
    } else {
        Delay {
            min: Duration::from_millis(20),
            max: Duration::from_millis(900),
        }
    };
    let half = Delay {
        min: slow.min / 2,
        max: slow.max / 2,
    };
    on.push(Chance {
        before: half,
        after: half,
        ..chance(1000, Verdict::default())
    });
    on
}
