//! What EC2 and the kernel say exists, taken into the inventory. Part of [`Node`].
//!
//! Adding needs a read that began after our last change; removing needs what [`crate::truth`] demands. Must not: send
//! anything.

use crate::lifecycle::{Process, Step};
use crate::node::{Node, Out};
use crate::notice::Notice;
use crate::pace::HOMELESS;
use crate::refresh::ORPHAN_VISIBLE;
use crate::truth::APART;
use model::allocation::Cooling;
use model::call::{CREATED_AT_TAG, INSTANCE_TAG, NO_MANAGE_TAG};
use model::card::{DeviceIndex, NetworkCard};
use model::eni::{EniKind, EniRecord, EniStatus};
use model::id::EniId;
use model::time::{Duration, Instant};
use pool::address::AddressState;
use pool::eni::{Eni, EniState};
use pool::reconcile::compare;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// By this time of a boot everything that was done to the instance's ENIs before the boot is visible.
const DISTRUST: Instant = Instant(60_000);
/// Time for the read that confirms what was listed earlier.
const CONFIRMATION: Duration = Duration::from_secs(15);

impl Node {
    /// Everything attached to the instance, as a read that began then shows it.
    pub(crate) fn observe_attached(
        &mut self,
        began: Instant,
        records: &[EniRecord],
        out: &mut Out<'_>,
    ) {
        self.confirm_suspects(began, records);
        self.displace_listed(began, records, out);
        for record in records {
            self.adopt(record, began, out);
        }
        let present = |address| {
            self.pool
                .state_of(address)
                .is_some_and(|(_, state)| state != AddressState::Leaving)
        };
        self.truth.settle_missing(began, present);
        let listed: BTreeSet<_> = records.iter().map(|record| &record.id).collect();
        let (mut missing, mut undecided) = (Vec::new(), false);
        for (eni, process) in &self.lifecycle.enis {
            if listed.contains(eni) || process.step != Step::Ready || self.has_link(eni) {
                continue;
            }
            if self.is_busy(eni) || !self.truth.may_remove(eni, began) {
                undecided = true;
            } else {
                missing.push(eni.clone());
            }
        }
        if undecided {
            self.pace.refresh_by(out.boot().after(APART));
        }
        for eni in missing {
            self.depart(&eni, Departure::ByOthers, out);
        }
        self.report_homeless(began, out);
    }

    /// What an earlier process gave to pods and EC2 doesn't list, once that cannot be lag any more: said once.
    fn report_homeless(&mut self, began: Instant, out: &mut Out<'_>) {
        if !self.pace.is_settled(began) {
            return;
        }
        let homeless = self
            .pool
            .allocations()
            .filter(|allocation| self.pool.state_of(allocation.address).is_none());
        let homeless: BTreeMap<_, _> = homeless
            .map(|allocation| (allocation.address, allocation.key.clone()))
            .collect();
        for (address, key) in &homeless {
            if !self.truth.is_told_homeless(*address) {
                let (key, address) = (key.clone(), *address);
                out.note(Notice::AddressLost { key, address });
            }
        }
        self.truth.told_homeless(homeless.into_keys().collect());
    }

    /// Takes one attached ENI into the inventory, or brings what is known of it up to date.
    pub(crate) fn adopt(&mut self, record: &EniRecord, began: Instant, out: &mut Out<'_>) {
        let Some(metadata) = self.world.metadata.clone() else {
            return;
        };
        let is_primary = record.mac == metadata.primary_mac;
        if is_primary && !record.groups.is_empty() {
            self.world.groups = record.groups.clone();
        }
        let Some(attachment) = record
            .attachment
            .as_ref()
            .filter(|attachment| attachment.instance == metadata.instance)
        else {
            return;
        };
        let known = self.lifecycle.enis.contains_key(&record.id);
        if record.status == EniStatus::Detaching {
            return self.see_detaching(record, known, out.boot());
        }
        if !known && self.intents.is_deleted(&record.id) {
            return;
        }
        if !known {
            let step = if is_primary
                || attachment.delete_on_termination
                || !self.is_made(record)
                || !self.settings.provisioning
            {
                Step::Ready
            } else {
                Step::Protect(attachment.id.clone())
            };
            let mut process = Process::new(step, attachment.index);
            process.attachment = Some(attachment.id.clone());
            process.subnet = Some(record.subnet.clone());
            if self.is_managed(record)
                && record.kind != EniKind::Trunk
                && self.settings.provisioning
            {
                process.tags = self.missing_tags(record);
            }
            self.lifecycle.enis.insert(record.id.clone(), process);
        }
        if self.pool.eni(&record.id).is_none() {
            self.insert(record, attachment.index, attachment.card, out.boot());
        }
        if !self.is_busy(&record.id) {
            self.compare_addresses(record, began, out);
        }
    }

    fn missing_tags(&self, record: &EniRecord) -> std::collections::BTreeMap<String, String> {
        let Some(metadata) = &self.world.metadata else {
            return Default::default();
        };
        let mut tags = self.lasting_tags(metadata);
        tags.retain(|key, value| record.tags.get(key) != Some(value));
        tags
    }

