//! One daemon per node: the lock for life, and the look whether upstream's daemon, which takes no lock, still answers.
//!
//! Owns: the lock file. Must not: touch socket, state files, kernel or EC2. Driven by: `app`, before anything else.

use crate::console::Console;
use crate::restore::with_causes;
use rpc::socket::Answering;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the other one is looked at.
const AGAIN: Duration = Duration::from_secs(5);

/// Why this process may not start yet.
#[derive(Debug, thiserror::Error)]
pub enum NotAlone {
    /// Another daemon of ours runs.
    #[error("another node daemon holds {}: process {holder}", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
        /// What the holder wrote into it.
        holder: String,
    },
    /// Something accepts connections and holds no lock: upstream's daemon.
    #[error("another node daemon answers on {}: {who}", path.display())]
    Answered {
        /// The socket.
        path: PathBuf,
        /// Who it is, as far as can be seen.
        who: String,
    },
    /// Whether something accepts connections is not known.
    #[error(transparent)]
    Dial(#[from] rpc::socket::SocketError),
    /// The lock could not be tried.
    #[error("the lock {}", path.display())]
    Lock {
        /// The lock.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
}

/// The proof of being alone; ends with the process.
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "held, never used")] File);

/// Waits for ever until no other daemon holds `lock` or answers on `socket`, and says each time what it saw. A folder
/// that is not there is made; one that cannot be made or written is waited for.
pub async fn wait_forever(lock: &Path, socket: &Path, console: &mut Console) -> Alone {
    loop {
        match attempt(lock, socket).await {
            Ok(alone) => return alone,
            Err(seen) => {
                let (what, retry_secs) = (with_causes(&seen), AGAIN.as_secs());
                match &seen {
                    NotAlone::Locked { .. } | NotAlone::Answered { .. } => {
                        tracing::warn!(%seen, retry_secs, "not starting beside another node daemon");
                        console.lacks(&format!("the end of the other one: {what}"));
                    }
                    NotAlone::Lock { .. } | NotAlone::Dial(_) => console.lacks(&what),
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Beside a daemon that answers nothing is made, not even the lock.
async fn attempt(lock: &Path, socket: &Path) -> Result<Alone, NotAlone> {
    if let Some(other) = rpc::socket::answering(socket).await? {
        return Err(match holder(lock) {
            Some(holder) => NotAlone::Locked {
                path: lock.to_owned(),
                holder,
            },
            None => answered(socket, other),
        });
    }
    let alone = take(lock)?;
    // Upstream's daemon may have come in between.
    match rpc::socket::answering(socket).await? {
        Some(other) => Err(answered(socket, other)),
        None => Ok(alone),
    }
}

fn answered(socket: &Path, other: Answering) -> NotAlone {
    let who = match other.pid {
        Some(pid) => match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
            Ok(name) => format!("process {pid} ({})", name.trim()),
            Err(_) => format!("process {pid}"),
        },
        None => "a process that is not to be seen from here".to_owned(),
    };
    NotAlone::Answered {
        path: socket.to_owned(),
        who,
    }
}

/// Who holds the lock, if anybody does; without making its file.
fn holder(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Some(written_by(file)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn written_by(file: File) -> String {
    let mut holder = String::new();
    let _ = file.take(32).read_to_string(&mut holder);
    holder.trim().to_owned()
}

fn take(path: &Path) -> Result<Alone, NotAlone> {
    let failed = |source| NotAlone::Lock {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(NotAlone::Locked {
                path: path.to_owned(),
                holder: written_by(file),
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    // Who holds it is for people; the lock holds without it.
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(Alone(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn the_second_daemon_is_told_who_the_first_is_and_may_start_when_it_has_ended() {
        let folder = Folder::new();
        let (lock, socket) = (
            folder.path().join("deep/ipamd.lock"),
            folder.path().join("ipamd.sock"),
        );
        let first = block_on(attempt(&lock, &socket)).unwrap();
        let error = block_on(attempt(&lock, &socket)).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with(&format!("process {}", std::process::id())),
            "{error}"
        );
        drop(first);
        block_on(attempt(&lock, &socket)).unwrap();
    }

    #[test]
    fn a_daemon_that_answers_without_a_lock_is_respected_and_its_socket_stays() {
        let folder = Folder::new();
        let (lock, socket) = (
            folder.path().join("ipamd.lock"),
            folder.path().join("ipamd.sock"),
        );
        let upstream = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = block_on(attempt(&lock, &socket)).unwrap_err();
        assert!(matches!(error, NotAlone::Answered { .. }));
        let process = format!("process {} (", std::process::id());
        assert!(error.to_string().contains(&process), "{error}");
        assert!(socket.exists());
        assert!(!lock.exists(), "nothing was made");
        drop(upstream);
        block_on(attempt(&lock, &socket)).unwrap();
    }

    #[test]
    fn of_a_daemon_that_answers_and_holds_the_lock_the_lock_tells_who_it_is() {
        let folder = Folder::new();
        let (lock, socket) = (
            folder.path().join("ipamd.lock"),
            folder.path().join("ipamd.sock"),
        );
        let _first = block_on(attempt(&lock, &socket)).unwrap();
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(matches!(
            block_on(attempt(&lock, &socket)),
            Err(NotAlone::Locked { .. })
        ));
    }
}
