//! The node-wide sysctls that pods' packets need (operations.md §1.2). The daemon, to which /proc/sys is read-only, relies
//! on them. Must not: know which link is the primary one, write what is as wished already.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What it means that a setting cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Pods would lose packets.
    Fatal,
    /// The node's image or another program sees to it, or few notice.
    Tolerated,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// Below the kernel's directory of settings.
    path: PathBuf,
    value: &'static str,
    pub(super) missing: Missing,
    /// Whether the kernel may not know it.
    optional: bool,
}

/// A setting that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("set {} to {value}", path.display())]
pub(super) struct SysctlError {
    path: PathBuf,
    value: &'static str,
    #[source]
    source: io::Error,
}

/// What the node needs with this primary link.
pub(super) fn wishes(primary: &str, tcp_early_demux: bool) -> [Wish; 3] {
    let wish = |path: String, value, missing| Wish {
        path: path.into(),
        value,
        missing,
        optional: false,
    };
    [
        // Before the others: it resets some settings of links. Images and kube-proxy set it too; upstream leaves it to them.
        wish("net/ipv4/ip_forward".into(), "1", Missing::Tolerated),
        // A NodePort's answer may leave by another link than its question came in by: loose.
        wish(
            format!("net/ipv4/conf/{primary}/rp_filter"),
            "2",
            Missing::Fatal,
        ),
        Wish {
            optional: true,
            ..wish(
                "net/ipv4/tcp_early_demux".into(),
                if tcp_early_demux { "1" } else { "0" },
                Missing::Tolerated,
            )
        },
    ]
}

impl Wish {
    /// Makes it so; a line that says what was done.
    pub(super) fn ensure(&self, root: &Path) -> Result<String, SysctlError> {
        let path = root.join(&self.path);
        let failed = |source| SysctlError {
            path: path.clone(),
            value: self.value,
            source,
        };
        let name = self.path.display();
        let before = match fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if self.optional && error.kind() == io::ErrorKind::NotFound => {
                return Ok(format!("this kernel has no {name}"));
            }
            Err(error) => return Err(failed(error)),
        };
        if before == self.value {
            return Ok(format!("{name} is {before}"));
        }
        // Opens only what is there: the kernel is not asked to create a file.
        let mut file = fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(failed)?;
        io::Write::write_all(&mut file, self.value.as_bytes()).map_err(failed)?;
        Ok(format!("{name} was {before}, now {}", self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    /// A directory of settings with these values.
    fn settings(values: &[(&str, &str)]) -> Folder {
        let folder = Folder::new();
        for (name, value) in values {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{value}\n")).unwrap();
        }
        folder
    }

    #[test]
    fn what_differs_is_written_and_what_does_not_is_left_alone() {
        let folder = settings(&[
            ("net/ipv4/ip_forward", "1"),
            ("net/ipv4/conf/ens5/rp_filter", "1"),
            ("net/ipv4/tcp_early_demux", "1"),
        ]);
        let said: Vec<_> = wishes("ens5", false)
            .iter()
            .map(|wish| wish.ensure(folder.path()).unwrap())
            .collect();
        assert_eq!(
            said,
            [
                "net/ipv4/ip_forward is 1",
                "net/ipv4/conf/ens5/rp_filter was 1, now 2",
                "net/ipv4/tcp_early_demux was 1, now 0",
            ]
        );
        let now = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(now("net/ipv4/conf/ens5/rp_filter").starts_with('2'));
        assert!(now("net/ipv4/tcp_early_demux").starts_with('0'));
    }

    #[test]
    fn an_old_kernel_has_no_early_demux_and_only_the_primary_links_filter_is_worth_a_failure() {
        let folder = settings(&[]);
        let [forward, filter, demux] = wishes("ens5", true);
        assert_eq!(
            demux.ensure(folder.path()).unwrap(),
            "this kernel has no net/ipv4/tcp_early_demux"
        );
        let error = filter.ensure(folder.path()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "set {} to 2",
                folder.path().join("net/ipv4/conf/ens5/rp_filter").display()
            )
        );
        assert_eq!(
            [forward.missing, filter.missing, demux.missing],
            [Missing::Tolerated, Missing::Fatal, Missing::Tolerated]
        );
        assert!(forward.ensure(folder.path()).is_err());
    }
}
