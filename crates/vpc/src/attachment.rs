//! Bindings of ENIs to instances: attach, detach, and the attributes that ModifyNetworkInterfaceAttribute changes.
//! Must not: create or delete ENIs.

use crate::eni::Interface;
use crate::error::{Code, Error, not_found, value};
use crate::instance::InstanceState;
use crate::lag::Kind;
use crate::request::{Answer, Modification};
use crate::vpc::Vpc;
use model::card::{DeviceIndex, NetworkCard};
use model::eni::EniStatus;
use model::id::{AttachmentId, EniId, InstanceId};
use model::time::Instant;

/// An ENI's binding to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// `eni-attach-…`
    pub id: AttachmentId,
    /// Bound to what.
    pub instance: InstanceId,
    /// Position on the card.
    pub index: DeviceIndex,
    /// Network card.
    pub card: NetworkCard,
    /// Whether the ENI is deleted with the instance.
    pub delete_on_termination: bool,
    /// From when the status is `in-use`.
    pub attached_at: Instant,
    /// Set by a detach: when the binding ends.
    pub detached_at: Option<Instant>,
}

impl Attachment {
    /// The ENI's `Status` at a time.
    pub fn status(&self, now: Instant) -> EniStatus {
        match self.detached_at {
            Some(_) => EniStatus::Detaching,
            None if now < self.attached_at => EniStatus::Attaching,
            None => EniStatus::InUse,
        }
    }

    /// The record that clients make of it.
    pub fn record(&self) -> model::eni::Attachment {
        model::eni::Attachment {
            id: self.id.clone(),
            instance: self.instance.clone(),
            index: self.index,
            card: self.card,
            delete_on_termination: self.delete_on_termination,
        }
    }

    /// Card 0, device 0: it lives and dies with its instance.
    pub fn is_primary(&self) -> bool {
        self.index == DeviceIndex(0) && self.card == NetworkCard(0)
    }
}

/// Where an ENI is to be attached.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) instance: InstanceId,
    pub(crate) index: DeviceIndex,
    pub(crate) card: NetworkCard,
}

impl Vpc {
    pub(crate) fn attach(
        &mut self,
        now: Instant,
        eni: &EniId,
        place: Place,
    ) -> Result<Answer, Error> {
        self.check_attach(eni, &place)?;
        let (id, card) = (self.fresh::<AttachmentId>("eni-attach-"), place.card);
        self.changes += 1;
        let attached_at = now.after(self.lag.of(Kind::Attach, self.seed, self.changes));
        if attached_at > now {
            self.events.insert(attached_at);
        }
        let visible = self.visibility(now, attached_at);
        let attachment = Attachment {
            id: id.clone(),
            instance: place.instance,
            index: place.index,
            card,
            delete_on_termination: false,
            attached_at,
            detached_at: None,
        };
        self.change_visible(now, eni, visible, |interface| {
            interface.attachment = Some(attachment)
        });
        Ok(Answer::Attached {
            attachment: id,
            card,
        })
    }

    fn check_attach(&self, eni: &EniId, place: &Place) -> Result<(), Error> {
        let interface = self.interface_or_refuse(eni)?;
        let instance = self.instance_or_refuse(&place.instance)?;
        if instance.state != InstanceState::Running {
            return Err(Error::new(
                Code::IncorrectState,
                format!("Instance '{}' is not 'running'.", instance.id),
            ));
        }
        if interface.attachment.is_some() {
            return Err(Error::new(
                Code::InterfaceInUse,
                format!("Interface: [{eni}] in use."),
            ));
        }
        if instance.zone != interface.zone || instance.vpc != interface.vpc {
            return Err(Error::new(
                Code::InvalidParameterCombination,
                "You may not attach a network interface to an instance if they are not in the same availability zone and VPC",
            ));
        }
        self.check_room(interface, place)
    }

