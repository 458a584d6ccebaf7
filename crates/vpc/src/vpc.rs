//! The account: its state, the one entry for requests, and what oracles may read. Must not: contain the rules of an
//! action (each has its file).

mod read;

use crate::attachment::Place;
use crate::bucket::Buckets;
use crate::error::{Code, Error};
use crate::fault::{Faults, Outcome, Verdict};
use crate::group::{Group, Rule, Source};
use crate::hash::mix;
use crate::history::History;
use crate::imds::{Session, Told};
use crate::instance::Instance;
use crate::lag::Lag;
use crate::outside::Outside;
use crate::request::{Action, Answer, Caller, Request};
use crate::subnet::Subnet;
use crate::token::Remembered;
use ipnetwork::Ipv4Network;
use model::id::{EniId, InstanceId, SecurityGroupId, SubnetId, VpcId};
use model::limits::InstanceLimits;
use model::mac::Mac;
use model::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// An account in one Region.
#[derive(Debug, Clone)]
pub struct Vpc {
    pub(crate) seed: u64,
    /// The latest `now` anybody gave.
    pub(crate) clock: Instant,
    /// Ids handed out.
    pub(crate) ids: u64,
    /// Choices of addresses made.
    pub(crate) draws: u64,
    /// Changes whose visibility was drawn.
    pub(crate) changes: u64,
    pub(crate) networks: BTreeMap<VpcId, Network>,
    pub(crate) subnets: BTreeMap<SubnetId, Subnet>,
    pub(crate) groups: BTreeMap<SecurityGroupId, Group>,
    pub(crate) instances: BTreeMap<InstanceId, Instance>,
    pub(crate) enis: BTreeMap<EniId, History>,
    pub(crate) tokens: BTreeMap<String, Remembered>,
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) lies: Vec<Told>,
    /// Instance types that are younger than the built-in table.
    pub(crate) young_types: BTreeMap<String, InstanceLimits>,
    pub(crate) interface_quota: usize,
    pub(crate) lag: Lag,
    pub(crate) faults: Faults,
    pub(crate) outside: Option<Outside>,
    buckets: Buckets,
    denied: BTreeSet<Action>,
    /// When something changes or becomes visible by itself.
    pub(crate) events: BTreeSet<Instant>,
}

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its id.
    pub id: VpcId,
    /// Its IPv4 ranges, the first one given at creation.
    pub cidrs: Vec<Ipv4Network>,
    /// The group that ENIs get when none is named; lets in what its members send.
    pub default_group: SecurityGroupId,
}

