//! The IPv6 settings of a pod's host link that netlink cannot carry. Must not: touch any other link or node-wide value.
//! Driven by: `pod::add`, in the plugin, whose /proc/sys is the host's and writable.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::ApplyError;

/// No address from a pod's router advertisements, no router towards pods (datapath.md §2.2 step 3).
const HOST_VETH: [(&str, &str); 3] = [
    ("accept_ra", "0"),
    ("accept_redirects", "1"),
    ("forwarding", "0"),
];

/// Sets the host link up to ignore what the pod says over IPv6; a kernel without IPv6 has nothing to set.
pub(crate) fn ensure_host_veth(name: &str) -> Result<(), ApplyError> {
    for (key, value) in HOST_VETH {
        let path = PathBuf::from(format!("/proc/sys/net/ipv6/conf/{name}/{key}"));
        match write(&path, value) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => {
                return Err(ApplyError::Sysctl {
                    path,
                    value,
                    source,
                });
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Opens only what is there; the standard one-line write would ask the kernel to create the file.
fn write(path: &Path, value: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_ipv6_does_not_know_has_nothing_to_set() {
        assert!(ensure_host_veth("no-such-link").is_ok());
    }

    #[test]
    fn a_missing_setting_is_told_apart_from_one_that_refuses() {
        let missing = write(Path::new("/proc/sys/net/no-such-file"), "0").unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }
}