    fn check_room(&self, interface: &Interface, place: &Place) -> Result<(), Error> {
        let limits = self.limits_of(&place.instance);
        let Some(most) = limits.enis_per_card.get(usize::from(place.card.0)) else {
            return Err(value(format!(
                "Instance '{}' has no network card {}.",
                place.instance, place.card.0
            )));
        };
        let on_card: Vec<DeviceIndex> = self
            .attached_to(&place.instance)
            .filter_map(|other| other.attachment.as_ref())
            .filter(|other| other.card == place.card)
            .map(|other| other.index)
            .collect();
        if on_card.contains(&place.index) {
            return Err(value(format!(
                "Instance '{}' already has an interface attached at device index '{}'.",
                place.instance, place.index.0
            )));
        }
        if on_card.len() >= most.get() as usize {
            let text = format!(
                "Interface count {} exceeds the limit for {}",
                on_card.len() + 1,
                place.instance
            );
            return Err(Error::new(Code::AttachmentLimitExceeded, text));
        }
        if interface.slots() > limits.addresses_per_eni.get() as usize {
            let text = format!(
                "Interface {} has more addresses than {} allows",
                interface.id, place.instance
            );
            return Err(Error::new(Code::InterfaceAddressLimit, text));
        }
        Ok(())
    }

    pub(crate) fn detach(
        &mut self,
        now: Instant,
        attachment: &AttachmentId,
        force: bool,
    ) -> Result<Answer, Error> {
        let found = self
            .interfaces()
            .find(|eni| {
                eni.attachment
                    .as_ref()
                    .is_some_and(|bound| bound.id == *attachment)
            })
            .and_then(|eni| Some((eni.id.clone(), eni.attachment.clone()?)));
        let Some((eni, bound)) = found else {
            return Err(not_found(
                Code::AttachmentNotFound,
                "attachment",
                attachment,
            ));
        };
        if bound.is_primary() {
            return Err(Error::new(
                Code::OperationNotPermitted,
                "The network interface at device index 0 and networkCard index 0 cannot be detached.",
            ));
        }
        if bound.detached_at.is_some() && !force {
            return Err(Error::new(
                Code::IncorrectState,
                format!("The attachment '{attachment}' is already detaching."),
            ));
        }
        self.changes += 1;
        let slow = if force {
            now
        } else {
            now.after(self.lag.of(Kind::Detach, self.seed, self.changes))
        };
        let until = bound.detached_at.map_or(slow, |earlier| earlier.min(slow));
        self.change(now, &eni, |interface| {
            interface
                .attachment
                .as_mut()
                .expect("found attached")
                .detached_at = Some(until);
        });
        let visible = self.visibility(until, until);
        self.enis.get_mut(&eni).expect("found attached").ending = Some(visible);
        let coming = visible.into_iter().chain([until]).filter(|at| *at > now);
        self.events.extend(coming);
        self.settle(&eni, now);
        Ok(Answer::Done)
    }

    /// Ends the binding of an ENI whose detach is over.
    pub(crate) fn settle(&mut self, eni: &EniId, now: Instant) {
        let over = self
            .interface(eni)
            .and_then(|eni| eni.attachment.as_ref()?.detached_at)
            .filter(|at| *at <= now);
        if over.is_some() {
            let ending = self
                .enis
                .get_mut(eni)
                .and_then(|history| history.ending.take());
            let visible = ending.expect("drawn when the detach began");
            self.change_visible(now, eni, visible, |interface| interface.attachment = None);
        }
    }

    pub(crate) fn modify(
        &mut self,
        now: Instant,
        eni: &EniId,
        change: Modification,
    ) -> Result<Answer, Error> {
        let interface = self.interface_or_refuse(eni)?;
        match change {
            Modification::DeleteOnTermination { attachment, delete } => {
                if interface
                    .attachment
                    .as_ref()
                    .is_none_or(|bound| bound.id != attachment)
                {
                    return Err(not_found(
                        Code::AttachmentNotFound,
                        "attachment",
                        &attachment,
                    ));
                }
                self.change(now, eni, |interface| {
                    interface
                        .attachment
                        .as_mut()
                        .expect("checked")
                        .delete_on_termination = delete;
                });
            }
            Modification::Groups(groups) => {
                let groups = self.groups_for(&interface.vpc.clone(), &groups)?;
                self.change(now, eni, |interface| interface.groups = groups);
            }
            Modification::SourceDestCheck(check) => {
                self.change(now, eni, |interface| interface.source_dest_check = check)
            }
            Modification::Description(text) => {
                self.change(now, eni, |interface| interface.description = text)
            }
        }
        Ok(Answer::Done)
    }

    /// The ENIs that really are bound to an instance, in any state of attaching and detaching.
    pub(crate) fn attached_to(&self, instance: &InstanceId) -> impl Iterator<Item = &Interface> {
        self.interfaces().filter(move |eni| {
            eni.attachment
                .as_ref()
                .is_some_and(|bound| bound.instance == *instance)
        })
    }
}
