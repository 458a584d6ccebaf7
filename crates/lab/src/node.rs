//! A node: a process tree with mount, uts, ipc, net and pid namespaces of its own, and ways to do things inside.
//! Driven by `scene`. Must not: decide which links it has (`fabric` follows EC2), start the programs under test by itself.
//!
//! Nothing of a node is named on the machine: no file in /run/netns, no link, no port.

pub mod init;

use crate::command::{self, CommandError};
use crate::namespace::{EnterError, Namespaces};
use crate::process::{ProcessId, child_of};
use crate::task::Task;
use ipnetwork::Ipv4Network;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

/// Where the instance metadata service answers inside every node.
pub const IMDS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(169, 254, 169, 254), 80);
/// Where the EC2 API answers inside every node.
pub const EC2: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(169, 254, 169, 250), 8000);
const LINK_LOCAL_SERVICES: [Ipv4Addr; 2] = [*IMDS.ip(), *EC2.ip()];
/// How long a node may take to end before it is killed, in milliseconds.
const END_LIMIT: u16 = 5_000;

/// Why something with a node failed.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file of the node's folder.
    #[error("prepare {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// `unshare` could not be started.
    #[error("start node {name}")]
    Start {
        /// Node.
        name: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Process 1 ended before the node was ready.
    #[error("node {name} did not become ready: {said}")]
    NotReady {
        /// Node.
        name: String,
        /// The log of process 1.
        said: String,
    },
    /// The node's namespaces could not be entered.
    #[error("enter node {name}")]
    Enter {
        /// Node.
        name: String,
        /// Cause.
        #[source]
        source: EnterError,
    },
    /// A program could not be started.
    #[error("start {program} on node {name}")]
    Spawn {
        /// Node.
        name: String,
        /// Program.
        program: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A socket could not be opened.
    #[error("listen at {address} on node {name}")]
    Listen {
        /// Node.
        name: String,
        /// Address.
        address: SocketAddrV4,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The primary link could not be configured.
    #[error("configure the primary link of node {name}")]
    Primary {
        /// Node.
        name: String,
        /// Cause.
        #[source]
        source: CommandError,
    },
}

/// A program to run inside a node.
#[derive(Debug, Clone)]
pub struct Program {
    /// Path on the machine; the node sees the same files, except what is its own.
    pub path: PathBuf,
    /// Arguments.
    pub arguments: Vec<OsString>,
    /// The whole environment: nothing is inherited.
    pub environment: Vec<(String, String)>,
    /// Where stdout and stderr go (appended); outside the node.
    pub log: PathBuf,
}

/// What the node's network configuration agent got by DHCP for the primary link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The primary ENI's address.
    pub address: Ipv4Addr,
    /// Its subnet.
    pub subnet: Ipv4Network,
    /// The VPC's resolver: base of the VPC's first range plus two.
    pub resolver: Ipv4Addr,
}

/// A running node; dropping it ends everything inside.
#[derive(Debug)]
pub struct Node {
    name: String,
    folder: PathBuf,
    namespaces: Arc<Namespaces>,
    process: ProcessId,
    init: u32,
    // The two pipes of process 1: it ends when the first closes, the second closes when it has ended.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    unshare: Child,
}

impl Node {
    /// Starts a node with its own directories below `folder`; `lab` is the `vpc-lab` program. Starting again on the
    /// same folder is a reboot: another boot id, an empty /run, the same files elsewhere.
    pub fn start(lab: &Path, folder: &Path, name: &str) -> Result<Self, NodeError> {
        let log = open_log(folder)?;
        let started = |source| NodeError::Start {
            name: name.to_owned(),
            source,
        };
        let mut unshare = unshare_command(lab, folder, name)
            .stderr(log)
            .spawn()
            .map_err(started)?;
        let stdin = unshare.stdin.take();
        let mut stdout = BufReader::new(unshare.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        let _ = stdout.read_line(&mut line);
        let pid = unshare.id();
        let (Some(process), Some(init), init::READY) =
            (ProcessId::of(pid), child_of(pid), line.trim_end())
        else {
            let _ = unshare.kill();
            let _ = unshare.wait();
            let log = fs::read_to_string(folder.join("init.log")).unwrap_or_default();
            let said = log.split_whitespace().collect::<Vec<_>>().join(" ");
            return Err(NodeError::NotReady {
                name: name.to_owned(),
                said,
            });
        };
        let namespaces = Namespaces::made_by(pid).map_err(|source| NodeError::Enter {
            name: name.to_owned(),
            source,
        })?;
        let (name, folder, namespaces) = (name.to_owned(), folder.to_owned(), Arc::new(namespaces));
        Ok(Self {
            name,
            folder,
            namespaces,
            process,
            init,
            stdin,
            stdout,
            unshare,
        })
    }

    /// Its name, which is also its host name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its own directories live on the machine: `etc-cni`, `opt-cni`, `var-log` …
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The process that holds the node (`unshare`), for whoever must end it by force.
    pub fn process(&self) -> ProcessId {
        self.process
    }

    /// Process 1 of the node by its number outside: `nsenter -t PID -a` enters the node.
    pub fn init(&self) -> u32 {
        self.init
    }

    /// Its namespaces.
    pub fn namespaces(&self) -> &Arc<Namespaces> {
        &self.namespaces
    }

    /// Where the node's files are seen from outside, /run included.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.init))
    }

    /// Runs the closure inside; processes it starts belong to the node.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NodeError> {
        self.namespaces
            .run(work)
            .map_err(|source| NodeError::Enter {
                name: self.name.clone(),
                source,
            })
    }

    /// Starts a program inside; it is killed when the task is dropped, at the latest with the node.
    pub fn spawn(&self, program: &Program) -> Result<Task, NodeError> {
        let failed = |source| NodeError::Spawn {
            name: self.name.clone(),
            program: program.path.clone(),
            source,
        };
        let open = || File::options().create(true).append(true).open(&program.log);
        let (out, err) = (open().map_err(failed)?, open().map_err(failed)?);
        let mut command = Command::new(&program.path);
        command
            .args(&program.arguments)
            .env_clear()
            .envs(program.environment.iter().cloned())
            .current_dir("/");
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        Ok(Task::new(self.run(|| command.spawn())?.map_err(failed)?))
    }

    /// Puts a plugin into the node's /opt/cni/bin, as an init container does: a whole file appears at once.
    pub fn install_plugin(&self, plugin: &Path) -> Result<(), NodeError> {
        let directory = self.folder.join("opt-cni/bin");
        let target = directory.join(plugin.file_name().unwrap_or_default());
        let partial = target.with_extension("partial");
        let copied = fs::copy(plugin, &partial).and_then(|_| fs::rename(&partial, &target));
        copied.map_err(|source| NodeError::Folder {
            path: target,
            source,
        })
    }

    /// Opens a listening socket inside; it can be served from any thread.
    pub fn listen(&self, address: SocketAddrV4) -> Result<TcpListener, NodeError> {
        let failed = |source| NodeError::Listen {
            name: self.name.clone(),
            address,
            source,
        };
        let listener = self.run(|| TcpListener::bind(address))?.map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(listener)
    }

    /// Configures the primary link as Amazon Linux 2023 does after DHCP.
    pub fn configure_primary(&self, link: &str, lease: Lease) -> Result<(), NodeError> {
        let lines = primary_lines(link, lease);
        self.run(|| command::ip_batch(&lines))?
            .map_err(|source| NodeError::Primary {
                name: self.name.clone(),
                source,
            })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // Process 1 has ended, and with it everything inside, when its end of this pipe is closed.
        let mut fds = [PollFd::new(
            self.stdout.get_ref().as_fd(),
            PollFlags::POLLIN,
        )];
        if !matches!(poll(&mut fds, PollTimeout::from(END_LIMIT)), Ok(1..)) {
            let _ = self.unshare.kill();
        }
        let _ = self.unshare.wait();
    }
}

