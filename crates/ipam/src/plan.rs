//! From what is wanted to calls: growth, release, refresh, and who cannot be helped. Part of [`Node`].
//!
//! The arithmetic is `pool`'s; here it meets budgets, calls in flight and deadlines. Must not: look at EC2's answers.

use crate::lifecycle::{Creation, Step};
use crate::node::{Node, Out};
use crate::requests::Waiter;
use crate::truth::APART;
use model::call::{Action, CREATED_AT_TAG, Call, CreateInterface, INSTANCE_TAG, Scope, TOKEN_TAG};
use model::error::{CallError, Class};
use model::id::{ClientToken, EniId};
use model::imds::InstanceMetadata;
use model::reason::Reason;
use model::time::{Duration, Instant, WallTime};
use pool::eni::EniState;
use pool::grow::{Demand, Growth};
use pool::shrink::Release;
use std::collections::{BTreeMap, BTreeSet};

/// How often EC2 is asked what it attached to this instance, changes by others included.
const REFRESH: Duration = Duration::from_secs(300);
/// While an address is held whose ENI EC2 has not listed yet.
const REFRESH_HOMELESS: Duration = Duration::from_secs(15);
/// Releases are at least this far apart, as upstream's (ipamd.md §4.6).
const RELEASE_EVERY: Duration = Duration::from_secs(30);

/// When recurring things are due.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace {
    serving_since: Option<Instant>,
    refresh_at: Option<Instant>,
    release_at: Option<Instant>,
    /// The subnet refused a larger request: ask for at most this many addresses at once, until then.
    cap: Option<(u32, Instant)>,
    not_ready_told: BTreeSet<EniId>,
    /// Somebody waits or the pool is low: the end of a cooldown matters.
    pub(crate) wants_room: bool,
}

impl Pace {
    pub(crate) fn serving_since(&mut self, now: Instant) {
        self.serving_since = Some(now);
        self.refresh_at = Some(now.after(REFRESH));
    }

    pub(crate) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let cap = self.cap.map(|(_, until)| until);
        let settled = self.serving_since.map(|since| since.after(APART));
        [self.refresh_at, self.release_at, cap, settled]
            .into_iter()
            .flatten()
    }

    /// True when it was told before; remembers that it is told now.
    pub(crate) fn told_not_ready(&mut self, eni: &EniId) -> bool {
        !self.not_ready_told.insert(eni.clone())
    }
}

impl Node {
    /// Waiting ADDs and what is being created for them.
    fn demand(&self) -> Demand {
        Demand {
            waiting: self.requests.waiters(),
            creating: self.lifecycle.creating(),
        }
    }

    /// Makes the inventory meet its targets, waiting ADDs first.
    pub(crate) fn plan(&mut self, out: &mut Out<'_>) {
        if !self.is_serving() || self.stopping || !self.settings.provisioning {
            return;
        }
        let now = out.boot();
        let demand = self.demand();
        self.pace.wants_room = demand.waiting > 0;
        // Until EC2 has listed the ENIs of held addresses the inventory looks smaller than it is.
        let settling = self.pool.homeless() > 0
            && self
                .pace
                .serving_since
                .is_some_and(|since| now.since(since) < APART);
        let growth = if settling && demand.waiting == 0 {
            Vec::new()
        } else {
            let blocked = |eni: &EniId| self.is_blocked(eni, now);
            pool::grow::plan_growth(&self.pool, &self.settings.targets, &demand, &blocked, now)
        };
        if growth.is_empty() {
            self.plan_release(&demand, out);
        }
        for step in growth {
            self.grow(step, out);
        }
    }

    /// Whether a call for the ENI is in flight or due: nothing else is planned for it.
    fn is_blocked(&self, eni: &EniId, now: Instant) -> bool {
        self.lifecycle
            .enis
            .get(eni)
            .is_none_or(|process| !process.is_idle(now))
            || self.is_busy(eni)
    }

    fn grow(&mut self, growth: Growth, out: &mut Out<'_>) {
        let now = out.boot();
        if self.pace.cap.is_some_and(|(_, until)| until <= now) {
            self.pace.cap = None;
        }
        let cap = self.pace.cap.map_or(u32::MAX, |(cap, _)| cap);
        match growth {
            Growth::Assign { eni, count }
                if self.budget.allows(Action::AssignPrivateIpAddresses, now) =>
            {
                let count = count.min(cap);
                if let Some(record) = self.pool.eni_mut(&eni) {
                    record.incoming = count;
                }
                self.call(Call::AssignAddresses { eni, count }, out);
            }
            Growth::Create { secondary } => self.create(secondary.min(cap), out),
            Growth::Assign { .. } => {}
        }
    }

