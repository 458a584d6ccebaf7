//! Start-up: from what was restored and what is observed to serving. Part of [`Node`].
//!
//! Order: identity (IMDS), limits, subnets, attached ENIs (EC2) and links (kernel), then open intents, then serving.
//! Nothing here gives up: whatever fails is named and tried again. Requests that come before wait, DELs are applied to
//! what was restored.

use crate::bucket::Lane;
use crate::budget::backoff;
use crate::capacity::Capacity;
use crate::event::LinkView;
use crate::node::{Node, Out};
use crate::notice::Notice;
use crate::operations::Operation;
use crate::sweep::PodLinks;
use ipnetwork::Ipv4Network;
use model::allocation::{BootId, Checkpoint};
use model::call::{Action, Call, Scope};
use model::eni::{EniRecord, SubnetRecord};
use model::id::{SecurityGroupId, SubnetId};
use model::imds::InstanceMetadata;
use model::intent::Intent;
use model::settings::NodeSettings;
use model::time::{Duration, Instant};
use pool::inventory::{Inventory, PoolLimits};
use std::collections::BTreeMap;

/// How soon EC2 is asked again for what it must have and does not list.
const UNLISTED: Duration = Duration::from_secs(2);
/// How late the list of links may be at most.
const LINKS_AT_LEAST: Duration = Duration::from_secs(30);

/// What an earlier process left on disk, and the boot this process runs in.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// Content of `ipam.json`; `None`: there is none (or it was set aside).
    pub checkpoint: Option<Checkpoint>,
    /// Content of `intents.json`.
    pub journal: Vec<Intent>,
    /// This boot.
    pub boot_id: BootId,
}

/// What start-up still needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Boot {
    /// Told once start-up begins.
    pub(crate) notices: Vec<Notice>,
    /// The checkpoint has no extension: upstream wrote it, its entries are judged by their links.
    judge_by_links: bool,
    /// The checkpoint was written in this boot: what was released lately is known.
    remembers: bool,
    attached: Option<(Instant, Vec<EniRecord>)>,
    pub(crate) retry_at: Option<Instant>,
    failures: u32,
    /// What went wrong with the latest try of each action, in words.
    troubles: BTreeMap<Action, String>,
    /// What is being waited for, in words.
    pub(crate) waiting_for: String,
}

/// What is known of the instance and its surroundings.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) metadata: Option<InstanceMetadata>,
    pub(crate) capacity: Capacity,
    pub(crate) subnets: Option<BTreeMap<SubnetId, Ipv4Network>>,
    /// Security groups of the primary ENI, as EC2 (or, before that, IMDS) says. Empty: unknown.
    pub(crate) groups: Vec<SecurityGroupId>,
}

/// An inventory that can hold what was restored before the instance's limits are known.
pub(crate) fn empty_pool(settings: &NodeSettings) -> Inventory {
    Inventory::new(PoolLimits {
        max_enis: 1,
        slots_per_eni: 0,
        max_pods: settings.max_pods,
        cooldown: settings.cooldown,
    })
}

impl Node {
    /// Takes over the checkpoint of an earlier process.
    pub(crate) fn restore(&mut self, checkpoint: Checkpoint) {
        let boot = self.boot.get_or_insert_default();
        let same_boot = checkpoint
            .extension
            .as_ref()
            .is_none_or(|extension| extension.boot_id == self.boot_id);
        boot.judge_by_links = checkpoint.extension.is_none();
        boot.remembers = checkpoint.extension.is_some() && same_boot;
        for allocation in checkpoint.allocations {
            let (key, address) = (allocation.key.clone(), allocation.address);
            let why = if !same_boot {
                Some("the node was rebooted: its pods are gone")
            } else if self.pool.restore(allocation).is_err() {
                Some("its key or address is held already")
            } else {
                self.requests.was_told(key.clone());
                None
            };
            if let Some(why) = why {
                boot.notices.push(Notice::Dropped { key, address, why });
            }
        }
        for cooling in checkpoint
            .extension
            .filter(|_| same_boot)
            .into_iter()
            .flat_map(|extension| extension.cooling)
        {
            self.pool.restore_cooling(cooling);
        }
    }

