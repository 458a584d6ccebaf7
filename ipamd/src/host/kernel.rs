//! The real network stack of this node, through `datapath`. Must not: decide when (`host` does).

use crate::host::{Applied, Kernel};
use crate::nft::Nft;
use config::HostSettings;
use datapath::eni::EniWiring;
use datapath::error::ApplyError;
use datapath::host::HostWiring;
use datapath::layout::eni_mark;
use datapath::nat::{self, NatFacts, NatSettings};
use datapath::value::{Link, Mark};
use datapath::{Changes, observe};
use ipam::effect::{HostDesired, HostEni};
use ipam::event::LinkView;
use ipnetwork::Ipv4Network;
use model::card::RouteTable;
use model::mac::Mac;
use model::settings::Snat;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

/// The namespace this process runs in.
pub struct HostKernel {
    mtu: u32,
    nat: NatSettings,
    external_services: Vec<Ipv4Network>,
    nft: Nft,
    /// Departed ENIs whose rules have been removed. Once only: later the address may be a pod's, with rules of its own.
    cleaned: Mutex<BTreeSet<Ipv4Addr>>,
}

impl HostKernel {
    /// With the host's settings.
    pub fn new(settings: &HostSettings) -> Self {
        Self {
            mtu: settings.eni_mtu,
            nat: NatSettings {
                snat: settings.snat,
                node_ports: settings.node_port_support,
                mark: Mark {
                    value: settings.connmark,
                    mask: settings.connmark,
                },
                eni_marks: settings.eni_mark,
                veth_prefix: settings.veth_prefix.clone(),
                excluded: settings.snat_excluded.clone(),
            },
            external_services: settings.external_services.clone(),
            nft: Nft::default(),
            cleaned: Mutex::default(),
        }
    }

    fn ensure_node(&self, desired: &HostDesired) -> Result<Changes, ApplyError> {
        let returns = desired.enis.iter().filter_map(|eni| {
            let mark = eni_mark(self.nat.eni_marks, eni.table)?;
            Some((mark, eni.table))
        });
        datapath::host::apply(&HostWiring {
            primary: desired.primary,
            mtu: self.mtu,
            mark: self.nat.mark,
            marking: self.nat.node_ports || self.nat.snat != Snat::External,
            returns: returns.filter(|_| self.nat.node_ports).collect(),
            external_services: self.external_services.clone(),
        })
    }

    /// Address translation and marks; whether they had to be written.
    fn ensure_nat(&self, desired: &HostDesired) -> Result<bool, String> {
        let links = observe::links().map_err(|error| error.chain())?;
        let primary = name_of(&links, desired.primary)
            .ok_or_else(|| format!("no link has the MAC address {}", desired.primary))?;
        let others = desired.enis.iter();
        let facts = NatFacts {
            address: desired.address,
            vpc: desired.vpc.clone(),
            primary,
            enis: others
                .filter_map(|eni| Some((name_of(&links, eni.mac)?, eni.table)))
                .collect(),
        };
        let ruleset = nat::ruleset(&self.nat, &facts).map_err(|error| error.to_string())?;
        self.nft.ensure(&ruleset).map_err(|error| error.to_string())
    }

    fn ensure_eni(&self, eni: &HostEni) -> Result<Changes, ApplyError> {
        let HostEni {
            mac,
            address,
            subnet,
            table,
            ..
        } = *eni;
        datapath::eni::apply(&EniWiring {
            mac,
            primary: address,
            subnet,
            table,
            mtu: self.mtu,
        })
    }

    fn clean(&self, gone: &[Ipv4Addr], applied: &mut Applied) {
        let mut cleaned = self.cleaned.lock().unwrap_or_else(PoisonError::into_inner);
        cleaned.retain(|address| gone.contains(address));
        for address in gone {
            if !cleaned.contains(address)
                && applied.count(datapath::eni::remove_rules(*address)).is_ok()
            {
                cleaned.insert(*address);
            }
        }
    }
}

impl Kernel for HostKernel {
    fn links(&self) -> Result<LinkView, String> {
        let links = observe::links().map_err(|error| error.chain())?;
        let routes = observe::routes(RouteTable::MAIN).map_err(|error| error.chain())?;
        // After the routes: a DEL removes a pod's rules first, an ADD makes them last.
        let rules = observe::rules().map_err(|error| error.chain())?;
        let names: BTreeMap<u32, &Link> = links.iter().map(|link| (link.index, link)).collect();
        let routed = routes
            .iter()
            .filter(|route| route.destination.prefix() == 32)
            .filter_map(|route| {
                let link = names.get(&route.link?)?;
                Some((route.destination.ip(), link.name.clone()))
            });
        Ok(LinkView {
            routed: routed.collect(),
            macs: links.iter().filter_map(|link| link.mac).collect(),
            names: links.iter().map(|link| link.name.clone()).collect(),
            ruled: datapath::pod::ruled(&rules),
        })
    }

    fn ensure(&self, desired: &HostDesired) -> Applied {
        let mut applied = Applied::default();
        if let Err(error) = applied.count(self.ensure_node(desired)) {
            applied.failed.push(format!("primary link: {error}"));
        }
        for eni in &desired.enis {
            match applied.count(self.ensure_eni(eni)) {
                Ok(()) => drop(applied.report.ready.insert(eni.id.clone())),
                Err(error) => drop(applied.report.failed.insert(eni.id.clone(), error)),
            }
        }
        self.clean(&desired.gone, &mut applied);
        for removed in [
            datapath::pod::remove_leftovers(&desired.leftovers),
            datapath::eni::remove_dead_rules(),
        ] {
            if let Err(error) = applied.count(removed) {
                applied.failed.push(format!("left-over rules: {error}"));
            }
        }
        // Last: nothing else should wait for a program.
        match self.ensure_nat(desired) {
            Ok(written) => applied.changes += usize::from(written),
            Err(error) => applied.failed.push(format!("address translation: {error}")),
        }
        applied
    }
}

/// Links stacked on a device may share its address; the oldest is the device.
/// The name of the link with this address. Links stacked on it may share its address; the oldest is the device.
pub(crate) fn name_of(links: &[Link], mac: Mac) -> Option<String> {
    let same = links.iter().filter(|link| link.mac == Some(mac));
    same.min_by_key(|link| link.index)
        .map(|link| link.name.clone())
}

impl Applied {
    fn count(&mut self, result: Result<Changes, ApplyError>) -> Result<(), String> {
        let changes = result.map_err(|error| error.chain())?;
        for change in changes.iter() {
            tracing::debug!(%change, "host network changed");
        }
        self.changes += changes.count();
        Ok(())
    }
}
