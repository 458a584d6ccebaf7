//! The variables of address mode and ENI management (ipamd.md §1.1, §1.3). Must not: talk to EC2.

use crate::variable::{Kind, Variable};
use std::collections::BTreeMap;

/// IPv4 pods.
pub const ENABLE_IPV4: Variable = Variable::strict(
    "ENABLE_IPv4",
    "true",
    "Pods get IPv4 addresses. Exactly one of `ENABLE_IPv4` and `ENABLE_IPv6` may be true.",
)
.only_default("a node without IPv4 addresses for pods");
/// IPv6 pods.
pub const ENABLE_IPV6: Variable =
    Variable::strict("ENABLE_IPv6", "false", "Pods get IPv6 addresses.").only_default("IPv6");
/// Prefixes instead of single addresses.
pub const ENABLE_PREFIX_DELEGATION: Variable = Variable::strict(
    "ENABLE_PREFIX_DELEGATION",
    "false",
    "ENIs hold /28 prefixes instead of single addresses.",
)
.only_default("prefix delegation");
/// Security groups for pods.
pub const ENABLE_POD_ENI: Variable = Variable::strict(
    "ENABLE_POD_ENI",
    "false",
    "Security groups for pods (trunk and branch ENIs).",
)
.only_default("security groups for pods");
/// Several network cards.
pub const ENABLE_MULTI_NIC: Variable =
    Variable::strict("ENABLE_MULTI_NIC", "false", "Manage network cards above 0.")
        .only_default("several network cards");
/// Mode of security groups for pods.
pub const POD_SECURITY_GROUP_ENFORCING_MODE: Variable = Variable::row(
    "POD_SECURITY_GROUP_ENFORCING_MODE",
    Kind::Text(enforcing_mode),
    "strict",
    "`strict` or `standard`: how traffic of pods with security groups of their own is treated.",
)
.nothing("it is written into the plugin's configuration, where it counts with `ENABLE_POD_ENI` only, which is not built yet");
/// Custom networking.
pub const CUSTOM_NETWORK_CFG: Variable = Variable::soft(
    "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG",
    "false",
    "Pods use the subnet and security groups of the node's ENIConfig.",
)
.only_default("custom networking");
/// Annotation that names the ENIConfig.
pub const ENI_CONFIG_ANNOTATION_DEF: Variable = Variable::text(
    "ENI_CONFIG_ANNOTATION_DEF",
    "k8s.amazonaws.com/eniConfig",
    "Node annotation that names the ENIConfig.",
)
.nothing(CUSTOM_ONLY);
/// Label that names the ENIConfig.
pub const ENI_CONFIG_LABEL_DEF: Variable = Variable::text(
    "ENI_CONFIG_LABEL_DEF",
    "k8s.amazonaws.com/eniConfig",
    "Node label that names the ENIConfig.",
)
.nothing(CUSTOM_ONLY);
/// Other subnets.
pub const ENABLE_SUBNET_DISCOVERY: Variable = Variable::soft(
    "ENABLE_SUBNET_DISCOVERY",
    "true",
    "Choose the subnet of a new ENI by tag and free addresses.",
)
.nothing("ENIs are created in the node's own subnet; choosing another is not built yet");
/// Cordoned nodes.
pub const MANAGE_NON_SCHEDULABLE: Variable = Variable::soft(
    "AWS_MANAGE_ENIS_NON_SCHEDULABLE",
    "false",
    "Attach and free ENIs on a cordoned node too.",
)
.nothing("the node object is not read yet, so a cordoned node is treated as any other");
/// No changes in EC2.
pub const DISABLE_PROVISIONING: Variable = Variable::strict(
    "DISABLE_NETWORK_RESOURCE_PROVISIONING",
    "false",
    "Change nothing in EC2: serve the addresses that are there.",
);
/// No describe.
pub const IMDS_ONLY_MODE: Variable = Variable::strict(
    "ENABLE_IMDS_ONLY_MODE",
    "false",
    "Learn the attached ENIs from instance metadata alone.",
)
.only_default("learning ENIs from instance metadata alone");
/// No sweep.
pub const DISABLE_LEAKED_ENI_CLEANUP: Variable = Variable::strict(
    "DISABLE_LEAKED_ENI_CLEANUP",
    "false",
    "Leave detached ENIs of this node in EC2.",
)
.only_default("leaving detached ENIs alone");
/// ENIs without our tags.
pub const MANAGE_UNTAGGED_ENI: Variable = Variable::strict(
    "MANAGE_UNTAGGED_ENI",
    "true",
    "Manage attached ENIs that carry none of the daemon's tags. When false, only ENIs tagged with this instance's id, \
     or with `node.k8s.amazonaws.com/no_manage` other than `true`, are managed.",
);
/// More tags.
pub const ADDITIONAL_ENI_TAGS: Variable = Variable::row(
    "ADDITIONAL_ENI_TAGS",
    Kind::Text(tags_object),
    "{}",
    "JSON object of strings: tags added to created ENIs. Keys that contain `k8s.amazonaws.com` are dropped and reported.",
);
/// The cluster.
pub const CLUSTER_NAME: Variable = Variable::text(
    "CLUSTER_NAME",
    "",
    "Name of the cluster, written in the tags of created ENIs. Empty: no such tag.",
);
/// Checkpoint path.
pub const BACKING_STORE: Variable = Variable::text(
    "AWS_VPC_K8S_CNI_BACKING_STORE",
    "/var/run/aws-node/ipam.json",
    "Path of the checkpoint: who holds which address.",
);