fn open_log(folder: &Path) -> Result<File, NodeError> {
    let path = folder.join("init.log");
    let open = || {
        fs::create_dir_all(folder)?;
        File::create(&path)
    };
    open().map_err(|source| NodeError::Folder {
        path: path.clone(),
        source,
    })
}

fn unshare_command(lab: &Path, folder: &Path, name: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--uts",
        "--ipc",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--",
    ]);
    command
        .arg(lab)
        .arg("node-init")
        .arg("--folder")
        .arg(folder)
        .arg("--name")
        .arg(name);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// `ip` commands after which the link looks as systemd-networkd leaves it on Amazon Linux 2023.
fn primary_lines(link: &str, lease: Lease) -> Vec<String> {
    let Lease {
        address,
        subnet,
        resolver,
    } = lease;
    let gateway = Ipv4Addr::from_bits(subnet.network().to_bits() + 1);
    let dhcp = format!("dev {link} proto dhcp src {address} metric 512");
    let to_resolver = if subnet.contains(resolver) {
        "scope link".to_owned()
    } else {
        format!("via {gateway}")
    };
    vec![
        format!("link set dev {link} up"),
        format!(
            "address add {address}/{} brd + dev {link} metric 512",
            subnet.prefix()
        ),
        format!("route add {gateway}/32 {dhcp} scope link"),
        format!("route add default via {gateway} {dhcp}"),
        format!("route add {resolver}/32 {to_resolver} {dhcp}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_link_is_configured_as_amazon_linux_does() {
        let lease = |third: u8| Lease {
            address: Ipv4Addr::new(10, 0, third, 9),
            subnet: format!("10.0.{third}.0/24").parse().unwrap(),
            resolver: Ipv4Addr::new(10, 0, 0, 2),
        };
        let far = [
            "link set dev ens5 up",
            "address add 10.0.1.9/24 brd + dev ens5 metric 512",
            "route add 10.0.1.1/32 dev ens5 proto dhcp src 10.0.1.9 metric 512 scope link",
            "route add default via 10.0.1.1 dev ens5 proto dhcp src 10.0.1.9 metric 512",
            "route add 10.0.0.2/32 via 10.0.1.1 dev ens5 proto dhcp src 10.0.1.9 metric 512",
        ];
        assert_eq!(primary_lines("ens5", lease(1)), far);
        let near = "route add 10.0.0.2/32 scope link dev ens5 proto dhcp src 10.0.0.9 metric 512";
        assert_eq!(primary_lines("ens5", lease(0))[4], near);
    }
}
