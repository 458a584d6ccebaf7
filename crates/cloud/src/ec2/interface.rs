//! The life of an ENI: create, attach, delete-on-termination, detach, delete. Must not: combine them.
//! Driven by: [`super`].

use super::{record, tag};
use crate::error::{NOT_BUILT, outcome, refused, unreadable};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{NetworkInterfaceAttachmentChanges, ResourceType, TagSpecification};
use model::call::CreateInterface;
use model::card::{DeviceIndex, NetworkCard};
use model::eni::EniRecord;
use model::error::{CallError, Class};
use model::id::{AttachmentId, EniId, InstanceId};

/// Where an ENI is attached.
pub(super) struct Place<'a> {
    pub(super) instance: &'a InstanceId,
    pub(super) index: DeviceIndex,
    pub(super) card: NetworkCard,
}

pub(super) async fn create(
    client: &Client,
    create: &CreateInterface,
) -> Result<EniRecord, CallError> {
    if create.groups.is_empty() {
        // EC2 would take the VPC's default group, which opens the pods to whoever is in it.
        return Err(refused(
            Class::Invalid,
            NOT_BUILT,
            "create an ENI without security groups".into(),
        ));
    }
    let count = super::address::count(create.secondary_addresses)?;
    let tags = TagSpecification::builder().resource_type(ResourceType::NetworkInterface);
    let request = client
        .create_network_interface()
        .client_token(create.token.as_str())
        .subnet_id(create.subnet.as_str())
        .set_groups(Some(
            create
                .groups
                .iter()
                .map(|group| group.as_str().to_owned())
                .collect(),
        ))
        .description(&create.description)
        .set_tag_specifications(
            (!create.tags.is_empty())
                .then(|| vec![tags.set_tags(Some(tag::list(&create.tags))).build()]),
        )
        .set_secondary_private_ip_address_count((count > 0).then_some(count));
    let answer = request.send().await.map_err(outcome)?;
    let created = answer
        .network_interface()
        .ok_or_else(|| unreadable("the created ENI", "networkInterface", "missing"))?;
    record::interface(created)
}

pub(super) async fn attach(
    client: &Client,
    eni: &EniId,
    place: Place<'_>,
) -> Result<AttachmentId, CallError> {
    let request = client
        .attach_network_interface()
        .network_interface_id(eni.as_str())
        .instance_id(place.instance.as_str())
        .device_index(place.index.0.into())
        .network_card_index(place.card.0.into());
    let answer = request.send().await.map_err(outcome)?;
    record::required(eni.as_str(), "attachmentId", answer.attachment_id())
}

pub(super) async fn delete_on_termination(
    client: &Client,
    eni: &EniId,
    attachment: &AttachmentId,
) -> Result<(), CallError> {
    let change = NetworkInterfaceAttachmentChanges::builder()
        .attachment_id(attachment.as_str())
        .delete_on_termination(true);
    let request = client
        .modify_network_interface_attribute()
        .network_interface_id(eni.as_str())
        .attachment(change.build());
    request.send().await.map_err(outcome).map(drop)
}

pub(super) async fn detach(client: &Client, attachment: &AttachmentId) -> Result<(), CallError> {
    client
        .detach_network_interface()
        .attachment_id(attachment.as_str())
        .send()
        .await
        .map_err(outcome)
        .map(drop)
}

pub(super) async fn delete(client: &Client, eni: &EniId) -> Result<(), CallError> {
    client
        .delete_network_interface()
        .network_interface_id(eni.as_str())
        .send()
        .await
        .map_err(outcome)
        .map(drop)
}
