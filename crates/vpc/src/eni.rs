//! Network interfaces: what one is, how it is created and deleted, and what a view shows of it.
//! Must not: know how attachments come and go.

use crate::attachment::Attachment;
use crate::error::{Code, Error, not_found, value};
use crate::history::{History, VisibleAt};
use crate::lag::Kind;
use crate::request::{Answer, CreateInterface, Tags, Wanted};
use crate::subnet::addresses_of;
use crate::vpc::Vpc;
use model::block::Block;
use model::eni::{EniAddress, EniKind, EniRecord, EniStatus};
use model::id::{EniId, SecurityGroupId, SubnetId, VpcId};
use model::mac::Mac;
use model::time::{Duration, Instant};
use std::net::Ipv4Addr;

/// A network interface as it really is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its id.
    pub id: EniId,
    /// Hardware address.
    pub mac: Mac,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Availability zone.
    pub zone: String,
    /// `InterfaceType`
    pub kind: EniKind,
    /// Free text.
    pub description: String,
    /// IPv4 addresses, the primary first; none for an EFA-only ENI.
    pub addresses: Vec<EniAddress>,
    /// Delegated IPv4 prefixes.
    pub prefixes: Vec<Block>,
    /// Security groups.
    pub groups: Vec<SecurityGroupId>,
    /// Binding, if any.
    pub attachment: Option<Attachment>,
    /// Tags.
    pub tags: Tags,
    /// Whether packets with foreign source addresses are dropped.
    pub source_dest_check: bool,
    /// Idle times of tracked connections, when set.
    pub connection_tracking: Option<ConnectionTracking>,
}

/// `ConnectionTrackingSpecification`; seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionTracking {
    /// `TcpEstablishedTimeout`
    pub tcp_established_secs: Option<u32>,
    /// `UdpStreamTimeout`
    pub udp_stream_secs: Option<u32>,
    /// `UdpTimeout`
    pub udp_secs: Option<u32>,
}

/// A network interface as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceView {
    /// Its state; tags may be older or newer than the rest.
    pub interface: Interface,
    /// `Status` at the time of the answer.
    pub status: EniStatus,
}

impl Interface {
    /// The primary address; `None` for an EFA-only ENI.
    pub fn primary(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find(|a| a.primary).map(|a| a.address)
    }

    /// Whether an address is this ENI's, alone or in a prefix.
    pub fn has(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|a| a.address == address)
            || self.prefixes.iter().any(|p| p.contains(address.into()))
    }

    /// Slots taken: addresses, the primary included, and prefixes.
    pub fn slots(&self) -> usize {
        self.addresses.len() + self.prefixes.len()
    }

    /// `Status` at a time.
    pub fn status(&self, now: Instant) -> EniStatus {
        self.attachment
            .as_ref()
            .map_or(EniStatus::Available, |attachment| attachment.status(now))
    }

    /// What an answer shows.
    pub fn view(&self, now: Instant) -> InterfaceView {
        InterfaceView {
            interface: self.clone(),
            status: self.status(now),
        }
    }
}

impl InterfaceView {
    /// The record that clients make of this answer.
    pub fn record(&self) -> EniRecord {
        let eni = &self.interface;
        EniRecord {
            id: eni.id.clone(),
            mac: eni.mac,
            subnet: eni.subnet.clone(),
            kind: eni.kind,
            status: self.status,
            description: eni.description.clone(),
            addresses: eni.addresses.clone(),
            prefixes: eni.prefixes.clone(),
            groups: eni.groups.clone(),
            attachment: eni.attachment.as_ref().map(Attachment::record),
            tags: eni.tags.clone(),
        }
    }
}

impl Vpc {
    pub(crate) fn create_interface(
        &mut self,
        now: Instant,
        create: CreateInterface,
    ) -> Result<Answer, Error> {
        if let Some(earlier) = self.repeated(&create)? {
            return Ok(Answer::Interface(Box::new(earlier.view(now))));
        }
        let interface = self.new_interface(&create)?;
        let eni = interface.id.clone();
        let visible = self.visibility(now, now);
        self.place(now, interface.clone(), visible);
        self.remember(create, &eni, &interface);
        Ok(Answer::Interface(Box::new(interface.view(now))))
    }

    /// Checks everything a create can be refused for and takes the addresses; the caller places the ENI.
    pub(crate) fn new_interface(&mut self, create: &CreateInterface) -> Result<Interface, Error> {
        let found = self.subnets.get(&create.subnet);
        let subnet =
            found.ok_or_else(|| not_found(Code::SubnetNotFound, "subnet ID", &create.subnet))?;
        let (vpc, zone) = (subnet.vpc.clone(), subnet.zone.clone());
        let groups = self.groups_for(&vpc, &create.groups)?;
        crate::tag::check(&create.tags)?;
        if self.interfaces().count() >= self.interface_quota {
            return Err(Error::new(
                Code::InterfaceLimitExceeded,
                "The maximum number of network interfaces has been reached.",
            ));
        }
        let (addresses, prefixes) = self.first_addresses(create)?;
        let id: EniId = self.fresh("eni-");
        let subnet = self
            .subnets
            .get_mut(&create.subnet)
            .expect("looked up above");
        addresses.iter().for_each(|a| subnet.take(a.address, &id));
        prefixes
            .iter()
            .flat_map(|p| addresses_of(*p))
            .for_each(|a| subnet.take(a, &id));
        Ok(Interface {
            mac: self.fresh_mac(),
            id,
            vpc,
            subnet: create.subnet.clone(),
            zone,
            kind: create.kind,
            description: create.description.clone(),
            addresses,
            prefixes,
            groups,
            attachment: None,
            tags: create.tags.clone(),
            source_dest_check: true,
            connection_tracking: create.connection_tracking,
        })
    }

