//! containerd's configuration on a node, and the specification that its containers start from. Must not: start it.

use super::{ContainerdError, PAUSE};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes both into the node's folder; returns the path of the configuration.
pub(super) fn write(folder: &Path, lab: &Path) -> Result<PathBuf, ContainerdError> {
    let (config, base) = (folder.join("config.toml"), folder.join("base-spec.json"));
    let write = |path: &Path, text: &str| {
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
        written.map_err(|source| ContainerdError::Write {
            path: path.to_owned(),
            source,
        })
    };
    write(&base, &base_spec(lab))?;
    write(&config, &text(&base))?;
    Ok(config)
}

/// Without CAP_SYS_RESOURCE an `oom_score_adj` can't be lowered, so containerd must not try to.
fn text(base: &Path) -> String {
    let base = base.display();
    format!(
        r#"version = 2
oom_score = 0
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      base_runtime_spec = "{base}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
"#
    )
}

/// What containerd starts from when it is told nothing, plus one hook: containers see the node's boot id. Their /proc is
/// a mount of their own, so they would see the machine's, which no reboot of a node changes.
fn base_spec(lab: &Path) -> String {
    let mount = |at: &str, kind: &str, options: &[&str]| json!({"destination": at, "type": kind, "source": kind, "options": options});
    let spec = json!({
        "ociVersion": "1.0.2-dev",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "cwd": "/",
            "noNewPrivileges": true,
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        },
        "root": {"path": "rootfs"},
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/run", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ],
        "hooks": {"createContainer": [{"path": lab, "args": ["vpc-lab", "show-boot-id"]}]},
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"},
            ],
        },
    });
    spec.to_string()
}
