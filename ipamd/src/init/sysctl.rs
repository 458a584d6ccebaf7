//! The node-wide settings of the kernel that pods need: upstream's (operations.md §1.2). Must not: write what is as
//! wanted, touch a setting of a single ENI (`datapath` sets those).

use anyhow::Context;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A setting.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sysctl {
    path: PathBuf,
    value: &'static str,
    /// Old kernels have not got it, and don't need it.
    optional: bool,
}

/// The primary link must take packets that leave by another one (loose reverse path filter, kernel's ip-sysctl.rst):
/// pods' answers come back by the ENI of their address.
pub(super) fn wanted(primary: &str, tcp_early_demux: bool) -> Vec<Sysctl> {
    let ipv4 = Path::new("/proc/sys/net/ipv4");
    vec![
        Sysctl {
            path: ipv4.join("conf").join(primary).join("rp_filter"),
            value: "2",
            optional: false,
        },
        Sysctl {
            path: ipv4.join("tcp_early_demux"),
            value: if tcp_early_demux { "1" } else { "0" },
            optional: true,
        },
    ]
}

/// Makes them so; a line for each that was otherwise.
pub(super) fn ensure(wanted: &[Sysctl]) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for Sysctl {
        path,
        value,
        optional,
    } in wanted
    {
        let found = match fs::read_to_string(path) {
            Ok(found) => found.trim().to_owned(),
            Err(error) if *optional && error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        if found == *value {
            continue;
        }
        let write = || {
            fs::File::options()
                .write(true)
                .open(path)?
                .write_all(value.as_bytes())
        };
        write().with_context(|| {
            format!(
                "set {} from {found} to {value}: is this container privileged?",
                path.display()
            )
        })?;
        lines.push(format!("{} was {found}, is {value}", path.display()));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn the_primary_link_is_loose_and_early_demux_as_asked() {
        let paths = |early| {
            wanted("ens5", early)
                .into_iter()
                .map(|one| (one.path, one.value))
                .collect::<Vec<_>>()
        };
        let filter = PathBuf::from("/proc/sys/net/ipv4/conf/ens5/rp_filter");
        let demux = PathBuf::from("/proc/sys/net/ipv4/tcp_early_demux");
        assert_eq!(paths(true), [(filter.clone(), "2"), (demux.clone(), "1")]);
        assert_eq!(paths(false), [(filter, "2"), (demux, "0")]);
    }

    #[test]
    fn what_is_right_is_not_written_and_what_old_kernels_lack_is_passed_over() {
        let folder = Folder::new();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("right"), "2\n").unwrap();
        fs::write(path("wrong"), "1\n").unwrap();
        let sysctl = |name, optional| Sysctl {
            path: path(name),
            value: "2",
            optional,
        };
        let lines = ensure(&[
            sysctl("right", false),
            sysctl("wrong", false),
            sysctl("none", true),
        ])
        .unwrap();
        assert_eq!(lines, [format!("{} was 1, is 2", path("wrong").display())]);
        let error = ensure(&[sysctl("none", false)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("read {}", path("none").display())
        );
    }
}