    /// Asks for whatever start-up still lacks; finishes it when nothing is lacking.
    pub(crate) fn advance_boot(&mut self, out: &mut Out<'_>) {
        let Some(boot) = &self.boot else { return };
        if self.stopping || boot.retry_at.is_some_and(|at| at > out.boot()) {
            return;
        }
        let Some(metadata) = self.world.metadata.clone() else {
            if !self.ops.reads_imds() {
                if self.boot.as_ref().is_some_and(|boot| boot.failures == 0) {
                    self.waiting_for("the instance metadata service");
                }
                let op = self.ops.start(Operation::Imds);
                out.effects.push(crate::effect::Effect::ReadImds(op));
            }
            return;
        };
        let mut wanted = Vec::from_iter(self.ask_limits(&metadata.instance_type));
        if self.world.subnets.is_none() {
            wanted.push(Call::DescribeSubnets {
                vpc: metadata.vpc.clone(),
                zone: metadata.zone.clone(),
            });
        }
        if self
            .boot
            .as_ref()
            .is_some_and(|boot| boot.attached.is_none())
        {
            wanted.push(Call::DescribeInterfaces(Scope::AttachedTo(
                metadata.instance.clone(),
            )));
        }
        self.name_wanted(&wanted);
        for call in &wanted {
            let in_flight = self.ops.any_call(|open| open == call);
            if !in_flight && self.budget.allows(call.action(), Lane::Waiting, out.boot()) {
                self.call(call.clone(), out);
            }
        }
        if !wanted.is_empty() {
            return;
        }
        match self.links.clone() {
            Some(links) if links.macs.contains(&metadata.primary_mac) => {
                self.finish_boot(&links, out)
            }
            Some(_) => self.wait_for_primary_link(&metadata, out),
            None => self.waiting_for("the list of the host's links"),
        }
    }

    fn waiting_for(&mut self, what: &str) {
        if let Some(boot) = &mut self.boot {
            what.clone_into(&mut boot.waiting_for);
        }
    }

    /// Of what is asked, that which went wrong is what people should know; else the first.
    fn name_wanted(&mut self, wanted: &[Call]) {
        let Some(boot) = &mut self.boot else { return };
        let trouble = |call: &Call| boot.troubles.get(&call.action());
        let troubled = wanted.iter().find(|call| trouble(call).is_some());
        let Some(call) = troubled.or(wanted.first()) else {
            return;
        };
        let name = call.action().name();
        boot.waiting_for = match trouble(call) {
            Some(text) => format!("EC2 {name}: {text}"),
            None => format!("EC2 {name}"),
        };
    }

    /// On a fresh machine the link may come late. Nothing is tried again: its coming is an event.
    fn wait_for_primary_link(&mut self, metadata: &InstanceMetadata, out: &mut Out<'_>) {
        let what = format!("the link of the primary ENI, {}", metadata.primary_mac);
        if self
            .boot
            .as_ref()
            .is_some_and(|boot| boot.waiting_for != what)
        {
            self.waiting_for(&what);
            let retry = LINKS_AT_LEAST;
            out.note(Notice::Waiting { what, retry });
        }
    }

    /// A call of start-up ended: what went wrong is named while it is waited for.
    pub(crate) fn tell_trouble(
        &mut self,
        action: Action,
        trouble: Option<&str>,
        retry: Duration,
        out: &mut Out<'_>,
    ) {
        let Some(boot) = &mut self.boot else { return };
        let Some(text) = trouble else {
            boot.troubles.remove(&action);
            return;
        };
        boot.troubles.insert(action, text.to_owned());
        let what = format!("EC2 {}: {text}", action.name());
        boot.waiting_for.clone_from(&what);
        out.note(Notice::Waiting { what, retry });
    }

