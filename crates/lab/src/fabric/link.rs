//! The thread that makes a node's links equal to what EC2 says is attached, and the lab's udev that renames them.
//! Driven by `Fabric`. Must not: read or write frames (`router` does), configure a link beyond MAC and MTU.
//!
//! A device is made in the thread's own network namespace and moved when MAC and MTU are set, so that the node sees a
//! finished device appear, as with a hot-plugged network card.

use crate::command::{self, CommandError};
use crate::fabric::router::Router;
use crate::fabric::switch::{MTU, Port};
use crate::fabric::{Clock, SharedVpc};
use crate::namespace::{EnterError, Namespaces, isolate_network};
use model::card::{DeviceIndex, NetworkCard};
use model::id::{EniId, InstanceId};
use model::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError};
use tappers::Interface;
use tappers::linux::Tap;
use vpc::{End, GuestLink};

/// How often EC2's state is looked at.
const LOOK: std::time::Duration = std::time::Duration::from_millis(20);

/// How the node's udev treats a hot-plugged link, which the kernel calls `ethN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// It keeps the kernel's name.
    Kernel,
    /// It is renamed to `ensN` this long after it appeared.
    Udev(Duration),
}

/// A node as the fabric sees it.
#[derive(Debug, Clone)]
pub struct Guest {
    /// A process in the node's network namespace.
    pub pid: u32,
    /// The node's namespaces.
    pub namespaces: Arc<Namespaces>,
    /// Its udev.
    pub naming: Naming,
}

