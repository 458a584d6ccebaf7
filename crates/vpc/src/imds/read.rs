//! What a client makes of the tree, as one value, for callers without HTTP. Must not: speak HTTP or check tokens.

use crate::eni::Interface;
use crate::instance::InstanceState;
use crate::region_of;
use crate::vpc::Vpc;
use ipnetwork::Ipv4Network;
use model::card::NetworkCard;
use model::id::{InstanceId, VpcId};
use model::imds::{ImdsInterface, InstanceMetadata};
use model::time::Instant;

/// What a client asks for and cannot do without, in its order: the token, then paths.
const REQUIRED: &[&str] = &[
    "/latest/api/token",
    "/latest/meta-data/mac",
    "/latest/meta-data/instance-id",
    "/latest/meta-data/instance-type",
    "/latest/dynamic/instance-identity/document",
    "/latest/meta-data/placement/availability-zone",
    "/latest/meta-data/local-ipv4",
    "/vpc-id",
    "/subnet-id",
    "/vpc-ipv4-cidr-blocks",
    "/latest/meta-data/network/interfaces/macs/",
];
/// What a client can do without as long as it is missing (404) and not refused otherwise.
const GROUPS: &str = "/security-group-ids";

impl Vpc {
    /// Everything a client reads of the tree, as one value. `None`: the instance does not run, or IMDS doesn't show its
    /// primary ENI.
    pub fn metadata(&self, now: Instant, instance: &InstanceId) -> Option<InstanceMetadata> {
        let instance = self
            .instance(instance)
            .filter(|instance| instance.state == InstanceState::Running)?;
        let listed = self.listed(now, &instance.id);
        let is_primary = |eni: &&Interface| {
            eni.attachment
                .as_ref()
                .is_some_and(|bound| bound.is_primary())
        };
        let primary = listed.iter().find(is_primary)?;
        if self.lacks_fields(now, &instance.id, &primary.id) {
            return None;
        }
        let metadata_of = |eni: &Interface| {
            if self.lacks_fields(now, &instance.id, &eni.id) {
                bare(eni)
            } else {
                self.metadata_of(eni)
            }
        };
        Some(InstanceMetadata {
            instance: instance.id.clone(),
            instance_type: instance.instance_type.clone(),
            region: region_of(&instance.zone).to_owned(),
            zone: instance.zone.clone(),
            local_ipv4: instance.private_address,
            primary_mac: primary.mac,
            vpc: primary.vpc.clone(),
            subnet: primary.subnet.clone(),
            vpc_cidrs: self.cidrs_of(&primary.vpc),
            groups: primary.groups.clone(),
            interfaces: listed.iter().map(metadata_of).collect(),
        })
    }

    /// The same through the refusals that are set, as a client without HTTP meets them; the error names path and status.
    pub fn read_metadata(
        &mut self,
        now: Instant,
        instance: &InstanceId,
    ) -> Result<InstanceMetadata, String> {
        let now = self.advance(now);
        for path in REQUIRED {
            if let Some((status, _)) = self.faults.refuse_imds(now, path) {
                return Err(format!("{path}: {status}"));
            }
        }
        let groups = self.faults.refuse_imds(now, GROUPS);
        let mut metadata = self
            .metadata(now, instance)
            .ok_or("/latest/meta-data/mac: 404")?;
        match groups {
            None => {}
            Some((404, _)) => metadata.groups.clear(),
            Some((status, _)) => return Err(format!("{GROUPS}: {status}")),
        }
        Ok(metadata)
    }

    fn metadata_of(&self, eni: &Interface) -> ImdsInterface {
        let bound = eni.attachment.as_ref();
        ImdsInterface {
            id: Some(eni.id.clone()),
            index: bound.map(|bound| bound.index),
            card: bound.map_or(NetworkCard(0), |bound| bound.card),
            subnet_cidr: eni.primary().map(|_| self.subnets[&eni.subnet].cidr),
            addresses: eni.addresses.iter().map(|a| a.address).collect(),
            ..bare(eni)
        }
    }

    fn cidrs_of(&self, vpc: &VpcId) -> Vec<Ipv4Network> {
        self.networks[vpc].cidrs.clone()
    }
}

/// An ENI of which only the MAC is listed.
fn bare(eni: &Interface) -> ImdsInterface {
    ImdsInterface {
        mac: eni.mac,
        id: None,
        index: None,
        card: NetworkCard(0),
        subnet_cidr: None,
        addresses: Vec::new(),
    }
}
