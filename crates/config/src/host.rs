//! The variables of the host's network (ipamd.md §1.4) and of what the plugin's configuration is written from
//! (operations.md §1.3). Must not: touch a link or a file.

use crate::variable::{Kind, Variable};

const MTU: Kind = Kind::Integer {
    least: 576,
    most: 9001,
};

/// MTU of the ENIs.
pub const ENI_MTU: Variable = Variable::row(
    "AWS_VPC_ENI_MTU",
    MTU,
    "9001",
    "MTU of the primary and all attached ENIs.",
)
.refused();
/// MTU of pods.
pub const POD_MTU: Variable = Variable::row(
    "POD_MTU",
    MTU,
    "9001",
    "MTU of pods. Unset: that of `AWS_VPC_ENI_MTU`; another MTU for pods is not built yet and refused.",
)
.refused();
/// Prefix of host-side links.
pub const VETH_PREFIX: Variable = Variable::row(
    "AWS_VPC_K8S_CNI_VETHPREFIX",
    Kind::Text(veth_prefix),
    "eni",
    "First characters of the names of pods' host-side links: at most 4, not `eth`, `lo` or `vlan`.",
)
.refused();
/// NodePort.
pub const NODE_PORT_SUPPORT: Variable = Variable::soft(
    "AWS_VPC_CNI_NODE_PORT_SUPPORT",
    "true",
    "Answers to NodePort connections leave through the primary ENI.",
);
/// Mark of NodePort connections.
pub const CONNMARK: Variable = Variable::row(
    "AWS_VPC_K8S_CNI_CONNMARK",
    Kind::Mark,
    "0x80",
    "Bit of the connection mark that returns NodePort traffic to the primary ENI.",
)
.only_default("another connection mark than 0x80");
/// No SNAT on the node.
pub const EXTERNAL_SNAT: Variable = Variable::soft(
    "AWS_VPC_K8S_CNI_EXTERNALSNAT",
    "false",
    "Leave address translation to a NAT gateway. The node's own translation is not built yet: whatever this says, \
     pods reach only what routes their addresses.",
)
.only_default("external SNAT");
/// Ranges without SNAT.
pub const EXCLUDE_SNAT_CIDRS: Variable = Variable::text(
    "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS",
    "",
    "IPv4 ranges, separated by commas, that are reached without address translation.",
)
.only_default("ranges without SNAT");
/// Port choice of SNAT.
pub const RANDOMIZE_SNAT: Variable = Variable::row(
    "AWS_VPC_K8S_CNI_RANDOMIZESNAT",
    Kind::Word(&["prng", "hashrandom", "none"]),
    "prng",
    "How address translation chooses ports.",
)
.only_default("another choice of SNAT ports than prng");
/// Ranges by the primary ENI.
pub const EXTERNAL_SERVICE_CIDRS: Variable = Variable::text(
    "AWS_EXTERNAL_SERVICE_CIDRS",
    "",
    "IPv4 ranges, separated by commas, that are always reached through the main table.",
)
.only_default("ranges always reached through the main table");
/// IPv6 from IPv4 pods.
pub const ENABLE_V6_EGRESS: Variable = Variable::soft(
    "ENABLE_V6_EGRESS",
    "false",
    "IPv4 pods reach IPv6 through the node's address.",
)
.only_default("IPv6 egress");
/// IPv4 from IPv6 pods.
pub const ENABLE_V4_EGRESS: Variable = Variable::soft(
    "ENABLE_V4_EGRESS",
    "true",
    "IPv6 pods reach IPv4 through the node's address.",
)
.nothing("it counts in IPv6 clusters only, which are not built yet");
/// Bandwidth plugin.
pub const ENABLE_BANDWIDTH_PLUGIN: Variable = Variable::soft(
    "ENABLE_BANDWIDTH_PLUGIN",
    "false",
    "Chain the bandwidth plugin after this one.",
)
.only_default("the bandwidth plugin");
/// No IPv6 in pods.
pub const DISABLE_POD_V6: Variable = Variable::soft(
    "DISABLE_POD_V6",
    "false",
    "Chain a plugin that switches IPv6 off in pods.",
)
.only_default("switching IPv6 off in pods");
/// TCP early demultiplexing.
pub const DISABLE_TCP_EARLY_DEMUX: Variable = Variable::soft(
    "DISABLE_TCP_EARLY_DEMUX",
    "false",
    "Switch TCP early demultiplexing off on the node (kubelet's probes of pods with branch ENIs need it).",
)
.only_default("switching TCP early demultiplexing off");
/// Log of the plugin.
pub const PLUGIN_LOG_FILE: Variable = Variable::row(
    "AWS_VPC_K8S_PLUGIN_LOG_FILE",
    Kind::Text(plugin_log_file),
    "/var/log/aws-routed-eni/plugin.log",
    "Log of the plugin; not `stdout`, which carries the plugin's result.",
)
.refused()
.nothing(INSTALLER);
/// Log level of the plugin.
pub const PLUGIN_LOG_LEVEL: Variable = Variable::text(
    "AWS_VPC_K8S_PLUGIN_LOG_LEVEL",
    "Debug",
    "Log level of the plugin.",
)
.nothing(INSTALLER);
/// Log of the IPv4 egress plugin.
pub const EGRESS_V4_LOG_FILE: Variable = Variable::text(
    "AWS_VPC_K8S_EGRESS_V4_PLUGIN_LOG_FILE",
    "/var/log/aws-routed-eni/egress-v4-plugin.log",
    "Log of the IPv4 egress plugin.",
)
.nothing(INSTALLER);
/// Log of the IPv6 egress plugin.
pub const EGRESS_V6_LOG_FILE: Variable = Variable::text(
    "AWS_VPC_K8S_EGRESS_V6_PLUGIN_LOG_FILE",
    "/var/log/aws-routed-eni/egress-v6-plugin.log",
    "Log of the IPv6 egress plugin.",
)
.nothing(INSTALLER);
/// Where plugins are installed.
pub const CNI_BIN_PATH: Variable = Variable::text(
    "HOST_CNI_BIN_PATH",
    "/host/opt/cni/bin",
    "Directory the plugins are installed in.",
)
.nothing(INSTALLER);
/// Where the configuration is installed.
pub const CNI_CONFDIR_PATH: Variable = Variable::text(
    "HOST_CNI_CONFDIR_PATH",
    "/host/etc/cni/net.d",
    "Directory the network configuration is installed in.",
)
.nothing(INSTALLER);
/// Old switch.
pub const ENABLE_NFTABLES: Variable = Variable::text(
    "ENABLE_NFTABLES",
    "false",
    "Old switch, kept so that manifests need no change.",
)
.nothing(OLD);
/// Old switch.
pub const CONFIGURE_RPFILTER: Variable = Variable::text(
    "AWS_VPC_K8S_CNI_CONFIGURE_RPFILTER",
    "true",
    "Old switch, kept so that manifests need no change.",
)
.nothing(OLD);