impl Vpc {
    /// An empty account. The seed decides ids, MACs, addresses, lags and faults.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            clock: Instant(0),
            ids: 0,
            draws: 0,
            changes: 0,
            networks: BTreeMap::new(),
            subnets: BTreeMap::new(),
            groups: BTreeMap::new(),
            instances: BTreeMap::new(),
            enis: BTreeMap::new(),
            tokens: BTreeMap::new(),
            sessions: BTreeMap::new(),
            lies: Vec::new(),
            young_types: BTreeMap::new(),
            interface_quota: 5000,
            lag: Lag::default(),
            faults: Faults::default(),
            outside: None,
            buckets: Buckets::default(),
            denied: BTreeSet::new(),
            events: BTreeSet::new(),
        }
    }

    /// Carries a request out, without any fault.
    pub fn request(
        &mut self,
        now: Instant,
        caller: &Caller,
        request: Request,
    ) -> Result<Answer, Error> {
        let now = self.advance(now);
        self.buckets.take(now, &request)?;
        if matches!(caller, Caller::Instance(_)) && self.denied.contains(&request.action()) {
            return Err(Error::new(
                Code::UnauthorizedOperation,
                "You are not authorized to perform this operation.",
            ));
        }
        self.dispatch(now, request)
    }

    /// What is to happen to a call of this action that just arrived; counts it. A door follows the verdict: it waits
    /// `before`, calls [`Vpc::carry_out`], waits `after`, and delivers the answer or loses it.
    pub fn judge(&mut self, action: Action) -> Verdict {
        self.faults.judge(self.seed, action)
    }

    /// Carries a judged request out. `None`: the caller never hears of it.
    pub fn carry_out(
        &mut self,
        now: Instant,
        caller: &Caller,
        request: Request,
        verdict: &Verdict,
    ) -> Option<Result<Answer, Error>> {
        let answer = verdict.applied.then(|| self.request(now, caller, request));
        match &verdict.outcome {
            Outcome::Answer => answer,
            Outcome::Error(error) => Some(Err(error.clone())),
            Outcome::Lost => None,
        }
    }

    /// Lets time pass: ends detaches that are over. Every entry does it; call it alone before reading.
    pub fn advance(&mut self, now: Instant) -> Instant {
        self.clock = self.clock.max(now);
        let now = self.clock;
        if self.events.first().is_some_and(|first| *first <= now) {
            self.events = self.events.split_off(&Instant(now.0.saturating_add(1)));
            let ids: Vec<EniId> = self.enis.keys().cloned().collect();
            ids.iter().for_each(|id| self.settle(id, now));
            self.enis.retain(|_, history| history.prune(now));
        }
        now
    }

    /// The next time at which something changes or becomes visible without a request.
    pub fn next_event(&self, now: Instant) -> Option<Instant> {
        self.events
            .range((Bound::Excluded(now), Bound::Unbounded))
            .next()
            .copied()
    }

    fn dispatch(&mut self, now: Instant, request: Request) -> Result<Answer, Error> {
        match request {
            Request::CreateVpc { cidr } => self.create_vpc(cidr),
            Request::AssociateVpcCidrBlock { vpc, cidr } => self.add_cidr(&vpc, cidr),
            Request::CreateSubnet { .. } => self.create_subnet(request),
            Request::CreateSecurityGroup {
                vpc,
                name,
                description,
            } => self.create_group(vpc, name, description),
            Request::AuthorizeSecurityGroupIngress { group, rules } => {
                self.authorize(&group, rules)
            }
            Request::RevokeSecurityGroupIngress { group, rules } => self.revoke(&group, &rules),
            Request::RunInstances(run) => self.run_instance(now, run),
            Request::TerminateInstances { instances } => self.terminate(now, &instances),
            Request::DescribeInterfaces(describe) => self.describe_interfaces(now, &describe),
            Request::DescribeInstances { ids } => self.describe_instances(now, &ids),
            Request::DescribeSubnets { ids, filters } => self.describe_subnets(&ids, &filters),
            Request::DescribeInstanceTypes { names } => self.describe_instance_types(&names),
            Request::CreateNetworkInterface(create) => self.create_interface(now, create),
            Request::AttachNetworkInterface {
                eni,
                instance,
                index,
                card,
            } => self.attach(
                now,
                &eni,
                Place {
                    instance,
                    index,
                    card,
                },
            ),
            Request::ModifyNetworkInterfaceAttribute { eni, change } => {
                self.modify(now, &eni, change)
            }
            Request::DetachNetworkInterface { attachment, force } => {
                self.detach(now, &attachment, force)
            }
            Request::DeleteNetworkInterface { eni } => self.delete_interface(now, &eni),
            Request::AssignPrivateIpAddresses {
                eni,
                wanted,
                allow_reassignment,
            } => self.assign(now, &eni, wanted, allow_reassignment),
            Request::UnassignPrivateIpAddresses {
                eni,
                addresses,
                prefixes,
            } => self.unassign(now, &eni, &addresses, &prefixes),
            Request::CreateTags { resources, tags } => self.create_tags(now, &resources, &tags),
        }
    }

    fn create_vpc(&mut self, cidr: Ipv4Network) -> Result<Answer, Error> {
        check_range(cidr)?;
        let id: VpcId = self.fresh("vpc-");
        let default_group = self.new_group(
            id.clone(),
            "default".to_owned(),
            "default VPC security group".to_owned(),
        );
        let members = Rule {
            protocol: None,
            ports: None,
            source: Source::Group(default_group.clone()),
        };
        self.groups
            .get_mut(&default_group)
            .expect("just made")
            .ingress
            .push(members);
        self.networks.insert(
            id.clone(),
            Network {
                id: id.clone(),
                cidrs: vec![cidr],
                default_group,
            },
        );
        Ok(Answer::Vpc(id))
    }

    fn add_cidr(&mut self, vpc: &VpcId, cidr: Ipv4Network) -> Result<Answer, Error> {
        check_range(cidr)?;
        let found = self.networks.get_mut(vpc);
        let network =
            found.ok_or_else(|| crate::error::not_found(Code::VpcNotFound, "vpc ID", vpc))?;
        if network.cidrs.iter().any(|other| other.overlaps(cidr)) {
            return Err(Error::new(
                Code::VpcRange,
                format!("The CIDR '{cidr}' conflicts with one of the VPC."),
            ));
        }
        network.cidrs.push(cidr);
        Ok(Answer::Done)
    }

    /// A new id: 17 hexadecimal digits, as EC2's.
    pub(crate) fn fresh<T: std::str::FromStr<Err: std::fmt::Debug>>(&mut self, prefix: &str) -> T {
        self.ids += 1;
        let text = format!("{prefix}0{:016x}", mix(self.seed, &[0x1d, self.ids]));
        text.parse().expect("the prefix belongs to the type")
    }

    /// A locally administered address, unique by its last three bytes.
    pub(crate) fn fresh_mac(&mut self) -> Mac {
        self.ids += 1;
        let [a, b, ..] = mix(self.seed, &[0x3ac]).to_be_bytes();
        let [.., d, e, f] = self.ids.to_be_bytes();
        Mac([0x06, a, b, d, e, f])
    }
}

fn check_range(cidr: Ipv4Network) -> Result<(), Error> {
    if (16..=28).contains(&cidr.prefix()) && cidr.network() == cidr.ip() {
        return Ok(());
    }
    Err(Error::new(
        Code::VpcRange,
        format!("The CIDR '{cidr}' is invalid."),
    ))
}
