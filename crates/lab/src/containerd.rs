//! A real containerd on a node: its configuration, its process, its images. Driven by `kubelet`, tests and `vpc-lab`.
//! Must not: know which pods there are; share anything with another node's.
//!
//! Everything it makes is below the node's own directories, in the node's namespaces, or in control groups that carry
//! the scene's name, so it ends with the node.

mod boot_id;
mod config;
pub mod control_groups;

pub use boot_id::{HookError, show_boot_id};

use crate::cri::{Cri, CriError};
use crate::image::Archive;
use crate::namespace::{EnterError, Namespaces};
use crate::node::{Node, NodeError, Program};
use crate::scene::Scene;
use crate::task::Task;
use nix::sys::signal::Signal;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where it listens inside a node.
const SOCKET: &str = "run/containerd/containerd.sock";
/// The image of a sandbox's process 1, which [`config`] names.
pub const PAUSE: &str = "localhost/pause:lab";
/// How long it may take to answer.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Between two questions whether it answers.
const LOOK: Duration = Duration::from_millis(10);

/// Why there is no container runtime.
#[derive(Debug, thiserror::Error)]
pub enum ContainerdError {
    /// Its files.
    #[error("write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The program could not be started, or the node not entered.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// It ended.
    #[error("containerd on {node} ended: {how}; its log is {log}")]
    Ended {
        /// Where.
        node: String,
        /// Exit status.
        how: String,
        /// Its log.
        log: PathBuf,
    },
    /// It does not answer.
    #[error("containerd on {node} does not answer")]
    Silent {
        /// Where.
        node: String,
        /// What was tried last.
        #[source]
        source: CriError,
    },
    /// The node could not be entered.
    #[error("enter the node")]
    Enter(#[from] EnterError),
    /// An image could not be loaded.
    #[error("load image {name} on {node}")]
    Load {
        /// Which.
        name: String,
        /// Where.
        node: String,
        /// Cause.
        #[source]
        source: crate::command::CommandError,
    },
}

/// The socket of the runtime on a node, by the node's process 1.
pub fn socket_of(init: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{init}/root/{SOCKET}"))
}

/// A running containerd; dropping it kills it, which its containers survive until the node ends.
#[derive(Debug)]
pub struct Containerd {
    task: Task,
    socket: PathBuf,
}

impl Containerd {
    /// Starts it on a node of the scene and waits until it answers.
    pub fn start(scene: &Scene, index: usize) -> Result<Self, ContainerdError> {
        let node = scene.node(index);
        let folder = node.folder().join("containerd");
        let config = config::write(&folder, scene.lab_program())?;
        let log = scene
            .evidence()
            .join(format!("{}-containerd.log", node.name()));
        let program = Program {
            path: "containerd".into(),
            arguments: vec!["--config".into(), config.into()],
            environment: scene.environment(index),
            log: log.clone(),
        };
        let mut started = Self {
            task: node.spawn(&program)?,
            socket: socket_of(node.init()),
        };
        started.await_answer(node, &log)?;
        Ok(started)
    }

    fn await_answer(&mut self, node: &Node, log: &Path) -> Result<(), ContainerdError> {
        let began = Instant::now();
        loop {
            if let Ok(Some(status)) = self.task.ended() {
                let (node, how, log) = (node.name().to_owned(), status.to_string(), log.to_owned());
                return Err(ContainerdError::Ended { node, how, log });
            }
            match self.cri().version(START_LIMIT) {
                Ok(_) => return Ok(()),
                Err(source) if began.elapsed() > START_LIMIT => {
                    return Err(ContainerdError::Silent {
                        node: node.name().to_owned(),
                        source,
                    });
                }
                Err(_) => std::thread::park_timeout(LOOK),
            }
        }
    }

    /// Its CRI.
    pub fn cri(&self) -> Cri {
        Cri::at(&self.socket)
    }

    /// Ends the process by a signal and waits; containers go on.
    pub fn end(mut self, signal: Signal) {
        // It may have ended by itself.
        let _ = self.task.signal(signal);
        let _ = self.task.wait();
    }
}

/// Makes an image known to the runtime of a node, which must answer; `node` is its name, for messages.
pub fn load(namespaces: &Namespaces, node: &str, archive: &Archive) -> Result<(), ContainerdError> {
    let path = archive.path.to_string_lossy();
    let command = ["ctr", "--namespace", "k8s.io", "image", "import", &*path];
    let said = namespaces.run(|| crate::command::run(&command, ""))?;
    said.map(drop).map_err(|source| ContainerdError::Load {
        name: archive.name.clone(),
        node: node.to_owned(),
        source,
    })
}
