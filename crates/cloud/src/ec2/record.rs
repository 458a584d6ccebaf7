//! EC2's descriptions as `model`'s records. Must not: leave an ENI, an address or a prefix out, or guess one.
//! Driven by: [`super::describe`], [`super::interface`].
//!
//! A description that cannot be read makes the whole answer unreadable: half a list of ENIs looks like absence.

use super::tag;
use crate::error::unreadable;
use aws_sdk_ec2::types::{
    AttachmentStatus, InstanceTypeHypervisor, InstanceTypeInfo, NetworkCardInfo, NetworkInfo,
    NetworkInterface, NetworkInterfaceAttachment, NetworkInterfacePrivateIpAddress,
    NetworkInterfaceStatus, NetworkInterfaceType, Subnet,
};
use ipnetwork::IpNetwork;
use model::block::Block;
use model::card::{DeviceIndex, NetworkCard};
use model::eni::{Attachment, EniAddress, EniKind, EniRecord, EniStatus, SubnetRecord};
use model::error::CallError;
use model::limits::{Hypervisor, InstanceLimits};
use std::fmt::Display;
use std::num::NonZeroU32;
use std::str::FromStr;

/// A field that EC2 always sends, parsed.
pub(super) fn required<T>(object: &str, field: &str, value: Option<&str>) -> Result<T, CallError>
where
    T: FromStr<Err: Display>,
{
    let text = value.ok_or_else(|| unreadable(object, field, "missing"))?;
    text.parse()
        .map_err(|error| unreadable(object, field, error))
}

pub(super) fn interface(eni: &NetworkInterface) -> Result<EniRecord, CallError> {
    let name = eni.network_interface_id().unwrap_or("an ENI");
    let attachment = eni
        .attachment()
        .filter(|one| one.status() != Some(&AttachmentStatus::Detached));
    // Load balancers and the like attach ENIs to no instance of ours to see.
    let attachment = attachment
        .filter(|one| one.instance_id().is_some())
        .map(|one| bound(name, one))
        .transpose()?;
    let groups = eni
        .groups()
        .iter()
        .map(|group| required(name, "groupId", group.group_id()));
    let prefixes = eni
        .ipv4_prefixes()
        .iter()
        .map(|prefix| block(name, prefix.ipv4_prefix()));
    Ok(EniRecord {
        id: required(name, "networkInterfaceId", eni.network_interface_id())?,
        mac: required(name, "macAddress", eni.mac_address())?,
        subnet: required(name, "subnetId", eni.subnet_id())?,
        kind: kind(eni.interface_type()),
        status: status(eni, attachment.is_some()),
        description: eni.description().unwrap_or_default().to_owned(),
        addresses: eni
            .private_ip_addresses()
            .iter()
            .map(|one| address(name, one))
            .collect::<Result<_, _>>()?,
        prefixes: prefixes.collect::<Result<_, _>>()?,
        groups: groups.collect::<Result<_, _>>()?,
        attachment,
        tags: tag::map(eni.tag_set()),
    })
}

/// `None` for a subnet without IPv4.
pub(super) fn subnet(subnet: &Subnet) -> Result<Option<SubnetRecord>, CallError> {
    let name = subnet.subnet_id().unwrap_or("a subnet");
    let Some(cidr) = subnet.cidr_block() else {
        return Ok(None);
    };
    Ok(Some(SubnetRecord {
        id: required(name, "subnetId", subnet.subnet_id())?,
        cidr: required(name, "cidrBlock", Some(cidr))?,
        available: natural(
            name,
            "availableIpAddressCount",
            subnet.available_ip_address_count(),
        )?,
        tags: tag::map(subnet.tags()),
    }))
}

pub(super) fn limits(
    name: &str,
    described: &InstanceTypeInfo,
) -> Result<InstanceLimits, CallError> {
    let network = described
        .network_info()
        .ok_or_else(|| unreadable(name, "networkInfo", "missing"))?;
    Ok(InstanceLimits {
        enis_per_card: cards(name, network)?,
        addresses_per_eni: positive(
            name,
            "ipv4AddressesPerInterface",
            network.ipv4_addresses_per_interface(),
        )?,
        hypervisor: match described.hypervisor() {
            Some(InstanceTypeHypervisor::Nitro) => Hypervisor::Nitro,
            Some(InstanceTypeHypervisor::Xen) => Hypervisor::Xen,
            _ => Hypervisor::Unknown,
        },
        bare_metal: described.bare_metal().unwrap_or_default(),
    })
}

