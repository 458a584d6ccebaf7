//! Network namespaces: opening one by path, knowing it again, and a socket that works inside it.
//! Must not: leave the calling thread in a foreign namespace (the process ends first), run foreign code there, await.
//! Driven by: `cni-plugin` on its only thread, and `lab`. The daemon enters no namespace.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

use crate::error::Error;
use crate::socket::Socket;

/// The calling thread's own namespace.
const CURRENT: &str = "/proc/thread-self/ns/net";

/// An open network namespace; it lives as long as this value, whatever happens to its path.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
    path: PathBuf,
    identity: Identity,
}

/// Two namespaces are the same exactly when these are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    #[error("open network namespace {path}", path = path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is not a network namespace", path = path.display())]
    NotANamespace { path: PathBuf },
    #[error("enter network namespace {path}", path = path.display())]
    Enter {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("open a socket in network namespace {path}", path = path.display())]
    Socket {
        path: PathBuf,
        #[source]
        source: Error,
    },
}

impl Namespace {
    /// Opens the namespace at `path` and proves that it is one by entering and leaving it.
    pub fn open(path: &Path) -> Result<Self, NamespaceError> {
        let namespace = Self::open_unproven(path)?;
        namespace.inside(|| ())?;
        Ok(namespace)
    }

    /// The calling thread's namespace.
    pub fn current() -> Result<Self, NamespaceError> {
        Self::open_unproven(Path::new(CURRENT))
    }

    pub fn identity(&self) -> Identity {
        self.identity
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A netlink socket that works inside this namespace; the calling thread is back home when this returns.
    pub fn socket_in(&self) -> Result<Socket, NamespaceError> {
        let socket = self.inside(Socket::open)?;
        socket.map_err(|source| NamespaceError::Socket {
            path: self.path.clone(),
            source,
        })
    }

    fn open_unproven(path: &Path) -> Result<Self, NamespaceError> {
        let failed = |source| NamespaceError::Open {
            path: path.into(),
            source,
        };
        // Not blocking: the path comes from outside and might be a pipe.
        let flags = OFlag::O_NONBLOCK.bits();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .map_err(failed)?;
        let kind = fstatfs(&file)
            .map_err(|errno| failed(errno.into()))?
            .filesystem_type();
        if kind != NSFS_MAGIC {
            return Err(NamespaceError::NotANamespace { path: path.into() });
        }
        let identity = identity_of(&file).map_err(failed)?;
        Ok(Self {
            fd: file.into(),
            path: path.into(),
            identity,
        })
    }

    fn inside<T>(&self, action: impl FnOnce() -> T) -> Result<T, NamespaceError> {
        let home = Self::current()?;
        let _returning = Returning { home: &home };
        match setns(&self.fd, CloneFlags::CLONE_NEWNET) {
            Ok(()) => Ok(action()),
            // A namespace of another kind (mount, process ids) is nsfs too.
            Err(Errno::EINVAL) => Err(NamespaceError::NotANamespace {
                path: self.path.clone(),
            }),
            Err(errno) => Err(NamespaceError::Enter {
                path: self.path.clone(),
                source: errno.into(),
            }),
        }
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Namespace {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Takes the thread home when dropped, also when the action panicked.
struct Returning<'a> {
    home: &'a Namespace,
}

impl Drop for Returning<'_> {
    fn drop(&mut self) {
        if Namespace::current().is_ok_and(|here| here.identity == self.home.identity) {
            return;
        }
        if let Err(errno) = setns(&self.home.fd, CloneFlags::CLONE_NEWNET) {
            // Going on would wire the node's own network with a pod's settings.
            eprintln!(
                "cannot return to network namespace {:?}: {errno}",
                self.home.identity
            );
            std::process::abort();
        }
    }
}

fn identity_of(file: &File) -> std::io::Result<Identity> {
    let metadata = file.metadata()?;
    Ok(Identity {
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_no_namespace_is_refused_by_name() {
        let refused = Namespace::open(Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/Cargo.toml"
        )));
        let Err(NamespaceError::NotANamespace { path }) = refused else {
            panic!("{refused:?}")
        };
        assert!(path.ends_with("Cargo.toml"));
    }

    #[test]
    fn a_missing_path_is_told_apart_from_a_wrong_one() {
        let refused = Namespace::open(Path::new("/proc/self/ns/absent"));
        assert!(
            matches!(refused, Err(NamespaceError::Open { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn a_namespace_of_another_kind_is_refused_and_the_thread_stays_home() {
        let before = Namespace::current().unwrap().identity();
        let refused = Namespace::open(Path::new("/proc/thread-self/ns/uts"));
        assert!(
            matches!(refused, Err(NamespaceError::NotANamespace { .. })),
            "{refused:?}"
        );
        assert_eq!(Namespace::current().unwrap().identity(), before);
    }

    #[test]
    fn the_same_namespace_has_the_same_identity_by_either_path() {
        let by_thread = Namespace::current().unwrap().identity();
        let by_process = Namespace::open_unproven(Path::new("/proc/self/ns/net"))
            .unwrap()
            .identity();
        assert_eq!(by_thread, by_process);
    }
}
