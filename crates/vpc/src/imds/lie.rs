//! What IMDS gets wrong: ENIs and addresses that it hides, makes up, or shows as they were. Must not: touch what is so;
//! EC2's own answers never lie, they lag.

use crate::eni::Interface;
use crate::history::View;
use crate::vpc::Vpc;
use model::eni::EniAddress;
use model::id::{EniId, InstanceId};
use model::time::Instant;
use std::net::Ipv4Addr;

/// One wrong thing that IMDS says of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lie {
    /// An attached ENI is not listed.
    HiddenInterface(EniId),
    /// An ENI is listed as this value says, attached or not, gone or not.
    ExtraInterface(Box<Interface>),
    /// An address of an ENI is not listed.
    HiddenAddress(EniId, Ipv4Addr),
    /// An address is listed that the ENI doesn't have (any more).
    ExtraAddress(EniId, Ipv4Addr),
    /// An ENI is listed by its MAC alone: all its fields are missing (404).
    NoFields(EniId),
    /// Everything is as it was then, whatever has changed since.
    Stale(Vec<Interface>),
}

/// A lie, whom it is told and how long.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    instance: InstanceId,
    lie: Lie,
    until: Instant,
}

impl Vpc {
    /// From now until then IMDS tells the instance this.
    pub fn lie_to(&mut self, instance: &InstanceId, lie: Lie, until: Instant) {
        self.lies.push(Told {
            instance: instance.clone(),
            lie,
            until,
        });
    }

    /// From now until then IMDS shows the instance what it shows it now.
    pub fn freeze_imds(&mut self, now: Instant, instance: &InstanceId, until: Instant) {
        let now = self.advance(now);
        let frozen = self.listed(now, instance);
        self.lie_to(instance, Lie::Stale(frozen), until);
    }

    /// Whether IMDS tells anybody a lie now.
    pub fn lies(&self, now: Instant) -> bool {
        self.lies.iter().any(|told| now < told.until)
    }

    /// IMDS tells nobody a lie any more.
    pub fn stop_lying(&mut self) {
        self.lies.clear();
    }

    /// Whether IMDS lists the ENI by its MAC alone.
    pub(super) fn lacks_fields(&self, now: Instant, instance: &InstanceId, eni: &EniId) -> bool {
        self.lies_to(now, instance)
            .any(|lie| matches!(lie, Lie::NoFields(id) if id == eni))
    }

    /// The ENIs that IMDS lists for an instance now, lies included.
    pub(super) fn listed(&self, now: Instant, instance: &InstanceId) -> Vec<Interface> {
        let mut listed: Vec<Interface> = self
            .enis
            .values()
            .filter_map(|history| history.seen(View::Imds, now))
            .filter(|eni| is_bound(eni, instance))
            .cloned()
            .collect();
        for lie in self.lies_to(now, instance) {
            apply(lie, &mut listed);
        }
        listed
    }

    fn lies_to(&self, now: Instant, instance: &InstanceId) -> impl Iterator<Item = &Lie> {
        self.lies
            .iter()
            .filter(move |told| told.instance == *instance && now < told.until)
            .map(|told| &told.lie)
    }
}

fn is_bound(eni: &Interface, instance: &InstanceId) -> bool {
    eni.attachment
        .as_ref()
        .is_some_and(|bound| bound.instance == *instance && bound.detached_at.is_none())
}

fn apply(lie: &Lie, listed: &mut Vec<Interface>) {
    match lie {
        Lie::Stale(frozen) => listed.clone_from(frozen),
        Lie::HiddenInterface(id) => listed.retain(|eni| eni.id != *id),
        Lie::ExtraInterface(extra) => {
            listed.retain(|eni| eni.id != extra.id);
            listed.push((**extra).clone());
        }
        Lie::HiddenAddress(id, address) => {
            for eni in listed.iter_mut().filter(|eni| eni.id == *id) {
                eni.addresses.retain(|known| known.address != *address);
            }
        }
        Lie::ExtraAddress(id, address) => {
            let (address, primary) = (*address, false);
            for eni in listed
                .iter_mut()
                .filter(|eni| eni.id == *id && !eni.has(address))
            {
                eni.addresses.push(EniAddress { address, primary });
            }
        }
        // The listing shows it; `lacks_fields` tells the rest.
        Lie::NoFields(_) => {}
    }
}