    /// Somebody takes the ENI off: no new pod gets an address of it, and if it is ours it is not left behind.
    fn see_detaching(&mut self, record: &EniRecord, known: bool, now: Instant) {
        self.pace.orphans_by(now.after(ORPHAN_VISIBLE));
        let may_delete = self.settings.provisioning && record.kind == EniKind::Standard;
        if known && may_delete && self.is_ours(record) {
            self.resume(&record.id, Step::Delete);
        } else {
            // It is not ours to delete: the next read tells that it has gone.
            self.pace.refresh_by(now.after(APART));
        }
    }

    /// A new ENI in the inventory: not usable before EC2 and the kernel are done with it.
    pub(crate) fn insert(
        &mut self,
        record: &EniRecord,
        index: DeviceIndex,
        card: NetworkCard,
        now: Instant,
    ) {
        let is_primary = self
            .world
            .metadata
            .as_ref()
            .is_some_and(|metadata| metadata.primary_mac == record.mac);
        let eni = Eni {
            id: record.id.clone(),
            mac: record.mac,
            primary: record.primary().unwrap_or(Ipv4Addr::UNSPECIFIED),
            index,
            card,
            is_primary,
            kind: record.kind,
            managed: self.is_managed(record) && card == NetworkCard(0),
            state: EniState::Coming,
            since: now,
            incoming: 0,
        };
        self.pool.insert_eni(eni);
    }

    /// Upstream's rules (ipamd.md §2.5), first match wins.
    fn is_managed(&self, record: &EniRecord) -> bool {
        let metadata = self.world.metadata.as_ref();
        let is_primary = metadata.is_some_and(|metadata| metadata.primary_mac == record.mac);
        if is_primary {
            return true;
        }
        if record.kind == EniKind::EfaOnly || record.primary().is_none() {
            return false;
        }
        match record.tags.get(NO_MANAGE_TAG) {
            Some(value) => value != "true",
            None => self.settings.manage_untagged || self.is_ours(record),
        }
    }

    /// Whether the ENI was made by a node daemon for this instance, not only tagged by one.
    fn is_made(&self, record: &EniRecord) -> bool {
        self.is_ours(record) && record.tags.contains_key(CREATED_AT_TAG)
    }

    /// Whether the ENI was made for this instance, or taken over with our tag.
    fn is_ours(&self, record: &EniRecord) -> bool {
        let metadata = self.world.metadata.as_ref();
        metadata.is_some_and(|metadata| {
            record
                .tags
                .get(INSTANCE_TAG)
                .is_some_and(|tag| tag == metadata.instance.as_str())
        })
    }

    /// Adds what the record has and the inventory lacks; counts what the inventory has and the record lacks.
    pub(crate) fn compare_addresses(
        &mut self,
        record: &EniRecord,
        began: Instant,
        out: &mut Out<'_>,
    ) {
        // Tags lag behind the ENI, and people change them.
        if self.is_managed(record)
            && let Some(eni) = self.pool.eni_mut(&record.id)
        {
            eni.managed = true;
        }
        if !self.pool.eni(&record.id).is_some_and(|eni| {
            eni.managed && eni.kind != EniKind::Trunk && eni.state != EniState::Leaving
        }) {
            return;
        }
        self.pool.set_prefixes(&record.id, record.prefixes.clone());
        let difference = compare(&self.pool, std::slice::from_ref(record));
        for address in record.addresses.iter().filter(|known| !known.primary) {
            self.truth.address_seen(address.address);
        }
        if self.truth.may_add(&record.id, began) {
            for (eni, address) in difference.new_addresses {
                if self.is_elsewhere(&eni, address) {
                    // One of both has lost it: a read of everything tells which.
                    self.pace.refresh_by(out.boot().after(HOMELESS));
                }
                self.add_listed(&eni, address, out.boot());
            }
        }
        for (eni, address) in difference.missing_addresses {
            let Some((_, state)) = self.pool.state_of(address) else {
                continue;
            };
            if state == AddressState::Leaving {
                continue;
            }
            if !self.truth.may_remove(&eni, began) {
                self.truth.address_seen(address);
                self.pace.refresh_by(out.boot().after(APART));
            } else if self.truth.address_missing(address, began) {
                self.lose(address, &state, out);
            }
        }
    }

    /// EC2 no longer routes the address to this node.
    pub(crate) fn lose(&mut self, address: Ipv4Addr, state: &AddressState, out: &mut Out<'_>) {
        self.pool.forget_address(address);
        if *state != AddressState::Held {
            return;
        }
        self.withhold(address);
        if let Some(allocation) = self
            .pool
            .allocations()
            .find(|allocation| allocation.address == address)
        {
            out.note(Notice::AddressLost {
                key: allocation.key.clone(),
                address,
            });
        }
    }