/// Why a link could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// `/dev/net/tun` refused.
    #[error("create a TAP device for {eni}")]
    Create {
        /// For which ENI.
        eni: EniId,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The device could not be set up or moved.
    #[error("set up the link of {eni}")]
    SetUp {
        /// For which ENI.
        eni: EniId,
        /// Cause.
        #[source]
        source: CommandError,
    },
    /// The node could not be entered.
    #[error("look at the links of {instance}")]
    Look {
        /// Which node.
        instance: InstanceId,
        /// Cause.
        #[source]
        source: EnterError,
    },
    /// The thread could not make a namespace of its own.
    #[error("isolate the fabric")]
    Isolate(#[source] io::Error),
    /// The fabric is being dropped.
    #[error("the fabric has stopped")]
    Stopped,
}

pub(super) enum Command {
    Add(InstanceId, Guest, Sender<Result<(), LinkError>>),
    Remove(InstanceId, Sender<()>),
    Settle(Sender<()>),
    Stop,
}

/// The name of an ENI's link as Amazon Linux on Nitro has it: `ens5` is the primary.
pub(crate) fn udev_name(card: NetworkCard, index: DeviceIndex) -> String {
    format!("ens{}", 5 + u32::from(index.0) + 100 * u32::from(card.0))
}

struct Plugged {
    guest: Guest,
    enis: BTreeSet<EniId>,
    renames: Vec<Rename>,
}

struct Rename {
    due: Instant,
    eni: EniId,
    from: String,
    to: String,
}

pub(super) struct Linker {
    vpc: SharedVpc,
    clock: Clock,
    router: Arc<Router>,
    guests: BTreeMap<InstanceId, Plugged>,
}

impl Linker {
    pub(super) fn new((vpc, clock): (SharedVpc, Clock), router: Arc<Router>) -> Self {
        Self {
            vpc,
            clock,
            router,
            guests: BTreeMap::new(),
        }
    }

    /// Runs until told to stop; every link is gone then.
    pub(super) fn run(mut self, inbox: &Receiver<Command>) {
        let isolated = isolate_network();
        loop {
            match inbox.recv_timeout(LOOK) {
                Ok(Command::Add(instance, guest, done)) => {
                    let result = match &isolated {
                        Ok(()) => self.add(instance, guest),
                        Err(error) => Err(LinkError::Isolate(io::Error::new(
                            error.kind(),
                            error.to_string(),
                        ))),
                    };
                    let _ = done.send(result);
                }
                Ok(Command::Remove(instance, done)) => {
                    self.remove(&instance);
                    let _ = done.send(());
                }
                Ok(Command::Settle(done)) => {
                    self.look_at_all();
                    let _ = done.send(());
                }
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.look_at_all(),
            }
        }
        for instance in self.guests.keys().cloned().collect::<Vec<_>>() {
            self.remove(&instance);
        }
    }

    fn add(&mut self, instance: InstanceId, guest: Guest) -> Result<(), LinkError> {
        let plugged = Plugged {
            guest,
            enis: BTreeSet::new(),
            renames: Vec::new(),
        };
        self.guests.insert(instance.clone(), plugged);
        let result = self.look_at(&instance);
        if result.is_err() {
            self.remove(&instance);
        }
        result
    }

    fn remove(&mut self, instance: &InstanceId) {
        if let Some(plugged) = self.guests.remove(instance) {
            let enis = plugged.enis.into_iter().map(End::Eni);
            enis.for_each(|eni| self.router.unplug(&eni));
        }
    }

    fn look_at_all(&mut self) {
        for instance in self.guests.keys().cloned().collect::<Vec<_>>() {
            if let Err(error) = self.look_at(&instance) {
                eprintln!("fabric: {:#}", anyhow::Error::from(error));
            }
        }
    }

    /// One round for one node: unplug, plug, rename. A link that cannot be made is not tried again: a broken node
    /// would fill the log.
    fn look_at(&mut self, instance: &InstanceId) -> Result<(), LinkError> {
        let now = (self.clock)();
        let wanted = {
            let mut vpc = self.vpc.lock().unwrap_or_else(PoisonError::into_inner);
            let now = vpc.advance(now);
            vpc.links(now, instance)
        };
        let Some(plugged) = self.guests.get_mut(instance) else {
            return Ok(());
        };
        let gone = |eni: &EniId| !wanted.iter().any(|link| link.eni == *eni);
        for eni in plugged.enis.extract_if(.., |eni| gone(eni)) {
            self.router.unplug(&End::Eni(eni));
        }
        plugged.renames.retain(|rename| !gone(&rename.eni));
        let mut result = Ok(());
        for link in wanted
            .iter()
            .filter(|link| plugged.enis.insert(link.eni.clone()))
        {
            result = result.and(
                plug(&self.router, (instance, &plugged.guest), link).map(|name| {
                    plugged
                        .renames
                        .extend(rename_of(now, plugged.guest.naming, link, name));
                }),
            );
        }
        for rename in plugged.renames.extract_if(.., |rename| rename.due <= now) {
            result = result.and(apply_rename(instance, &plugged.guest, &rename));
        }
        result
    }
}

/// Makes the device and moves it into the node; returns its name there.
fn plug(
    router: &Router,
    (instance, guest): (&InstanceId, &Guest),
    link: &GuestLink,
) -> Result<String, LinkError> {
    let name = if is_primary(link) {
        udev_name(link.card, link.index)
    } else {
        next_kernel_name(instance, guest)?
    };
    let create = || {
        let tap = Tap::new_named(Interface::new(&name)?)?;
        tap.set_nonblocking(true)?;
        Ok(tap)
    };
    let tap = create().map_err(|source| LinkError::Create {
        eni: link.eni.clone(),
        source,
    })?;
    let end = End::Eni(link.eni.clone());
    let port = Port {
        mac: link.mac,
        subnet: link.subnet_cidr,
        mtu: MTU,
    };
    router.plug(end.clone(), port, tap);
    let set_up = [
        format!(
            "link set dev {name} address {} mtu {MTU} txqueuelen 1000",
            link.mac
        ),
        format!("link set dev {name} netns {}", guest.pid),
    ];
    match command::ip_batch(&set_up) {
        Ok(()) => Ok(name),
        Err(source) => {
            router.unplug(&end);
            Err(LinkError::SetUp {
                eni: link.eni.clone(),
                source,
            })
        }
    }
}

fn is_primary(link: &GuestLink) -> bool {
    link.card == NetworkCard(0) && link.index == DeviceIndex(0)
}

/// The lowest `ethN` that the node does not have, as the kernel would choose.
fn next_kernel_name(instance: &InstanceId, guest: &Guest) -> Result<String, LinkError> {
    let exists = |n: &u32| std::path::Path::new(&format!("/sys/class/net/eth{n}")).exists();
    let next = guest
        .namespaces
        .run(|| (0u32..).find(|n| !exists(n)).expect("some number is free"));
    let next = next.map_err(|source| LinkError::Look {
        instance: instance.clone(),
        source,
    })?;
    Ok(format!("eth{next}"))
}

fn rename_of(now: Instant, naming: Naming, link: &GuestLink, from: String) -> Option<Rename> {
    let Naming::Udev(delay) = naming else {
        return None;
    };
    let to = udev_name(link.card, link.index);
    (from != to).then(|| Rename {
        due: now.after(delay),
        eni: link.eni.clone(),
        from,
        to,
    })
}

fn apply_rename(instance: &InstanceId, guest: &Guest, rename: &Rename) -> Result<(), LinkError> {
    let line = format!("link set dev {} name {}", rename.from, rename.to);
    let renamed = guest.namespaces.run(|| command::ip_batch(&[line]));
    renamed
        .map_err(|source| LinkError::Look {
            instance: instance.clone(),
            source,
        })?
        .map_err(|source| LinkError::SetUp {
            eni: rename.eni.clone(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_named_as_amazon_linux_names_them() {
        let name = |card, index| udev_name(NetworkCard(card), DeviceIndex(index));
        assert_eq!(
            [name(0, 0), name(0, 1), name(1, 1)],
            ["ens5", "ens6", "ens106"]
        );
    }

    #[test]
    fn a_link_is_renamed_only_when_its_name_differs_and_udev_is_on() {
        let link = GuestLink {
            eni: "eni-1".parse().unwrap(),
            mac: model::mac::Mac([2, 0, 0, 0, 0, 1]),
            index: DeviceIndex(1),
            card: NetworkCard(0),
            primary: None,
            subnet_cidr: "10.0.1.0/24".parse().unwrap(),
        };
        let delay = Naming::Udev(Duration::from_millis(200));
        let rename = rename_of(Instant(5), delay, &link, "eth0".into()).expect("wanted");
        assert_eq!((rename.due, rename.to.as_str()), (Instant(205), "ens6"));
        assert!(rename_of(Instant(5), delay, &link, "ens6".into()).is_none());
        assert!(rename_of(Instant(5), Naming::Kernel, &link, "eth0".into()).is_none());
    }
}