/// The ENI limit of each card, by index; a type that lists no cards has one.
fn cards(name: &str, network: &NetworkInfo) -> Result<Vec<NonZeroU32>, CallError> {
    let field = "maximumNetworkInterfaces";
    let mut cards: Vec<&NetworkCardInfo> = network.network_cards().iter().collect();
    if cards.is_empty() {
        return Ok(vec![positive(
            name,
            field,
            network.maximum_network_interfaces(),
        )?]);
    }
    cards.sort_by_key(|card| card.network_card_index());
    let in_order = |(place, card): (usize, &&NetworkCardInfo)| {
        let index: usize = natural(name, "networkCardIndex", card.network_card_index())?;
        if index != place {
            return Err(unreadable(
                name,
                "networkCards",
                format!("card {place} is missing"),
            ));
        }
        positive(name, field, card.maximum_network_interfaces())
    };
    cards.iter().enumerate().map(in_order).collect()
}

fn bound(name: &str, attachment: &NetworkInterfaceAttachment) -> Result<Attachment, CallError> {
    Ok(Attachment {
        id: required(name, "attachmentId", attachment.attachment_id())?,
        instance: required(name, "instanceId", attachment.instance_id())?,
        index: DeviceIndex(natural(name, "deviceIndex", attachment.device_index())?),
        // Missing on types with one card.
        card: NetworkCard(natural(
            name,
            "networkCardIndex",
            attachment.network_card_index().or(Some(0)),
        )?),
        delete_on_termination: attachment.delete_on_termination().unwrap_or_default(),
    })
}

/// `pending` (in the answer to a create), `associated` (branch ENIs) and whatever EC2 adds are judged by the attachment.
fn status(eni: &NetworkInterface, attached: bool) -> EniStatus {
    match eni.status() {
        Some(NetworkInterfaceStatus::Available) => EniStatus::Available,
        Some(NetworkInterfaceStatus::Attaching) => EniStatus::Attaching,
        Some(NetworkInterfaceStatus::Detaching) => EniStatus::Detaching,
        Some(NetworkInterfaceStatus::InUse | NetworkInterfaceStatus::Associated) => {
            EniStatus::InUse
        }
        _ if attached => EniStatus::InUse,
        _ => EniStatus::Available,
    }
}

fn kind(kind: Option<&NetworkInterfaceType>) -> EniKind {
    match kind {
        Some(NetworkInterfaceType::Trunk) => EniKind::Trunk,
        Some(NetworkInterfaceType::Efa) => EniKind::Efa,
        Some(NetworkInterfaceType::EfaOnly) => EniKind::EfaOnly,
        _ => EniKind::Standard,
    }
}

fn address(
    name: &str,
    address: &NetworkInterfacePrivateIpAddress,
) -> Result<EniAddress, CallError> {
    let field = "privateIpAddress";
    // Without the flag nobody can tell whether a pod may have the address.
    let primary = address
        .primary()
        .ok_or_else(|| unreadable(name, "primary", "missing"))?;
    Ok(EniAddress {
        address: required(name, field, address.private_ip_address())?,
        primary,
    })
}

fn block(name: &str, prefix: Option<&str>) -> Result<Block, CallError> {
    let network: IpNetwork = required(name, "ipv4Prefix", prefix)?;
    Block::try_from(network).map_err(|error| unreadable(name, "ipv4Prefix", error))
}

fn natural<T: TryFrom<i32>>(name: &str, field: &str, value: Option<i32>) -> Result<T, CallError> {
    let number = value.ok_or_else(|| unreadable(name, field, "missing"))?;
    T::try_from(number).map_err(|_| unreadable(name, field, format!("{number} is out of range")))
}

fn positive(name: &str, field: &str, value: Option<i32>) -> Result<NonZeroU32, CallError> {
    let number: u32 = natural(name, field, value)?;
    NonZeroU32::new(number).ok_or_else(|| unreadable(name, field, "0 is out of range"))
}
