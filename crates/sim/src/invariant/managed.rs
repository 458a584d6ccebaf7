//! I4: what is told is a secondary address of a managed ENI on card 0, with that ENI's own numbers; never of a trunk.
//! An attached EFA has addresses for pods as upstream uses them (ipamd.md §2.5), but is never taken away.
//! I5: what is changed is ours, and nothing is changed while provisioning is off.

use super::{Check, Invariant, violated};
use model::call::{Call, INSTANCE_TAG, NO_MANAGE_TAG};
use model::card::{DeviceIndex, NetworkCard, RouteTable};
use model::eni::EniKind;
use model::id::{EniId, InstanceId};
use model::settings::NodeSettings;
use std::net::Ipv4Addr;
use vpc::{Interface, Vpc};

/// What an ADD's reply says.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The address.
    pub address: Ipv4Addr,
    /// From which ENI, when the node knows.
    pub eni: Option<&'a EniId>,
    /// Its device index.
    pub index: DeviceIndex,
    /// Its routing table.
    pub table: RouteTable,
}

/// Whose node it is.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// The instance.
    pub instance: &'a InstanceId,
    /// What the machine was configured with.
    pub settings: &'a NodeSettings,
}

/// At an ADD's reply.
pub fn check_told(vpc: &Vpc, node: &Node<'_>, told: &Told<'_>) -> Check {
    let address = told.address;
    let Some(eni) = vpc.interfaces().find(|eni| eni.has(address)) else {
        return Ok(());
    };
    if eni.primary() == Some(address) {
        return violated(
            Invariant::Managed,
            format!("{address} is told, the primary address of {}", eni.id),
        );
    }
    if let Some(why) = unmanaged(eni, node) {
        return violated(
            Invariant::Managed,
            format!("{address} is told, of {}, which is {why}", eni.id),
        );
    }
    let Some(attachment) = &eni.attachment else {
        return Ok(());
    };
    if told.eni.is_none() {
        return Ok(());
    }
    let (index, table) = (
        attachment.index,
        RouteTable::of(attachment.card, attachment.index),
    );
    if told.eni == Some(&eni.id) && told.index == index && told.table == table {
        return Ok(());
    }
    let (id, index) = (&eni.id, index.0);
    violated(
        Invariant::Managed,
        format!("{address} is told as {told:?}, but it is on {id} at index {index}, table {table}"),
    )
}

/// At every mutating call.
pub fn check_call(vpc: &Vpc, node: &Node<'_>, call: &Call) -> Check {
    if !node.settings.provisioning {
        return violated(
            Invariant::Ours,
            format!("{call} though provisioning is off"),
        );
    }
    let Some(eni) = call
        .eni()
        .and_then(|id| vpc.interfaces().find(|eni| eni.id == *id))
    else {
        return Ok(());
    };
    if let Some(why) = unmanaged(eni, node) {
        return violated(Invariant::Ours, format!("{call}, which is {why}"));
    }
    let ends = matches!(
        call,
        Call::DetachInterface { .. } | Call::DeleteInterface { .. }
    );
    if ends && eni.kind != EniKind::Standard {
        return violated(
            Invariant::Ours,
            format!("{call}, which is not a standard ENI"),
        );
    }
    if ends
        && eni
            .attachment
            .as_ref()
            .is_some_and(vpc::Attachment::is_primary)
    {
        return violated(Invariant::Ours, format!("{call}, the primary ENI"));
    }
    Ok(())
}

/// Why an ENI must be left alone.
fn unmanaged(eni: &Interface, node: &Node<'_>) -> Option<&'static str> {
    let made_for = eni.tags.get(INSTANCE_TAG).map(String::as_str);
    let attachment = eni.attachment.as_ref();
    if attachment.is_some_and(vpc::Attachment::is_primary) {
        return None;
    }
    match eni.kind {
        EniKind::Trunk => return Some("a trunk"),
        EniKind::EfaOnly => return Some("an EFA without addresses"),
        EniKind::Standard | EniKind::Efa => {}
    }
    if attachment.is_some_and(|attachment| attachment.card != NetworkCard(0)) {
        return Some("on another card");
    }
    if eni
        .tags
        .get(NO_MANAGE_TAG)
        .is_some_and(|value| value == "true")
    {
        return Some("tagged as not managed");
    }
    match made_for {
        Some(instance) if instance == node.instance.as_str() => None,
        Some(_) => Some("another instance's"),
        None if attachment.is_none() => Some("untagged and not attached"),
        None if !node.settings.manage_untagged => Some("untagged"),
        None => None,
    }
}