    fn create(&mut self, secondary_addresses: u32, out: &mut Out<'_>) {
        let now = out.boot();
        let allowed = [
            Action::CreateNetworkInterface,
            Action::AttachNetworkInterface,
        ]
        .into_iter()
        .all(|action| self.budget.allows(action, now));
        let Some(metadata) = self.world.metadata.clone().filter(|_| allowed) else {
            return;
        };
        // Without groups EC2 would take the VPC's default group.
        if self.world.groups.is_empty() {
            return;
        }
        let token: ClientToken =
            format!("cni-{:016x}{:016x}", self.random.next(), self.random.next())
                .parse()
                .expect("the prefix and hexadecimal digits are a token");
        let call = CreateInterface {
            tags: self.tags_for(&metadata, &token, out.now.wall),
            subnet: metadata.subnet,
            groups: self.world.groups.clone(),
            description: format!("aws-K8S-{}", metadata.instance),
            secondary_addresses,
            token: token.clone(),
        };
        self.lifecycle.creations.insert(
            token,
            Creation {
                call: call.clone(),
                retry_at: None,
                failures: 0,
            },
        );
        self.call(Call::CreateInterface(call), out);
    }

    /// Upstream's tags (ipamd.md §5.3), ours for the token, and the administrator's, which may override the owner tag.
    fn tags_for(
        &self,
        metadata: &InstanceMetadata,
        token: &ClientToken,
        wall: WallTime,
    ) -> BTreeMap<String, String> {
        let mut tags = self.lasting_tags(metadata);
        tags.insert(CREATED_AT_TAG.into(), wall.rfc3339());
        tags.insert(TOKEN_TAG.into(), token.to_string());
        tags
    }

    /// The tags every managed ENI has.
    pub(crate) fn lasting_tags(&self, metadata: &InstanceMetadata) -> BTreeMap<String, String> {
        let mut tags = BTreeMap::from([(INSTANCE_TAG.to_owned(), metadata.instance.to_string())]);
        if !self.settings.cluster_name.is_empty() {
            tags.insert(
                "cluster.k8s.amazonaws.com/name".into(),
                self.settings.cluster_name.clone(),
            );
            tags.insert("eks:eni:owner".into(), "amazon-vpc-cni".into());
        }
        tags.extend(self.settings.additional_tags.clone());
        tags
    }

    fn plan_release(&mut self, demand: &Demand, out: &mut Out<'_>) {
        let now = out.boot();
        if self.pace.release_at.is_some_and(|at| at > now) || !self.lifecycle.creations.is_empty() {
            return;
        }
        self.pace.release_at = None;
        let blocked = |eni: &EniId| self.is_blocked(eni, now);
        let releases =
            pool::shrink::plan_release(&self.pool, &self.settings.targets, demand, &blocked, now);
        if !releases.is_empty() {
            self.pace.release_at = Some(now.after(RELEASE_EVERY));
        }
        for release in releases {
            match release {
                Release::Addresses { eni, addresses } => {
                    let leaving = addresses
                        .into_iter()
                        .filter(|address| self.pool.start_leaving(*address))
                        .collect();
                    if let Some(process) = self.lifecycle.enis.get_mut(&eni) {
                        process.releasing = leaving;
                    }
                }
                Release::Eni { eni } => self.dismiss(&eni),
            }
        }
        self.advance_lifecycle(out);
    }

    /// An ENI is not wanted (any more): no pod gets an address of it, and it is detached or deleted.
    pub(crate) fn dismiss(&mut self, eni: &EniId) {
        let Some(process) = self.lifecycle.enis.get_mut(eni) else {
            return;
        };
        process.step = process
            .attachment
            .clone()
            .map_or(Step::Delete, Step::Detach);
        process.tags.clear();
        self.set_leaving(eni);
    }

    pub(crate) fn set_leaving(&mut self, eni: &EniId) {
        if let Some(record) = self.pool.eni_mut(eni) {
            record.state = EniState::Leaving;
        }
    }

    /// The subnet has no room for that many: ask for half, and for one address before backing off for good.
    pub(crate) fn halve_request(&mut self, action: Action, asked: u32, now: Instant) {
        let cap = self.pace.cap.map_or(asked, |(cap, _)| cap.min(asked)) / 2;
        if cap > 0 {
            self.pace.cap = Some((cap, now.after(Duration::from_secs(120))));
            self.budget.succeeded(action);
        } else {
            self.pace.cap = Some((1, now.after(Duration::from_secs(120))));
        }
    }