    /// The metadata arrived, or didn't: then the path is named and the read is repeated.
    pub(crate) fn metadata_read(
        &mut self,
        result: Result<InstanceMetadata, String>,
        out: &mut Out<'_>,
    ) {
        if self.is_serving() {
            self.ranges_read(&result, out);
            if let Ok(metadata) = result {
                self.take_hint(&metadata, out.boot());
            }
            return;
        }
        match result {
            Ok(metadata) => {
                self.world.groups = metadata.groups.clone();
                self.world.metadata = Some(metadata);
            }
            Err(error) => {
                let Some(boot) = &mut self.boot else { return };
                let retry = backoff(
                    Duration::from_millis(250),
                    Duration::from_secs(5),
                    boot.failures,
                );
                boot.failures += 1;
                boot.retry_at = Some(out.boot().after(retry));
                boot.waiting_for = format!("the instance metadata service: {error}");
                out.note(Notice::Waiting { what: error, retry });
            }
        }
    }

    /// The attached ENIs as EC2 lists them at start-up.
    pub(crate) fn boot_observed(
        &mut self,
        began: Instant,
        records: Vec<EniRecord>,
        out: &mut Out<'_>,
    ) {
        let Some(metadata) = &self.world.metadata else {
            return;
        };
        let has_primary = records
            .iter()
            .any(|record| record.mac == metadata.primary_mac);
        let Some(boot) = &mut self.boot else { return };
        if has_primary {
            boot.attached = Some((began, records));
            return;
        }
        // The primary ENI must exist: a list without it proves nothing about the others either.
        boot.retry_at = Some(out.boot().after(UNLISTED));
        let text = format!(
            "the primary ENI, {}, of {} is not listed yet",
            metadata.primary_mac, metadata.instance
        );
        let action = Action::DescribeNetworkInterfaces;
        self.tell_trouble(action, Some(&text), UNLISTED, out);
    }

    /// The subnets of the node's zone.
    pub(crate) fn learn_subnets(&mut self, subnets: Vec<SubnetRecord>, out: &mut Out<'_>) {
        let known: BTreeMap<_, _> = subnets
            .into_iter()
            .map(|subnet| (subnet.id, subnet.cidr))
            .collect();
        let Some(metadata) = &self.world.metadata else {
            return;
        };
        if known.contains_key(&metadata.subnet) {
            self.world.subnets = Some(known);
        } else if let Some(boot) = &mut self.boot {
            boot.retry_at = Some(out.boot().after(UNLISTED));
            let text = format!("{} is not listed yet", metadata.subnet);
            self.tell_trouble(Action::DescribeSubnets, Some(&text), UNLISTED, out);
        }
    }

    fn finish_boot(&mut self, links: &LinkView, out: &mut Out<'_>) {
        let Some(Boot {
            judge_by_links,
            remembers,
            attached: Some((began, records)),
            ..
        }) = self.boot.take()
        else {
            return;
        };
        self.apply_limits(&records, out);
        if !remembers {
            self.distrust(out.boot());
        }
        if judge_by_links {
            self.drop_unlinked(links, out);
        }
        self.observe_attached(began, &records, out);
        self.resolve_intents(&records, out.boot());
        self.hold_routed(out);
        self.pace.serving_since(out.boot());
        self.hint.serving_since(out.boot());
        self.commit.touch(crate::effect::File::Checkpoint);
        out.note(Notice::Serving {
            enis: self.lifecycle.enis.len(),
            restored: self.pool.allocations().count(),
        });
    }

    /// Entries that upstream wrote are kept only when their pod has a host link (ipamd.md §3.5).
    fn drop_unlinked(&mut self, links: &LinkView, out: &mut Out<'_>) {
        let pods = PodLinks::of(links);
        let gone: Vec<_> = self
            .pool
            .allocations()
            .filter(|allocation| !pods.has(allocation))
            .cloned()
            .collect();
        for allocation in gone {
            self.pool.release(out.boot(), &allocation.key);
            self.requests.forget(&allocation.key);
            let why = "its pod has no host link";
            out.note(Notice::Dropped {
                key: allocation.key,
                address: allocation.address,
                why,
            });
        }
    }
}
