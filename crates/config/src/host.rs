//! The variables of the host's network (ipamd.md §1.4, operations.md §1.2 and §1.3). Must not: touch a link or a sysctl.

use crate::variable::{Kind, Variable};
use ipnetwork::Ipv4Network;

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
    "Answers to NodePort connections leave through the ENI that they came in by.",
);
/// Mark of NodePort connections and of flows that the node translates.
pub const CONNMARK: Variable = Variable::row(
    "AWS_VPC_K8S_CNI_CONNMARK",
    Kind::Mark,
    "0x80",
    "Bit of the mark (several are used as one) of connections that belong to the primary ENI: NodePort connections that \
     came in by it, and pods' flows that the node translates. No other bit is touched.",
);
/// Marks of NodePort connections of the other ENIs.
pub const ENI_MARK: Variable = Variable::row(
    "ENI_MARK",
    Kind::Field,
    "0x78",
    "Bits of the mark that say by which other ENI a NodePort connection came in; nothing else is marked with them. 0 \
     leaves them alone: answers then leave by the pod's ENI. Not upstream's.",
);
/// No SNAT on the node.
pub const EXTERNAL_SNAT: Variable = Variable::soft(
    "AWS_VPC_K8S_CNI_EXTERNALSNAT",
    "false",
    "Leave address translation to a NAT gateway: what pods send leaves by their own ENI, with their own address.",
);
/// Ranges without SNAT.
pub const EXCLUDE_SNAT_CIDRS: Variable = Variable::text(
    "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS",
    "",
    "IPv4 ranges, separated by commas, that pods reach with their own address, as they reach the VPC's. What is not an \
     IPv4 range is left out and reported.",
);
/// Port choice of SNAT.
pub const RANDOMIZE_SNAT: Variable = Variable::row(
    "AWS_VPC_K8S_CNI_RANDOMIZESNAT",
    Kind::Exactly(&["prng", "hashrandom", "none"]),
    "prng",
    "How address translation chooses ports: at random, by a hash of the flow, or the pod's own where it is free.",
);
/// Ranges by the primary ENI.
pub const EXTERNAL_SERVICE_CIDRS: Variable = Variable::text(
    "AWS_EXTERNAL_SERVICE_CIDRS",
    "",
    "IPv4 ranges, separated by commas, that are always reached through the main table. What is not an IPv4 range is left \
     out and reported.",
);
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
/// TCP early demultiplexing.
pub const DISABLE_TCP_EARLY_DEMUX: Variable = Variable::soft(
    "DISABLE_TCP_EARLY_DEMUX",
    "false",
    "Switch TCP early demultiplexing off on the node (kubelet's probes of pods with branch ENIs need it); otherwise it is \
     switched on. `ipamd init` does it; a kernel without it is left alone.",
);
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

const OLD: &str = "upstream does not read it any more either";

/// All rows, in the order of the reference page.
pub const ROWS: &[Variable] = &[
    ENI_MTU,
    POD_MTU,
    VETH_PREFIX,
    NODE_PORT_SUPPORT,
    CONNMARK,
    ENI_MARK,
    EXTERNAL_SNAT,
    EXCLUDE_SNAT_CIDRS,
    RANDOMIZE_SNAT,
    EXTERNAL_SERVICE_CIDRS,
    ENABLE_V6_EGRESS,
    ENABLE_V4_EGRESS,
    DISABLE_TCP_EARLY_DEMUX,
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

/// The IPv4 ranges of a list, without host bits, and its other entries.
pub(crate) fn ranges(list: &str) -> (Vec<Ipv4Network>, Vec<String>) {
    let entries = list.split(',').map(str::trim);
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for entry in entries.filter(|_| !list.is_empty()) {
        match range(entry) {
            Some(range) => good.push(range),
            None => bad.push(entry.to_owned()),
        }
    }
    (good, bad)
}

/// Go's form alone: `address/length`. The library would also take a lone address and a netmask.
fn range(entry: &str) -> Option<Ipv4Network> {
    let (address, length) = entry.split_once('/')?;
    if !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let range = Ipv4Network::new(address.parse().ok()?, length.parse().ok()?).ok()?;
    Ipv4Network::new(range.network(), range.prefix()).ok()
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

    #[test]
    fn lists_of_ranges_are_upstreams() {
        let (good, bad) = ranges(
            "10.12.3.4/16, 172.16.0.0/12 ,,::/0,10.0.0.1,10.0.0.0/255.0.0.0,1.2.3.4/+8,0.0.0.0/0,1.2.3.4/33",
        );
        let good: Vec<_> = good.iter().map(ToString::to_string).collect();
        assert_eq!(good, ["10.12.0.0/16", "172.16.0.0/12", "0.0.0.0/0"]);
        assert_eq!(
            bad,
            [
                "",
                "::/0",
                "10.0.0.1",
                "10.0.0.0/255.0.0.0",
                "1.2.3.4/+8",
                "1.2.3.4/33"
            ]
        );
        assert_eq!(ranges(""), (vec![], vec![]));
    }
}
