//! The daemon's socket file: where it is, how it is made, whether somebody answers on it.
//! Must not: know what is spoken over it, nor decide whose socket it is (`ipamd` dials first, then binds).

use std::fs::{DirBuilder, File, Permissions};
use std::io::{Error, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Where the daemon listens; upstream's plugin has it built in.
pub const PATH: &str = "/var/run/aws-node/ipamd.sock";

/// Connections that may wait to be accepted: a burst of pods on a large node, several times over.
const BACKLOG: u32 = 1024;

/// A step of making or dialling the socket that failed.
#[derive(Debug, thiserror::Error)]
#[error("{attempt} {}", path.display())]
pub struct SocketError {
    attempt: &'static str,
    path: PathBuf,
    #[source]
    source: Error,
}

/// Makes the socket: parent folder 0755, whatever file lies at `path` removed, mode 0660 at no time wider.
/// Must be called inside a tokio runtime, by who made sure with [`answering`] that nobody listens.
pub fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    let failed = |attempt| {
        move |source| SocketError {
            attempt,
            path: path.to_owned(),
            source,
        }
    };
    if let Some(parent) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(failed("make the folder of"))?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(failed("remove the stale socket")(error));
        }
        Ok(()) | Err(_) => {}
    }
    let socket = UnixSocket::new_stream().map_err(failed("open a socket for"))?;
    // The kernel gives the file the mode of the socket itself, less the umask; so the mode is narrowed before there is a
    // file, and widened to what the umask took away when it exists.
    let inode = File::from(
        socket
            .as_fd()
            .try_clone_to_owned()
            .map_err(failed("prepare the socket"))?,
    );
    inode
        .set_permissions(Permissions::from_mode(0o660))
        .map_err(failed("set the mode of the socket"))?;
    socket.bind(path).map_err(failed("bind"))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o660))
        .map_err(failed("set the mode of"))?;
    socket.listen(BACKLOG).map_err(failed("listen on"))
}

/// Who listens on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answering {
    /// Its process number; `None` when it is not to be seen from here (another process namespace, a full backlog).
    pub pid: Option<i32>,
}

/// Who listens on `path`, if anybody does. A full backlog counts as an answer; a plain file or nothing at all does not.
pub async fn answering(path: &Path) -> Result<Option<Answering>, SocketError> {
    match UnixStream::connect(path).await {
        Ok(stream) => {
            let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
            let pid = pid.filter(|pid| *pid > 0);
            Ok(Some(Answering { pid }))
        }
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock => Ok(Some(Answering { pid: None })),
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Ok(None),
            _ => Err(SocketError {
                attempt: "dial",
                path: path.to_owned(),
                source: error,
            }),
        },
    }
}
