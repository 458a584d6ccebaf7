//! The hook that runc calls for each container before its root becomes the root: the container sees the node's boot id.
//! Run as the hidden `vpc-lab show-boot-id`. Must not: change anything outside the container's mount namespace, in which
//! it is called.

use nix::mount::{MsFlags, mount};
use serde_json::Value;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Why a container does not see the node's boot id; runc then refuses to start it.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The container's state on standard input.
    #[error("read the container's state")]
    Read(#[source] io::Error),
    /// It is not what the runtime specification says.
    #[error("the container's state has no bundle: {0:?}")]
    State(String),
    /// The mount.
    #[error("mount {BOOT_ID} at {at}")]
    Mount {
        /// Where.
        at: PathBuf,
        /// Cause.
        #[source]
        source: nix::Error,
    },
}

/// Puts the boot id that the node shows into the container of which runc tells on standard input.
pub fn show_boot_id() -> Result<(), HookError> {
    let mut state = String::new();
    io::stdin()
        .read_to_string(&mut state)
        .map_err(HookError::Read)?;
    let root = root_of(&state).ok_or(HookError::State(state))?;
    let at = root.join(BOOT_ID.trim_start_matches('/'));
    mount(
        Some(BOOT_ID),
        &at,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .map_err(|source| HookError::Mount { at, source })
}

/// Where the container's root is, as long as it is not the root yet: containerd's bundles have it beside their
/// configuration.
fn root_of(state: &str) -> Option<PathBuf> {
    let state: Value = serde_json::from_str(state).ok()?;
    Some(Path::new(state.get("bundle")?.as_str()?).join("rootfs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_beside_the_bundles_configuration() {
        let state =
            r#"{"ociVersion":"1.0.2","id":"a","status":"creating","pid":7,"bundle":"/run/b"}"#;
        assert_eq!(root_of(state), Some("/run/b/rootfs".into()));
        assert_eq!(root_of("{}"), None);
    }
}
