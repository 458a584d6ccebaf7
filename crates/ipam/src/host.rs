//! What the kernel should look like and what it was last seen to look like. Part of [`Node`].
//!
//! Level-triggered: each change of the desired state is a new version, only reports of the newest count. Must not: know
//! how a link is configured.

use crate::effect::{Effect, HostDesired, HostEni};
use crate::event::HostReport;
use crate::lifecycle::Step;
use crate::node::{Node, Out};
use crate::notice::Notice;
use crate::ranges::sorted;
use model::id::EniId;
use pool::eni::{Eni, EniState};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The newest desired state and what came of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostDesk {
    version: u64,
    desired: Option<HostDesired>,
    pub(crate) ready: BTreeSet<EniId>,
    /// The kernel was made equal to some version: pods' flows out of the VPC are translated from their first packet on.
    reported: bool,
    /// Primary addresses of ENIs that left: their rules are removed. Bounded: the oldest are dropped.
    gone: Vec<Ipv4Addr>,
    /// Addresses with rules of pods that nobody holds, as the last look showed.
    pub(crate) leftovers: Vec<Ipv4Addr>,
}

/// More departed ENIs than any node has at once; their rules have long been removed.
const GONE_KEPT: usize = 32;

impl HostDesk {
    /// The ENI has left the node.
    pub(crate) fn departed(&mut self, eni: &EniId, primary: Ipv4Addr) {
        self.ready.remove(eni);
        self.gone.push(primary);
        if self.gone.len() > GONE_KEPT {
            self.gone.remove(0);
        }
    }
}

impl Node {
    /// Emits the desired state when it has changed.
    pub(crate) fn update_host(&mut self, out: &mut Out<'_>) {
        let (Some(metadata), true) = (&self.world.metadata, self.is_serving()) else {
            return;
        };
        let enis: Vec<_> = self
            .pool
            .enis()
            .filter_map(|eni| self.desired_eni(eni))
            .collect();
        let returned = |address: &Ipv4Addr| enis.iter().any(|eni| eni.address == *address);
        self.host.gone.retain(|address| !returned(address));
        let desired = HostDesired {
            primary: metadata.primary_mac,
            address: metadata.local_ipv4,
            vpc: sorted(&metadata.vpc_cidrs),
            enis,
            gone: self.host.gone.clone(),
            leftovers: self.host.leftovers.clone(),
        };
        if self.host.desired.as_ref() != Some(&desired) {
            self.host.version += 1;
            self.host.desired = Some(desired.clone());
            out.effects.push(Effect::Host(self.host.version, desired));
        }
        self.refresh_usable(out);
    }

    fn desired_eni(&self, eni: &Eni) -> Option<HostEni> {
        let process = self.lifecycle.enis.get(&eni.id)?;
        if !eni.managed || eni.is_primary || process.step == Step::Attach || process.is_leaving() {
            return None;
        }
        let subnet = self.subnet_of(&eni.id)?;
        Some(HostEni {
            id: eni.id.clone(),
            mac: eni.mac,
            address: eni.primary,
            subnet,
            table: eni.table(),
        })
    }

    /// The kernel was made equal to a version of the desired state, or could not be.
    pub(crate) fn host_state(&mut self, version: u64, report: HostReport, out: &mut Out<'_>) {
        if version != self.host.version {
            return;
        }
        self.host.reported = true;
        for (eni, why) in report.failed {
            if self.host.ready.contains(&eni) || !self.pace.told_not_ready(&eni) {
                out.note(Notice::EniNotReady { eni, why });
            }
        }
        self.host.ready = report.ready;
        self.refresh_usable(out);
    }

    /// An ENI serves new pods exactly while EC2 is done with it, its link is there and the kernel is set up for it.
    pub(crate) fn refresh_usable(&mut self, out: &mut Out<'_>) {
        let mut changes = Vec::new();
        for eni in self
            .pool
            .enis()
            .filter(|eni| eni.managed && eni.state != EniState::Leaving)
        {
            let settled = self
                .lifecycle
                .enis
                .get(&eni.id)
                .is_some_and(|process| process.step == Step::Ready);
            let linked = self
                .links
                .as_ref()
                .is_some_and(|links| links.macs.contains(&eni.mac));
            let wired = if eni.is_primary {
                self.host.reported
            } else {
                self.host.ready.contains(&eni.id)
            };
            let state = if settled && linked && wired {
                EniState::Usable
            } else {
                EniState::Coming
            };
            if eni.state != state {
                changes.push((eni.id.clone(), state));
            }
        }
        let any = !changes.is_empty();
        for (id, state) in changes {
            if state == EniState::Usable {
                out.note(Notice::EniUsable { eni: id.clone() });
            }
            if let Some(eni) = self.pool.eni_mut(&id) {
                eni.state = state;
            }
        }
        if any {
            self.serve(out);
        }
    }
}
