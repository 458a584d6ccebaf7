//! The real network stack of this node, through `datapath`. Must not: decide when (`host` does).

use crate::host::{Applied, Kernel};
use config::HostSettings;
use datapath::eni::EniWiring;
use datapath::error::ApplyError;
use datapath::host::HostWiring;
use datapath::value::{Link, Mark};
use datapath::{Changes, observe};
use ipam::effect::{HostDesired, HostEni};
use ipam::event::LinkView;
use model::card::RouteTable;
use model::mac::Mac;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

/// The namespace this process runs in.
pub struct HostKernel {
    mtu: u32,
    mark: Mark,
    /// Departed ENIs whose rules have been removed. Once only: later the address may be a pod's, with rules of its own.
    cleaned: Mutex<BTreeSet<Ipv4Addr>>,
}

impl HostKernel {
    /// With the host's settings.
    pub fn new(settings: &HostSettings) -> Self {
        let mark = Mark {
            value: settings.connmark,
            mask: settings.connmark,
        };
        Self {
            mtu: settings.eni_mtu,
            mark,
            cleaned: Mutex::default(),
        }
    }

    fn ensure_node(&self, primary: Mac) -> Result<Changes, ApplyError> {
        datapath::host::apply(&HostWiring {
            primary,
            mtu: self.mtu,
            mark: self.mark,
        })
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
        if let Err(error) = applied.count(self.ensure_node(desired.primary)) {
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
        applied
    }
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