    fn first_addresses(
        &mut self,
        create: &CreateInterface,
    ) -> Result<(Vec<EniAddress>, Vec<Block>), Error> {
        if create.kind == EniKind::EfaOnly {
            return match (&create.wanted, create.primary) {
                (Wanted::Count(0), None) => Ok((vec![], vec![])),
                _ => Err(value(
                    "An EFA-only network interface cannot have IP addresses.",
                )),
            };
        }
        let primary = match create.primary {
            Some(address) => self.check_explicit(&create.subnet, address, Code::IpAddressInUse)?,
            None => self.choose(&create.subnet, &Wanted::Count(1), None)?.0[0],
        };
        let (secondary, prefixes) = self.choose(&create.subnet, &create.wanted, Some(primary))?;
        let primary = EniAddress {
            address: primary,
            primary: true,
        };
        let rest = secondary.into_iter().map(|address| EniAddress {
            address,
            primary: false,
        });
        Ok((std::iter::once(primary).chain(rest).collect(), prefixes))
    }

    pub(crate) fn delete_interface(&mut self, now: Instant, eni: &EniId) -> Result<Answer, Error> {
        if self.interface_or_refuse(eni)?.attachment.is_some() {
            return Err(value(format!(
                "Network interface '{eni}' is currently in use."
            )));
        }
        self.remove(now, eni);
        Ok(Answer::Done)
    }

    /// Takes an ENI away and frees its addresses, whatever its state.
    pub(crate) fn remove(&mut self, now: Instant, eni: &EniId) {
        let interface = self
            .interface(eni)
            .expect("the caller looked it up")
            .clone();
        let subnet = self
            .subnets
            .get_mut(&interface.subnet)
            .expect("subnets are never deleted");
        interface
            .addresses
            .iter()
            .for_each(|a| subnet.free(a.address));
        interface
            .prefixes
            .iter()
            .flat_map(|p| addresses_of(*p))
            .for_each(|a| subnet.free(a));
        let visible = self.visibility(now, now);
        self.push_state(now, eni, visible, None);
    }

    /// A new ENI's first state.
    pub(crate) fn place(&mut self, now: Instant, interface: Interface, visible: VisibleAt) {
        let id = interface.id.clone();
        self.enis.insert(id.clone(), History::default());
        self.push_state(now, &id, visible, Some(interface));
    }

    /// A change of an ENI that exists, seen after each view's own lag.
    pub(crate) fn change(&mut self, now: Instant, eni: &EniId, edit: impl FnOnce(&mut Interface)) {
        let visible = self.visibility(now, now);
        self.change_visible(now, eni, visible, edit);
    }

    pub(crate) fn change_visible(
        &mut self,
        now: Instant,
        eni: &EniId,
        visible: VisibleAt,
        edit: impl FnOnce(&mut Interface),
    ) {
        let mut interface = self
            .interface(eni)
            .expect("the caller looked it up")
            .clone();
        edit(&mut interface);
        self.push_state(now, eni, visible, Some(interface));
    }

    /// From when each view shows a change made at `control` in EC2 and at `guest` on the instance.
    pub(crate) fn visibility(&mut self, control: Instant, guest: Instant) -> VisibleAt {
        self.changes += 1;
        let delay = |kind| -> Duration { self.lag.of(kind, self.seed, self.changes) };
        [
            control.after(delay(Kind::Describe)),
            control.after(delay(Kind::Tags)),
            guest.after(delay(Kind::Imds)),
            guest.after(delay(Kind::Link)),
        ]
    }

    fn push_state(
        &mut self,
        now: Instant,
        eni: &EniId,
        visible: VisibleAt,
        interface: Option<Interface>,
    ) {
        let history = self
            .enis
            .get_mut(eni)
            .expect("a history exists from the create on");
        let visible = history.push(visible, interface);
        let alive = history.prune(now);
        if !alive {
            self.enis.remove(eni);
        }
        self.events
            .extend(visible.into_iter().filter(|at| *at > now));
    }

    pub(crate) fn interface_or_refuse(&self, eni: &EniId) -> Result<&Interface, Error> {
        self.interface(eni)
            .ok_or_else(|| not_found(Code::InterfaceNotFound, "networkInterface ID", eni))
    }
}