    /// The only way an address enters the inventory.
    pub(crate) fn add_address(&mut self, eni: &EniId, address: Ipv4Addr) {
        let known = self
            .pool
            .state_of(address)
            .is_some_and(|(_, state)| state != AddressState::Lost);
        if known || self.intents.is_released(eni, address) {
            return;
        }
        self.pool.add_address(eni, address);
        let free = self
            .pool
            .state_of(address)
            .is_some_and(|(_, state)| state == AddressState::Free);
        let links = self.links.as_ref();
        if free && links.is_some_and(|links| links.routed.contains_key(&address)) {
            self.pool.hold_by_link(address);
        }
    }

    /// Adds an address that a describe lists. Early in a boot that remembers nothing it rests first: the one who ran
    /// before may have released it, and describes lag.
    fn add_listed(&mut self, eni: &EniId, address: Ipv4Addr, now: Instant) {
        if self.pool.state_of(address).is_none()
            && let Some(until) = self.truth.suspect(address, now)
        {
            let until = until.after(CONFIRMATION);
            self.pool.restore_cooling(Cooling { address, until });
        }
        self.add_address(eni, address);
    }

    /// Nothing is remembered of an earlier process: what EC2 lists in the first minute of a boot is not believed yet.
    pub(crate) fn distrust(&mut self, now: Instant) {
        if now < DISTRUST {
            self.truth.distrust(DISTRUST);
            self.pace.refresh_by(DISTRUST);
        }
    }

    /// A read that began late enough tells which of the suspects are owned; the others were never told to anybody.
    fn confirm_suspects(&mut self, began: Instant, records: &[EniRecord]) {
        for address in self.truth.clear_suspects(began) {
            let listed = records.iter().any(|record| {
                record
                    .addresses
                    .iter()
                    .any(|known| known.address == address)
            });
            let state = self.pool.state_of(address).map(|(_, state)| state);
            let kept = [AddressState::Held, AddressState::Leaving];
            if !listed && state.is_some_and(|state| !kept.contains(&state)) {
                self.pool.forget_address(address);
            }
        }
    }

    /// Whether a pod holds or just released an address of the ENI.
    pub(crate) fn is_wanted(&self, eni: &EniId) -> bool {
        self.pool.addresses(eni).any(|(_, state)| {
            matches!(
                state,
                AddressState::Held | AddressState::HeldByLink | AddressState::Cooling { .. }
            )
        })
    }

    /// Unattached ENIs made for this instance that nobody knows: deleted when seen twice, a minute apart.
    pub(crate) fn observe_made(&mut self, began: Instant, records: &[EniRecord]) {
        let unknown = |record: &&EniRecord| {
            let token = record.tags.get(model::call::TOKEN_TAG);
            let awaited = self
                .lifecycle
                .creations
                .keys()
                .any(|open| token.is_some_and(|token| token == open.as_str()));
            record.attachment.is_none()
                && record.kind == EniKind::Standard
                && record.status == EniStatus::Available
                && record
                    .tags
                    .get(NO_MANAGE_TAG)
                    .is_none_or(|value| value != "true")
                && self.is_ours(record)
                && !awaited
                && !self.lifecycle.enis.contains_key(&record.id)
        };
        let suspects: Vec<_> = records.iter().filter(unknown).cloned().collect();
        self.truth
            .keep_orphans(|eni| suspects.iter().any(|record| record.id == *eni));
        for record in suspects {
            if self.truth.orphan_seen(&record.id, began) {
                let index = self
                    .lifecycle
                    .free_index(None)
                    .unwrap_or(DeviceIndex(DeviceIndex::LIMIT - 1));
                self.lifecycle
                    .enis
                    .insert(record.id.clone(), Process::new(Step::Delete, index));
                self.truth.forget(&record.id);
            }
        }
    }

    /// The ENI is not this node's any more.
    pub(crate) fn depart(&mut self, eni: &EniId, departure: Departure, out: &mut Out<'_>) {
        let primary = self.pool.eni(eni).map(|record| record.primary);
        for lost in self.pool.remove_eni(eni) {
            self.truth.tell_homeless(lost.address);
            self.withhold(lost.address);
            out.note(Notice::AddressLost {
                key: lost.key,
                address: lost.address,
            });
        }
        self.lifecycle.enis.remove(eni);
        self.truth.forget(eni);
        if self.intents.forget_eni(eni) {
            self.commit.touch(crate::effect::File::Journal);
        }
        if let Some(primary) = primary {
            self.host.departed(eni, primary);
        }
        if departure == Departure::ByOthers {
            // Perhaps only detached, and left behind.
            self.pace.orphans_by(out.boot().after(ORPHAN_VISIBLE));
        }
        out.note(Notice::EniGone {
            eni: eni.clone(),
            by_us: departure == Departure::ByUs,
        });
    }

    /// The IPv4 range of the ENI's subnet; unknown for a subnet that EC2 doesn't list for the node's zone.
    pub(crate) fn subnet_of(&self, eni: &EniId) -> Option<ipnetwork::Ipv4Network> {
        let subnet = self.lifecycle.enis.get(eni)?.subnet.as_ref()?;
        self.world.subnets.as_ref()?.get(subnet).copied()
    }
}

/// Who took an ENI away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Departure {
    ByUs,
    ByOthers,
}
