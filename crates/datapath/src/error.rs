//! Why the kernel's state could not be made what it should be. Must not: decide what follows from that.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use model::mac::Mac;
use netlink::Refusal;
use netlink::namespace::NamespaceError;

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The kernel said no.
    #[error("{attempt}")]
    Refused {
        attempt: String,
        #[source]
        refusal: Refusal,
    },
    /// The socket failed; what was attempted may have happened.
    #[error("{attempt}")]
    Wire {
        attempt: String,
        #[source]
        source: netlink::Error,
    },
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error("{path} is the host's own network namespace", path = path.display())]
    HostNamespace { path: PathBuf },
    #[error("{name:?} cannot be the name of a link")]
    InvalidName { name: String },
    #[error("{address} cannot be a pod's address")]
    InvalidAddress { address: Ipv4Addr },
    #[error("interface {name} already exists in {path}", path = path.display())]
    InterfaceTaken { name: String, path: PathBuf },
    #[error("host link {name} exists and is not a veth")]
    ForeignLink { name: String },
    #[error("the kernel has link {name} and does not show it in a form we can read")]
    LinkUnseen { name: String },
    /// An attached ENI has no link yet, or its link is gone.
    #[error("no link has the MAC address {mac} ({unreadable} links could not be read)")]
    LinkMissing { mac: Mac, unreadable: usize },
    #[error("an ENI with table main is the primary ENI, which is not ours to set up")]
    PrimaryTable,
    #[error("write {value} to {path}", path = path.display())]
    Sysctl {
        path: PathBuf,
        value: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// An ADD failed and something of it may be left on the host.
    #[error("wire the pod (and undoing that failed too: {left})")]
    NotUndone {
        #[source]
        cause: Box<ApplyError>,
        left: String,
    },
    /// What a DEL could not remove; it tried everything else.
    #[error("{} objects could not be removed: {}", .0.len(), list(.0))]
    Several(Vec<ApplyError>),
}

impl ApplyError {
    /// This error and its causes on one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }
}

fn list(errors: &[ApplyError]) -> String {
    errors
        .iter()
        .map(ApplyError::chain)
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn several_failures_are_told_with_their_causes() {
        let refusal = Refusal {
            errno: Errno::EPERM,
            text: None,
        };
        let one = |attempt: &str| ApplyError::Refused {
            attempt: attempt.into(),
            refusal: refusal.clone(),
        };
        let both = ApplyError::Several(vec![one("remove rule a"), one("remove route b")]);
        assert_eq!(
            both.to_string(),
            "2 objects could not be removed: remove rule a: Operation not permitted (EPERM); \
             remove route b: Operation not permitted (EPERM)"
        );
    }
}