const CUSTOM_ONLY: &str = "it counts in custom networking only, which is not built yet";

/// All rows, in the order of the reference page.
pub const ROWS: &[Variable] = &[
    ENABLE_IPV4,
    ENABLE_IPV6,
    ENABLE_PREFIX_DELEGATION,
    ENABLE_POD_ENI,
    ENABLE_MULTI_NIC,
    POD_SECURITY_GROUP_ENFORCING_MODE,
    CUSTOM_NETWORK_CFG,
    ENI_CONFIG_ANNOTATION_DEF,
    ENI_CONFIG_LABEL_DEF,
    ENABLE_SUBNET_DISCOVERY,
    MANAGE_NON_SCHEDULABLE,
    DISABLE_PROVISIONING,
    IMDS_ONLY_MODE,
    DISABLE_LEAKED_ENI_CLEANUP,
    MANAGE_UNTAGGED_ENI,
    ADDITIONAL_ENI_TAGS,
    CLUSTER_NAME,
    BACKING_STORE,
];

/// Splits the text of `ADDITIONAL_ENI_TAGS` into the tags to write and the reserved keys that were dropped.
pub(crate) fn additional_tags(text: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let all = tags(text).unwrap_or_default();
    let (reserved, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = all
        .into_iter()
        .partition(|(key, _)| key.contains("k8s.amazonaws.com"));
    (kept, reserved.into_keys().collect())
}

/// As Go reads it: `null` is an object without tags, or a tag without text.
fn tags(text: &str) -> Option<BTreeMap<String, String>> {
    let tags: Option<BTreeMap<String, Option<String>>> = serde_json::from_str(text).ok()?;
    let tags = tags.unwrap_or_default().into_iter();
    Some(
        tags.map(|(key, value)| (key, value.unwrap_or_default()))
            .collect(),
    )
}

fn tags_object(text: &str) -> Result<(), &'static str> {
    match tags(text) {
        Some(_) => Ok(()),
        None => Err("want a JSON object of strings"),
    }
}

fn enforcing_mode(text: &str) -> Result<(), &'static str> {
    // Unlike the other words this one is compared exactly.
    if matches!(text, "strict" | "standard") {
        Ok(())
    } else {
        Err("want strict or standard, in lower case")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_tags_are_dropped_and_the_last_duplicate_wins() {
        let (tags, dropped) = additional_tags(
            r#"{"team":"a","node.k8s.amazonaws.com/instance_id":"i-1","team":"b"}"#,
        );
        assert_eq!(tags, BTreeMap::from([("team".to_owned(), "b".to_owned())]));
        assert_eq!(dropped, ["node.k8s.amazonaws.com/instance_id"]);
    }

    #[test]
    fn tags_must_be_an_object_of_strings() {
        for bad in ["[]", "{\"a\":1}", "{\"a\":\"b\"", "a=b", "{} {}"] {
            assert!(tags_object(bad).is_err(), "{bad} was accepted");
        }
        assert_eq!(tags_object("{\"a\":\"b\"}"), Ok(()));
        assert_eq!(tags("null"), Some(BTreeMap::new()));
        let empty = BTreeMap::from([("a".to_owned(), String::new())]);
        assert_eq!(tags("{\"a\":null}"), Some(empty));
    }

    #[test]
    fn the_enforcing_mode_is_lower_case() {
        assert_eq!(enforcing_mode("standard"), Ok(()));
        assert!(enforcing_mode("Strict").is_err());
    }
}
