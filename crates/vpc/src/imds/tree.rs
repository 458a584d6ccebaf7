//! The metadata tree of one instance: every leaf by its path, directories implied. Must not: check tokens.

use crate::ACCOUNT;
use crate::eni::Interface;
use crate::instance::{Instance, InstanceState};
use crate::region_of;
use crate::vpc::Vpc;
use model::id::InstanceId;
use model::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Leaves by path, without a leading `/`.
pub(super) struct Tree(BTreeMap<String, String>);

/// Credentials never end: the account has no wall clock.
const EXPIRATION: &str = "2099-01-01T00:00:00Z";
const LAUNCHED: &str = "2024-01-01T00:00:00Z";

impl Tree {
    /// `None`: the instance does not run.
    pub(super) fn of(vpc: &Vpc, now: Instant, instance: &InstanceId) -> Option<Self> {
        let instance = vpc
            .instance(instance)
            .filter(|instance| instance.state == InstanceState::Running)?;
        let mut tree = Self(BTreeMap::new());
        tree.identity(instance);
        tree.role(instance);
        for eni in &vpc.listed(now, &instance.id) {
            if vpc.lacks_fields(now, &instance.id, &eni.id) {
                tree.bare(eni);
            } else {
                tree.interface(vpc, instance, eni);
            }
            if eni
                .attachment
                .as_ref()
                .is_some_and(|bound| bound.is_primary())
            {
                tree.meta("mac", eni.mac.to_string());
                tree.meta("security-groups", group_names(vpc, eni));
            }
        }
        Some(tree)
    }

    /// A leaf's value or a directory's listing.
    pub(super) fn find(&self, path: &str) -> Option<String> {
        let path = path.strip_prefix('/')?;
        if let Some(value) = self.0.get(path) {
            return Some(value.clone());
        }
        let directory = match path.trim_end_matches('/') {
            "" => String::new(),
            name => format!("{name}/"),
        };
        let entries: BTreeSet<String> = self
            .0
            .range(directory.clone()..)
            .take_while(|(leaf, _)| leaf.starts_with(&directory))
            .map(|(leaf, _)| match leaf[directory.len()..].split_once('/') {
                Some((child, _)) => format!("{child}/"),
                None => leaf[directory.len()..].to_owned(),
            })
            .collect();
        (!entries.is_empty()).then(|| entries.into_iter().collect::<Vec<_>>().join("\n"))
    }

    fn meta(&mut self, path: &str, value: impl Into<String>) {
        self.0
            .insert(format!("latest/meta-data/{path}"), value.into());
    }

    fn identity(&mut self, instance: &Instance) {
        let region = region_of(&instance.zone);
        let host = format!(
            "ip-{}.{region}.compute.internal",
            instance.private_address.to_string().replace('.', "-")
        );
        self.meta("ami-id", "ami-0123456789abcdef0");
        self.meta("hostname", host.clone());
        self.meta("instance-action", "none");
        self.meta("instance-id", instance.id.to_string());
        self.meta("instance-life-cycle", "on-demand");
        self.meta("instance-type", instance.instance_type.clone());
        self.meta("local-hostname", host);
        self.meta("local-ipv4", instance.private_address.to_string());
        self.meta("placement/availability-zone", instance.zone.clone());
        self.meta("placement/region", region);
        self.meta("services/domain", "amazonaws.com");
        self.meta("services/partition", "aws");
        let document = format!(
            concat!(
                "{{\n  \"accountId\" : \"{}\",\n  \"architecture\" : \"x86_64\",\n  \"availabilityZone\" : \"{}\",\n",
                "  \"imageId\" : \"ami-0123456789abcdef0\",\n  \"instanceId\" : \"{}\",\n  \"instanceType\" : \"{}\",\n",
                "  \"pendingTime\" : \"{}\",\n  \"privateIp\" : \"{}\",\n  \"region\" : \"{}\",\n  \"version\" : \"2017-09-30\"\n}}"
            ),
            ACCOUNT,
            instance.zone,
            instance.id,
            instance.instance_type,
            LAUNCHED,
            instance.private_address,
            region
        );
        self.0.insert(
            "latest/dynamic/instance-identity/document".to_owned(),
            document,
        );
    }

    fn role(&mut self, instance: &Instance) {
        let Some(role) = &instance.role else { return };
        let credentials = format!(
            concat!(
                "{{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : \"{}\",\n  \"Type\" : \"AWS-HMAC\",\n",
                "  \"AccessKeyId\" : \"ASIALABORATORY{}\",\n  \"SecretAccessKey\" : \"laboratory\",\n",
                "  \"Token\" : \"laboratory\",\n  \"Expiration\" : \"{}\"\n}}"
            ),
            LAUNCHED, ACCOUNT, EXPIRATION
        );
        self.meta(&format!("iam/security-credentials/{role}"), credentials);
    }

    /// Listed by its MAC, which is also the only field it has.
    fn bare(&mut self, eni: &Interface) {
        let path = format!("network/interfaces/macs/{}/mac", eni.mac);
        self.meta(&path, eni.mac.to_string());
    }

    fn interface(&mut self, vpc: &Vpc, instance: &Instance, eni: &Interface) {
        let Some(bound) = &eni.attachment else { return };
        let mut field = |name: &str, value: String| {
            // A key without a value is not there.
            if !value.is_empty() {
                self.meta(
                    &format!("network/interfaces/macs/{}/{name}", eni.mac),
                    value,
                );
            }
        };
        let addresses: Vec<_> = eni.addresses.iter().map(|a| a.address).collect();
        let cidrs = &vpc.networks[&eni.vpc].cidrs;
        field("device-number", bound.index.0.to_string());
        field("interface-id", eni.id.to_string());
        field("ipv4-prefix", lines(&eni.prefixes));
        field("local-ipv4s", lines(&addresses));
        field("mac", eni.mac.to_string());
        field("owner-id", ACCOUNT.to_owned());
        field("security-group-ids", lines(&eni.groups));
        field("security-groups", group_names(vpc, eni));
        field("subnet-id", eni.subnet.to_string());
        field("vpc-id", eni.vpc.to_string());
        if !addresses.is_empty() {
            field(
                "subnet-ipv4-cidr-block",
                vpc.subnets[&eni.subnet].cidr.to_string(),
            );
            field("vpc-ipv4-cidr-block", cidrs[0].to_string());
            field("vpc-ipv4-cidr-blocks", lines(cidrs));
        }
        // Types with one card don't have the key.
        if instance.limits.enis_per_card.len() > 1 {
            field("network-card", bound.card.0.to_string());
        }
    }
}

fn lines<T: std::fmt::Display>(values: &[T]) -> String {
    values
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

fn group_names(vpc: &Vpc, eni: &Interface) -> String {
    lines(
        &eni.groups
            .iter()
            .filter_map(|id| vpc.groups.get(id))
            .map(|group| group.name.clone())
            .collect::<Vec<_>>(),
    )
}