    /// Starts the calls that are due for ENIs and creations.
    pub(crate) fn advance_lifecycle(&mut self, out: &mut Out<'_>) {
        let Some(metadata) = self.world.metadata.clone().filter(|_| self.is_serving()) else {
            return;
        };
        if self.stopping || !self.settings.provisioning {
            return;
        }
        let now = out.boot();
        let creations: Vec<_> = self
            .lifecycle
            .creations
            .values()
            .filter(|c| c.retry_at.is_none_or(|at| at <= now))
            .cloned()
            .collect();
        for creation in creations {
            let call = Call::CreateInterface(creation.call);
            if self.budget.allows(call.action(), now) && !self.ops.any_call(|open| *open == call) {
                self.call(call, out);
            }
        }
        let due: Vec<_> = self
            .lifecycle
            .enis
            .iter()
            .filter(|(eni, _)| !self.is_busy(eni))
            .filter_map(|(eni, process)| process.next_call(eni, &metadata.instance, now))
            .collect();
        for call in due {
            if self.budget.allows(call.action(), now) {
                self.call(call, out);
            }
        }
    }

    /// Whether a change or a look of the ENI is in flight.
    pub(crate) fn is_busy(&self, eni: &EniId) -> bool {
        let looks = |call: &Call| matches!(call, Call::DescribeInterfaces(Scope::Ids(ids)) if ids.contains(eni));
        self.ops.changes(eni) || self.ops.any_call(looks)
    }

    /// Asks EC2 again what this instance has, when it is time.
    pub(crate) fn advance_truth(&mut self, out: &mut Out<'_>) {
        let Some(instance) = self
            .world
            .metadata
            .as_ref()
            .map(|metadata| metadata.instance.clone())
        else {
            return;
        };
        let now = out.boot();
        if !self.is_serving() || self.stopping {
            return;
        }
        if self.pool.homeless() > 0
            && self
                .pace
                .refresh_at
                .is_none_or(|at| at > now.after(REFRESH_HOMELESS))
        {
            self.pace.refresh_at = Some(now.after(REFRESH_HOMELESS));
        }
        let second = self.truth.second_read_due().is_some_and(|at| at <= now);
        let refresh = self.pace.refresh_at.is_some_and(|at| at <= now);
        if (!refresh && !second) || !self.budget.allows(Action::DescribeNetworkInterfaces, now) {
            return;
        }
        self.pace.refresh_at = Some(now.after(self.random.jitter(REFRESH)));
        let mut reads = vec![Scope::AttachedTo(instance.clone())];
        if second && self.settings.provisioning {
            reads.push(Scope::MadeFor(instance));
        }
        for scope in reads {
            let call = Call::DescribeInterfaces(scope);
            if !self.ops.any_call(|open| *open == call) {
                self.call(call, out);
            }
        }
    }

    /// Refuses at once whoever cannot get an address before the deadline.
    pub(crate) fn refuse_hopeless(&mut self, out: &mut Out<'_>) {
        if !self.is_serving() || self.requests.waiters() == 0 {
            return;
        }
        let now = out.boot();
        let demand = self.demand();
        let waiters: Vec<_> = self
            .requests
            .waiting()
            .map(|(id, waiter)| (id, waiter.clone()))
            .collect();
        let mut ahead = 0;
        for (id, waiter) in waiters {
            let reachable = if self.growth_can_come(waiter.deadline, now) {
                pool::grow::reachable(&self.pool, &demand, now, waiter.deadline)
            } else {
                self.on_the_way(waiter.deadline, now)
            };
            if ahead < reachable {
                ahead += 1;
            } else if let Some(waiter) = self.requests.stop_waiting(id) {
                let reason = self.hopeless_reason(now);
                self.refuse(id, &waiter, reason, out);
            }
        }
    }

    /// Why no address can come in time: a back-off that outlasts the deadline, or the limit of the node.
    fn hopeless_reason(&self, now: Instant) -> Reason {
        if let Some((action, until, error)) = self.growth_block(now) {
            return self.blocked_reason(action, &error, until.since(now).as_secs().max(1));
        }
        let limits = self.pool.limits();
        let stats = self.pool.stats(now);
        let unmanaged =
            u32::try_from(self.pool.enis().filter(|eni| !eni.managed).count()).unwrap_or(u32::MAX);
        let limit =
            (limits.max_enis.saturating_sub(unmanaged) * limits.slots_per_eni).min(limits.max_pods);
        Reason::NodeLimit {
            limit,
            held: stats.held,
            cooling: stats.cooling,
        }
    }