const INSTALLER: &str = "it is for the installer of plugins and network configuration, which is not built yet: the \
                         daemon installs neither";
const OLD: &str = "upstream does not read it any more either";

/// All rows, in the order of the reference page.
pub const ROWS: &[Variable] = &[
    ENI_MTU,
    POD_MTU,
    VETH_PREFIX,
    NODE_PORT_SUPPORT,
    CONNMARK,
    EXTERNAL_SNAT,
    EXCLUDE_SNAT_CIDRS,
    RANDOMIZE_SNAT,
    EXTERNAL_SERVICE_CIDRS,
    ENABLE_V6_EGRESS,
    ENABLE_V4_EGRESS,
    ENABLE_BANDWIDTH_PLUGIN,
    DISABLE_POD_V6,
    DISABLE_TCP_EARLY_DEMUX,
    PLUGIN_LOG_FILE,
    PLUGIN_LOG_LEVEL,
    EGRESS_V4_LOG_FILE,
    EGRESS_V6_LOG_FILE,
    CNI_BIN_PATH,
    CNI_CONFDIR_PATH,
    ENABLE_NFTABLES,
    CONFIGURE_RPFILTER,
];

/// Eleven digits follow, and the kernel's link names have 15 characters.
fn veth_prefix(text: &str) -> Result<(), &'static str> {
    if text.len() > 4 {
        return Err("want at most 4 characters");
    }
    if matches!(text, "eth" | "lo" | "vlan") {
        return Err("want another prefix than eth, lo and vlan, which links of the host have");
    }
    // What the kernel takes in the name of a link; `%` would ask it to choose a number.
    let refused = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':' | '%');
    if text.contains(refused) {
        Err("want characters that a link's name can have")
    } else {
        Ok(())
    }
}

fn plugin_log_file(text: &str) -> Result<(), &'static str> {
    if text == "stdout" {
        Err("standard output carries the plugin's result; want a path or stderr")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_that_the_entry_point_refuses_are_refused() {
        for bad in ["eth", "lo", "vlan", "enifo", "a/b", "a b", "a:b", "%d"] {
            assert!(veth_prefix(bad).is_err(), "{bad} was accepted");
        }
        for good in ["eni", "e", "pod1", "a-_b", "a.b", "é"] {
            assert_eq!(veth_prefix(good), Ok(()), "{good}");
        }
    }
}
