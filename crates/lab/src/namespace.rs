//! Running code inside a node's or pod's namespaces. Driven by `node`, `runtime` and `fabric::link`.
//! Must not: know what a node is. A thread enters and ends there; none ever comes back, so a failed return can't happen.

use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Why code could not run inside.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// A namespace file could not be opened.
    #[error("open namespace {kind} of process {pid}")]
    Open {
        /// File name below `/proc/PID/ns`.
        kind: &'static str,
        /// Whose.
        pid: u32,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The kernel refused to let the thread in.
    #[error("enter namespace {kind}")]
    Enter {
        /// Which one.
        kind: &'static str,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// No thread could be started.
    #[error("start a thread for a namespace")]
    Thread(#[source] io::Error),
}

/// Opened namespaces. They stay alive as long as this value, so it is dropped before a node counts as gone.
#[derive(Debug)]
pub struct Namespaces {
    // In the order of entering: pid first, because /proc of the node is what the mount namespace shows afterwards.
    entries: Vec<(&'static str, OwnedFd)>,
}

impl Namespaces {
    /// The namespaces that `pid` made for its child (`unshare --fork` stays outside its own pid namespace).
    pub fn made_by(pid: u32) -> Result<Self, EnterError> {
        let kinds = ["pid_for_children", "uts", "ipc", "net", "mnt"];
        let open = |kind| match File::open(format!("/proc/{pid}/ns/{kind}")) {
            Ok(file) => Ok((kind, OwnedFd::from(file))),
            Err(source) => Err(EnterError::Open { kind, pid, source }),
        };
        Ok(Self {
            entries: kinds.into_iter().map(open).collect::<Result<_, _>>()?,
        })
    }

    /// A network namespace alone; everything else stays the machine's.
    pub fn of_network(network: OwnedFd) -> Self {
        Self {
            entries: vec![("net", network)],
        }
    }

    /// The same with another network namespace: a pod's.
    pub fn with_network(&self, network: &impl AsFd) -> io::Result<Self> {
        let replace = |(kind, fd): &(&'static str, OwnedFd)| {
            let fd = if *kind == "net" {
                network.as_fd()
            } else {
                fd.as_fd()
            };
            Ok((*kind, fd.try_clone_to_owned()?))
        };
        Ok(Self {
            entries: self
                .entries
                .iter()
                .map(replace)
                .collect::<io::Result<_>>()?,
        })
    }

    /// Runs the closure on a thread of its own inside; processes it starts live inside too. It can start no thread:
    /// the kernel forbids one whose children belong to another pid namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, EnterError> {
        std::thread::scope(|scope| {
            let inside = || {
                self.enter()?;
                Ok(work())
            };
            let thread = std::thread::Builder::new()
                .name("inside".into())
                .spawn_scoped(scope, inside);
            match thread.map_err(EnterError::Thread)?.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn enter(&self) -> Result<(), EnterError> {
        let refused = |kind: &'static str| {
            move |errno: nix::Error| EnterError::Enter {
                kind,
                source: errno.into(),
            }
        };
        // A thread that shares its root and working directory with others may not change its mount namespace.
        unshare(CloneFlags::CLONE_FS).map_err(refused("fs"))?;
        for (kind, fd) in &self.entries {
            setns(fd.as_fd(), CloneFlags::empty()).map_err(refused(kind))?;
        }
        Ok(())
    }
}

/// Moves the calling thread into a fresh network namespace; everything it creates there ends with the last user of it.
pub fn isolate_network() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWNET)?)
}

/// Opens a network namespace file as this thread sees it.
pub fn open_network(path: &Path) -> io::Result<OwnedFd> {
    Ok(File::open(path)?.into())
}