    /// Whether a call that adds addresses may be sent before the deadline.
    fn growth_can_come(&self, deadline: Instant, now: Instant) -> bool {
        self.settings.provisioning
            && self
                .growth_block(now)
                .is_none_or(|(_, until, _)| until < deadline)
    }

    /// The back-off that keeps the pool from growing: that of the only action that could still add addresses, or the
    /// earlier of both.
    fn growth_block(&self, now: Instant) -> Option<(Action, Instant, CallError)> {
        let can_fill = self.pool.enis().any(|eni| {
            let slots = self.pool.limits().slots_per_eni as usize;
            eni.managed
                && eni.state != EniState::Leaving
                && self.pool.addresses(&eni.id).count() < slots
        });
        let can_create = pool::room::enis_left(&self.pool, self.lifecycle.creations.len()) > 0;
        let block = |action| {
            let blocked = self.budget.blocked(action, now)?;
            Some((action, blocked.until, blocked.error.clone()))
        };
        let fill = block(Action::AssignPrivateIpAddresses);
        let create = [
            block(Action::CreateNetworkInterface),
            block(Action::AttachNetworkInterface),
        ]
        .into_iter()
        .flatten()
        .max_by_key(|(_, until, _)| *until);
        match (can_fill, can_create) {
            (true, false) => fill,
            (false, true) => create,
            (true, true) => Some(
                fill.zip(create)
                    .map(|(fill, create)| if fill.1 <= create.1 { fill } else { create })?,
            ),
            (false, false) => None,
        }
    }

    /// Addresses that come before the deadline though no new call is made.
    fn on_the_way(&self, deadline: Instant, now: Instant) -> u32 {
        let incoming: u32 = self.pool.enis().map(|eni| eni.incoming).sum();
        let creating: u32 = self.lifecycle.creating().iter().sum();
        let coming: usize = self
            .pool
            .enis()
            .filter(|eni| eni.managed && eni.state == EniState::Coming)
            .map(|eni| {
                self.pool
                    .addresses(&eni.id)
                    .filter(|(_, state)| **state == pool::address::AddressState::Free)
                    .count()
            })
            .sum();
        let cooling = self
            .pool
            .cooling(now)
            .iter()
            .filter(|cooling| cooling.until < deadline)
            .count();
        incoming + creating + u32::try_from(coming + cooling).unwrap_or(u32::MAX)
    }

    /// Why this request has no address.
    pub(crate) fn reason(&self, waiter: &Waiter, now: Instant) -> Reason {
        if let Some(boot) = &self.boot {
            return Reason::NotReady {
                what: boot.waiting_for.clone(),
            };
        }
        if let Some((action, until, error)) = self.growth_block(now) {
            let retry_secs = until.since(now).as_secs().max(1);
            return self.blocked_reason(action, &error, retry_secs);
        }
        if self.world.groups.is_empty() {
            return Reason::NotReady {
                what: "the security groups of the primary ENI".into(),
            };
        }
        if let Some(eni) = self
            .pool
            .enis()
            .find(|eni| eni.managed && eni.state == EniState::Coming)
        {
            return Reason::Attaching {
                eni: eni.id.clone(),
            };
        }
        let pending = match self.ops.calls().next() {
            Some(call) => format!("EC2 was asked to {call}"),
            None => format!("{} addresses are cooling", self.pool.stats(now).cooling),
        };
        Reason::Deadline {
            waited_secs: now.since(waiter.since).as_secs(),
            pending,
        }
    }

    fn blocked_reason(&self, action: Action, error: &CallError, retry_secs: u64) -> Reason {
        let refusal = match error {
            CallError::Unknown(text) => {
                return Reason::Unreachable {
                    action,
                    text: text.clone(),
                    retry_secs,
                };
            }
            CallError::Refused(refusal) => refusal,
        };
        let subnet = self
            .world
            .metadata
            .as_ref()
            .map(|metadata| metadata.subnet.clone());
        match (refusal.class, subnet) {
            (Class::Throttled, _) => Reason::Throttled { action, retry_secs },
            (Class::Denied, _) => Reason::Denied { action, retry_secs },
            (Class::SubnetFull | Class::SubnetFragmented, Some(subnet)) => {
                Reason::SubnetFull { subnet, retry_secs }
            }
            _ => Reason::Refused {
                action,
                text: refusal.to_string(),
                retry_secs,
            },
        }
    }
}
