//! What a successful ADD prints, per version: byte for byte what upstream's plugin prints, because the runtime gives it
//! back to whichever plugin is installed when the pod is deleted. Must not: print.

use crate::error::indented;
use crate::version::CniVersion;
use model::card::{DeviceIndex, RouteTable};
use model::pod::PodName;
use serde::Serialize;
use std::net::Ipv4Addr;

/// A wired pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddResult {
    /// The pod's name, which the marker entry carries.
    pub pod: PodName,
    /// Name of the link on the host.
    pub host_link: String,
    /// Name of the link in the pod, CNI_IFNAME.
    pub pod_link: String,
    /// CNI_NETNS
    pub netns: String,
    /// The pod's address.
    pub address: Ipv4Addr,
    /// The ENI's table; travels as the `mac` of the pod's link.
    pub table: RouteTable,
    /// The ENI's device index; travels as the `sandbox` of the marker entry.
    pub device: DeviceIndex,
}

/// Name of the entry that is no link but carries what DEL needs: its `mac` is the VLAN of a branch ENI or "0", its
/// `sandbox` the device number.
pub fn marker(pod: &PodName) -> String {
    format!("dummy{}", pod.link_suffix(0))
}

impl AddResult {
    /// The result object: indented by four spaces, no newline at the end.
    pub fn to_json(&self, version: CniVersion) -> String {
        match version {
            CniVersion::V0_1_0 | CniVersion::V0_2_0 => self.oldest(version),
            CniVersion::V0_3_0 | CniVersion::V0_3_1 | CniVersion::V0_4_0 => self.middle(version),
            CniVersion::V1_0_0 | CniVersion::V1_1_0 => self.sorted(version),
        }
    }

    fn cidr(&self) -> String {
        format!("{}/32", self.address)
    }

    fn oldest(&self, version: CniVersion) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Oldest {
            cni_version: &'static str,
            ip4: Ip4,
            dns: Dns,
        }
        #[derive(Serialize)]
        struct Ip4 {
            ip: String,
        }
        indented(&Oldest {
            cni_version: version.as_str(),
            ip4: Ip4 { ip: self.cidr() },
            dns: Dns {},
        })
    }

    fn middle(&self, version: CniVersion) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Middle {
            cni_version: &'static str,
            interfaces: Vec<Interface>,
            ips: [Ip; 1],
            dns: Dns,
        }
        #[derive(Serialize)]
        struct Interface {
            name: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            mac: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            sandbox: Option<String>,
        }
        #[derive(Serialize)]
        struct Ip {
            version: &'static str,
            interface: u32,
            address: String,
        }
        let interfaces = self
            .entries()
            .map(|Entry { name, mac, sandbox }| Interface { name, mac, sandbox });
        indented(&Middle {
            cni_version: version.as_str(),
            interfaces: interfaces.into(),
            ips: [Ip {
                version: "4",
                interface: POD_LINK_POSITION,
                address: self.cidr(),
            }],
            dns: Dns {},
        })
    }

    /// The reference library sorts keys from 1.0.0 on; here the order is that of the fields.
    fn sorted(&self, version: CniVersion) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Sorted {
            cni_version: &'static str,
            interfaces: Vec<Interface>,
            ips: [Ip; 1],
        }
        #[derive(Serialize)]
        struct Interface {
            #[serde(skip_serializing_if = "Option::is_none")]
            mac: Option<String>,
            name: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            sandbox: Option<String>,
        }
        #[derive(Serialize)]
        struct Ip {
            address: String,
            interface: u32,
        }
        let interfaces = self
            .entries()
            .map(|Entry { name, mac, sandbox }| Interface { mac, name, sandbox });
        indented(&Sorted {
            cni_version: version.as_str(),
            interfaces: interfaces.into(),
            ips: [Ip {
                address: self.cidr(),
                interface: POD_LINK_POSITION,
            }],
        })
    }

    fn entries(&self) -> [Entry; 3] {
        let netns = Some(self.netns.clone()).filter(|netns| !netns.is_empty());
        [
            Entry {
                name: self.host_link.clone(),
                mac: None,
                sandbox: None,
            },
            Entry {
                name: self.pod_link.clone(),
                mac: Some(self.table.0.to_string()),
                sandbox: netns,
            },
            Entry {
                name: marker(&self.pod),
                mac: Some("0".to_owned()),
                sandbox: Some(self.device.0.to_string()),
            },
        ]
    }
}

/// Where the pod's link stands in the list of interfaces.
const POD_LINK_POSITION: u32 = 1;

struct Entry {
    name: String,
    mac: Option<String>,
    sandbox: Option<String>,
}

#[derive(Serialize)]
struct Dns {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::previous::{PreviousResult, Wired};

    fn result() -> AddResult {
        AddResult {
            pod: PodName {
                namespace: "default".into(),
                name: "web-1".into(),
            },
            host_link: "eni0761ccbeace".into(),
            pod_link: "eth0".into(),
            netns: "/var/run/netns/cni-1".into(),
            address: "10.0.1.121".parse().unwrap(),
            table: RouteTable(2),
            device: DeviceIndex(1),
        }
    }

    #[test]
    fn the_oldest_versions_have_one_address_and_no_interfaces() {
        for version in [CniVersion::V0_1_0, CniVersion::V0_2_0] {
            let golden = include_str!("../golden/oldest.json").replace("VERSION", version.as_str());
            assert_eq!(result().to_json(version), golden.trim_end());
        }
    }

    #[test]
    fn versions_0_3_and_0_4_have_upstreams_order() {
        for version in [CniVersion::V0_3_0, CniVersion::V0_3_1, CniVersion::V0_4_0] {
            let golden = include_str!("../golden/middle.json").replace("VERSION", version.as_str());
            assert_eq!(result().to_json(version), golden.trim_end());
        }
    }

    #[test]
    fn versions_from_1_0_have_sorted_keys() {
        for version in [CniVersion::V1_0_0, CniVersion::V1_1_0] {
            let golden = include_str!("../golden/sorted.json").replace("VERSION", version.as_str());
            assert_eq!(result().to_json(version), golden.trim_end());
        }
    }

    #[test]
    fn a_delete_reads_from_a_result_what_the_add_wrote() {
        for version in CniVersion::ALL
            .into_iter()
            .filter(|version| *version >= CniVersion::V0_3_0)
        {
            let value = serde_json::from_str(&result().to_json(version)).unwrap();
            let previous = PreviousResult::parse(&value).unwrap();
            let wired = previous.wired(&result().pod, "eth0").unwrap();
            assert_eq!(
                wired,
                [Wired {
                    address: result().address,
                    table: RouteTable(2),
                    host_link: result().host_link,
                }],
                "{version}"
            );
        }
    }
}
