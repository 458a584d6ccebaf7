//! Network interfaces in EC2's XML: as DescribeNetworkInterfaces and as DescribeInstances show them. Must not: decide anything.

use super::writer::Xml;
use super::{LONG_AGO, tags};
use std::net::Ipv4Addr;
use vpc::{ACCOUNT, Attachment, InterfaceView, Vpc, region_of};

/// `NetworkInterface`
pub(super) fn described(xml: &mut Xml, vpc: &Vpc, view: &InterfaceView) {
    let eni = &view.interface;
    common(xml, vpc, view);
    xml.leaf("availabilityZone", &eni.zone);
    xml.leaf("requesterManaged", false);
    if let Some(bound) = &eni.attachment {
        xml.node("attachment", |xml| {
            attachment(xml, view, bound);
            xml.leaf("instanceId", &bound.instance);
            xml.leaf("instanceOwnerId", ACCOUNT);
        });
    }
    if let Some(tracking) = &eni.connection_tracking {
        xml.node("connectionTrackingConfiguration", |xml| {
            tracking
                .tcp_established_secs
                .iter()
                .for_each(|secs| xml.leaf("tcpEstablishedTimeout", secs));
            tracking
                .udp_stream_secs
                .iter()
                .for_each(|secs| xml.leaf("udpStreamTimeout", secs));
            tracking
                .udp_secs
                .iter()
                .for_each(|secs| xml.leaf("udpTimeout", secs));
        });
    }
    tags(xml, &eni.tags);
}

/// `InstanceNetworkInterface`
pub(super) fn of_instance(xml: &mut Xml, vpc: &Vpc, view: &InterfaceView) {
    common(xml, vpc, view);
    if let Some(bound) = &view.interface.attachment {
        xml.node("attachment", |xml| attachment(xml, view, bound));
    }
}

fn common(xml: &mut Xml, vpc: &Vpc, view: &InterfaceView) {
    let eni = &view.interface;
    xml.leaf("networkInterfaceId", &eni.id);
    xml.leaf("subnetId", &eni.subnet);
    xml.leaf("vpcId", &eni.vpc);
    xml.leaf("description", &eni.description);
    xml.leaf("ownerId", ACCOUNT);
    xml.leaf("status", view.status_text());
    xml.leaf("macAddress", eni.mac);
    if let Some(primary) = eni.primary() {
        xml.leaf("privateIpAddress", primary);
        xml.leaf("privateDnsName", host_name(&eni.zone, primary));
    }
    xml.leaf("sourceDestCheck", eni.source_dest_check);
    xml.leaf("interfaceType", view.kind_text());
    xml.list("groupSet", &eni.groups, |xml, id| {
        xml.leaf("groupId", id);
        let group = vpc.groups().find(|group| group.id == *id);
        xml.leaf("groupName", group.map_or("", |group| &group.name));
    });
    xml.list("privateIpAddressesSet", &eni.addresses, |xml, own| {
        xml.leaf("privateIpAddress", own.address);
        xml.leaf("privateDnsName", host_name(&eni.zone, own.address));
        xml.leaf("primary", own.primary);
    });
    xml.list("ipv4PrefixSet", &eni.prefixes, |xml, prefix| {
        xml.leaf("ipv4Prefix", prefix)
    });
    xml.node("ipv6AddressesSet", |_| {});
}

fn attachment(xml: &mut Xml, view: &InterfaceView, bound: &Attachment) {
    xml.leaf("attachmentId", &bound.id);
    xml.leaf("deviceIndex", bound.index.0);
    xml.leaf("networkCardIndex", bound.card.0);
    xml.leaf("status", view.attachment_status_text());
    xml.leaf("attachTime", LONG_AGO);
    xml.leaf("deleteOnTermination", bound.delete_on_termination);
}

pub(super) fn host_name(zone: &str, address: Ipv4Addr) -> String {
    format!(
        "ip-{}.{}.compute.internal",
        address.to_string().replace('.', "-"),
        region_of(zone)
    )
}
