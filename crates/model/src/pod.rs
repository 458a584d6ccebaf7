//! Who an address is for: the CNI key of an attachment and the pod's name with the link name it implies.
//! Must not: know where the pod's namespace is.

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

/// The primary key of a CNI attachment (network name, container id, interface name): what ADD and DEL agree on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodKey {
    /// Network name of the configuration list, `aws-cni` in the field.
    pub network: String,
    /// Sandbox id chosen by the container runtime.
    pub container: String,
    /// Interface name inside the pod, `eth0`.
    pub interface: String,
}

impl std::fmt::Display for PodKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.network, self.container, self.interface)
    }
}

/// A pod's Kubernetes name. Both parts are empty for an attachment that no Kubernetes runtime made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct PodName {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod name.
    pub name: String,
}

impl PodName {
    /// True when either part is missing: such an attachment cannot be judged by its host link (ipamd.md §3.5).
    pub fn is_unnamed(&self) -> bool {
        self.namespace.is_empty() || self.name.is_empty()
    }

    /// The last 11 characters of the host link's name: the first 11 hexadecimal digits of SHA-1 over
    /// `namespace.name`, or `namespace.name.index` for `index > 0` (datapath.md §2.1).
    pub fn link_suffix(&self, index: usize) -> String {
        let mut text = format!("{}.{}", self.namespace, self.name);
        if index > 0 {
            text.push_str(&format!(".{index}"));
        }
        let digest = Sha1::digest(text.as_bytes());
        let mut hex: String = digest
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        hex.truncate(11);
        hex
    }
}

impl std::fmt::Display for PodName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suffix(namespace: &str, name: &str, index: usize) -> String {
        PodName {
            namespace: namespace.into(),
            name: name.into(),
        }
        .link_suffix(index)
    }

    #[test]
    fn link_names_are_upstreams() {
        assert_eq!(
            suffix("kube-system", "coredns-57ff979f67-qqbdh", 0),
            "b5faff8a083"
        );
        assert_eq!(
            suffix("kube-system", "coredns-57ff979f67-8ns9b", 0),
            "9571956a6cc"
        );
        assert_eq!(suffix("default", "sample-pod", 0), "cc21c2d7785");
        assert_eq!(suffix("default", "web-1", 0), "0761ccbeace");
        assert_eq!(suffix("", "", 0), "3a52ce78095");
        assert_eq!(suffix("", "", 1), "ce799470a46");
    }
}
