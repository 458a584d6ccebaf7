//! From what is wanted to calls: growth, release, refresh, and who cannot be helped. Part of [`Node`].
//!
//! The arithmetic is `pool`'s; here it meets budgets, calls in flight and deadlines. Must not: look at EC2's answers.

use crate::bucket::Lane;
use crate::effect::File;
use crate::event::RequestId;
use crate::lifecycle::{Creation, Step};
use crate::node::{Node, Out};
use crate::requests::Waiter;
use crate::truth::APART;
use model::call::{Action, CREATED_AT_TAG, Call, CreateInterface, INSTANCE_TAG, Scope, TOKEN_TAG};
use model::id::{ClientToken, EniId};
use model::imds::InstanceMetadata;
use model::time::{Duration, Instant, WallTime};
use pool::eni::EniState;
use pool::grow::{Demand, Growth};
use pool::shrink::Release;
use std::collections::BTreeMap;

/// Releases are at least this far apart, as upstream's (ipamd.md §4.6).
const RELEASE_EVERY: Duration = Duration::from_secs(30);

impl Node {
    /// Waiting ADDs that hold nothing, with their deadlines, in order of arrival.
    pub(crate) fn empty_handed(&self) -> Vec<(RequestId, Instant)> {
        self.requests
            .waiting()
            .filter(|(_, waiter)| !self.pool.holds(&waiter.key))
            .map(|(id, waiter)| (id, waiter.deadline))
            .collect()
    }

    /// How many ADDs wait, and what is being created for them.
    pub(crate) fn demand(&self, empty_handed: usize) -> Demand {
        Demand {
            waiting: u32::try_from(empty_handed).unwrap_or(u32::MAX),
            creating: self.lifecycle.creating(),
        }
    }

    /// Makes the inventory meet its targets, waiting ADDs first.
    pub(crate) fn plan(&mut self, empty_handed: usize, out: &mut Out<'_>) {
        if !self.is_serving() || self.stopping || !self.settings.provisioning {
            return;
        }
        let now = out.boot();
        let demand = self.demand(empty_handed);
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
        if growth.is_empty() && !self.has_unplaced() {
            self.plan_release(&demand, out);
        }
        // A subnet that has refused a larger request is asked step by step.
        let careful = self.pace.is_careful(now);
        let waits = careful && self.is_growing();
        let steps = if careful {
            usize::from(!waits)
        } else {
            growth.len()
        };
        for step in growth.into_iter().take(steps) {
            self.grow(step, out);
        }
    }

    /// Whether a pod holds an address of which nobody knows yet on which ENI it is: any of them may be its.
    fn has_unplaced(&self) -> bool {
        let unplaced = |address| {
            self.pool.state_of(address).is_none() && !self.truth.is_told_homeless(address)
        };
        self.pool.homeless() > 0 && self.pool.allocations().any(|held| unplaced(held.address))
    }

    /// Whether calls that bring addresses are for somebody who waits.
    fn growth_lane(&self) -> Lane {
        let empty_handed = |waiter: &Waiter| !self.pool.holds(&waiter.key);
        if self
            .requests
            .waiting()
            .any(|(_, waiter)| empty_handed(waiter))
        {
            Lane::Waiting
        } else {
            Lane::Warm
        }
    }

    /// Whether addresses or ENIs are being asked for.
    fn is_growing(&self) -> bool {
        !self.lifecycle.creations.is_empty() || self.pool.enis().any(|eni| eni.incoming > 0)
    }

    /// Whether a call for the ENI is in flight or due: nothing else is planned for it.
    pub(crate) fn is_blocked(&self, eni: &EniId, now: Instant) -> bool {
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
        let lane = self.growth_lane();
        match growth {
            Growth::Assign { eni, count }
                if self
                    .budget
                    .allows(Action::AssignPrivateIpAddresses, lane, now) =>
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
        let lane = self.growth_lane();
        let allowed = [
            Action::CreateNetworkInterface,
            Action::AttachNetworkInterface,
        ]
        .into_iter()
        .all(|action| self.budget.allows(action, lane, now));
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
        // What the file still gives to somebody would be restored after a restart.
        if !self.commit.is_durable(File::Checkpoint) {
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
            self.budget.succeeded(action, now);
        } else {
            self.pace.cap = Some((1, now.after(Duration::from_secs(120))));
        }
    }

    /// Starts the calls that are due for ENIs and creations.
    pub(crate) fn advance_lifecycle(&mut self, out: &mut Out<'_>) {
        let Some(metadata) = &self.world.metadata else {
            return;
        };
        if !self.is_serving() || self.stopping || !self.settings.provisioning {
            return;
        }
        let instance = metadata.instance.clone();
        let now = out.boot();
        self.dismiss_unattachable(now);
        let growing = self.growth_lane();
        let creations: Vec<_> = self
            .lifecycle
            .creations
            .values()
            .filter(|c| c.retry_at.is_none_or(|at| at <= now))
            .cloned()
            .collect();
        for creation in creations {
            let call = Call::CreateInterface(creation.call);
            if self.budget.allows(call.action(), growing, now)
                && !self.ops.any_call(|open| *open == call)
            {
                self.call(call, out);
            }
        }
        let due: Vec<_> = self
            .lifecycle
            .enis
            .iter()
            .filter(|(eni, _)| !self.is_busy(eni))
            .filter_map(|(eni, process)| process.next_call(eni, &instance, now))
            .collect();
        for call in due {
            if self
                .budget
                .allows(call.action(), lane_of(&call, growing), now)
            {
                self.call(call, out);
            }
        }
    }

    /// Whether a change or a look of the ENI is in flight.
    pub(crate) fn is_busy(&self, eni: &EniId) -> bool {
        let looks = |call: &Call| matches!(call, Call::DescribeInterfaces(Scope::Ids(ids)) if ids.contains(eni));
        self.ops.changes(eni) || self.ops.any_call(looks)
    }
}

/// Which lane a call of an ENI's life is in; `growing` is that of calls that bring addresses.
fn lane_of(call: &Call, growing: Lane) -> Lane {
    match call {
        Call::UnassignAddresses { .. }
        | Call::DetachInterface { .. }
        | Call::DeleteInterface { .. } => Lane::CleanUp,
        Call::CreateTags { .. } => Lane::Warm,
        Call::DescribeInterfaces(_)
        | Call::DescribeSubnets { .. }
        | Call::DescribeInstanceType { .. }
        | Call::CreateInterface(_)
        | Call::AttachInterface { .. }
        | Call::DeleteOnTermination { .. }
        | Call::AssignAddresses { .. } => growing,
    }
}
