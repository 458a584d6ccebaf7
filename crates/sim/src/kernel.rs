//! The host's links: devices of attached ENIs and the host ends of pods. Must not: decide when an ENI's device shows
//! (`vpc` does) or when a pod is wired (the runtime does). Driven by: `world`.

use ipam::effect::HostDesired;
use ipam::event::{HostReport, LinkView};
use model::mac::Mac;
use model::pod::{PodKey, PodName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use vpc::GuestLink;

/// One node's links.
#[derive(Debug, Clone, Default)]
pub struct Kernel {
    pods: BTreeMap<Ipv4Addr, HostEnd>,
    /// What was there at the last look, to tell news from repetition.
    seen: BTreeSet<Mac>,
}

#[derive(Debug, Clone)]
struct HostEnd {
    name: String,
    key: PodKey,
}

impl Kernel {
    /// The plugin wires a pod. A host end of the same name goes; returns the attachment it belonged to.
    pub fn wire(&mut self, key: &PodKey, pod: &PodName, address: Ipv4Addr) -> Option<PodKey> {
        let name = format!("eni{}", pod.link_suffix(0));
        let replaced = self
            .pods
            .iter()
            .find(|(_, end)| end.name == name)
            .map(|(address, end)| (*address, end.key.clone()));
        if let Some((old, _)) = &replaced {
            self.pods.remove(old);
        }
        self.pods.insert(
            address,
            HostEnd {
                name,
                key: key.clone(),
            },
        );
        replaced.map(|(_, old)| old).filter(|old| old != key)
    }

    /// The pod's namespace, and with it its host end, goes. A host end that belongs to another attachment stays.
    pub fn unwire(&mut self, key: &PodKey) {
        self.pods.retain(|_, end| end.key != *key);
    }

    /// The node reboots.
    pub fn reboot(&mut self) {
        *self = Self::default();
    }

    /// One dump of the links.
    pub fn look(&self, devices: &[GuestLink]) -> LinkView {
        let cards = devices.iter().map(|link| {
            format!(
                "eth{}",
                u32::from(link.card.0) * 100 + u32::from(link.index.0)
            )
        });
        LinkView {
            macs: devices.iter().map(|link| link.mac).collect(),
            names: self
                .pods
                .values()
                .map(|end| end.name.clone())
                .chain(cards)
                .collect(),
            routed: self
                .pods
                .iter()
                .map(|(address, end)| (*address, end.name.clone()))
                .collect(),
            ruled: self.pods.keys().copied().collect(),
        }
    }

    /// Whether the set of devices has changed since the last call; and whether one came.
    pub fn news(&mut self, devices: &[GuestLink]) -> Option<News> {
        let macs: BTreeSet<Mac> = devices.iter().map(|link| link.mac).collect();
        let came = macs.difference(&self.seen).next().is_some();
        let changed = macs != self.seen;
        self.seen = macs;
        changed.then_some(if came { News::Came } else { News::Went })
    }

    /// Makes the kernel equal to the desired state; `broken`: the kernel refuses everything this time.
    pub fn apply(desired: &HostDesired, devices: &[GuestLink], broken: bool) -> HostReport {
        let mut report = HostReport::default();
        for eni in &desired.enis {
            if !devices.iter().any(|link| link.mac == eni.mac) {
                report.failed.insert(
                    eni.id.clone(),
                    format!("no link has the address {}", eni.mac),
                );
            } else if broken {
                report.failed.insert(
                    eni.id.clone(),
                    "add route: no buffer space available".into(),
                );
            } else {
                report.ready.insert(eni.id.clone());
            }
        }
        report
    }
}

/// How the set of devices changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// At least one is new.
    Came,
    /// Some went.
    Went,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(container: &str) -> PodKey {
        PodKey {
            network: "aws-cni".into(),
            container: container.into(),
            interface: "eth0".into(),
        }
    }

    #[test]
    fn a_new_sandbox_takes_the_host_end_and_the_old_ones_removal_leaves_it() {
        let mut kernel = Kernel::default();
        let pod = PodName {
            namespace: "default".into(),
            name: "web-1".into(),
        };
        let (first, second) = (Ipv4Addr::new(10, 0, 0, 8), Ipv4Addr::new(10, 0, 0, 9));
        assert_eq!(kernel.wire(&key("a"), &pod, first), None);
        assert_eq!(kernel.wire(&key("b"), &pod, second), Some(key("a")));
        kernel.unwire(&key("a"));
        let view = kernel.look(&[]);
        assert_eq!(
            view.routed,
            BTreeMap::from([(second, "eni0761ccbeace".to_owned())])
        );
        kernel.unwire(&key("b"));
        assert!(kernel.look(&[]).names.is_empty());
    }
}
