//! Process 1 of a node: makes the node's view of the machine, says so, and ends with its stdin. Run by `unshare` as the
//! hidden `vpc-lab node-init`; its parent is `Node::start`. Must not: know ENIs (links come and go without it).
//!
//! The pipe on stdin is held by the lab alone. However the lab ends, the pipe closes, process 1 exits and the kernel
//! ends every process, mount and link of the node.

use crate::command::{self, CommandError};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What process 1 says on stdout when the node is ready.
pub(super) const READY: &str = "node ready";

/// Directories that are the node's own and outlive its processes: mount point, name in the node's folder.
const OWN: [(&str, &str); 6] = [
    ("/etc/cni", "etc-cni"),
    ("/opt/cni", "opt-cni"),
    ("/var/log", "var-log"),
    ("/var/lib/cni", "var-lib-cni"),
    ("/var/lib/kubelet", "var-lib-kubelet"),
    ("/var/lib/containerd", "var-lib-containerd"),
];

/// Directories of the machine that the node may write without the machine noticing.
const COPY_ON_WRITE: [&str; 3] = ["/etc", "/opt", "/var/lib"];

/// Why a node could not be made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A mount failed.
    #[error("mount {what} at {at}")]
    Mount {
        /// What.
        what: String,
        /// Where.
        at: String,
        /// Cause.
        #[source]
        source: nix::Error,
    },
    /// A file or directory could not be made.
    #[error("write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The loopback link could not be set up.
    #[error("set up the loopback link")]
    Loopback(#[source] CommandError),
    /// Nobody reads what process 1 says, or signals can't be awaited.
    #[error("serve as process 1")]
    Serve(#[source] io::Error),
}

/// Makes the node and stays until stdin ends; `folder` is where the node's own directories live.
pub fn node_init(folder: &Path, hostname: &str) -> Result<(), InitError> {
    remount(None, "/", MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    fresh_sysfs(folder)?;
    fresh_run()?;
    for directory in COPY_ON_WRITE {
        copy_on_write(directory)?;
    }
    for (point, name) in OWN {
        let own = folder.join(name);
        make_directory(&own)?;
        make_directory(Path::new(point))?;
        bind(&own, point)?;
    }
    make_directory(Path::new("/opt/cni/bin"))?;
    identity(folder, hostname)?;
    network()?;
    remount(None, "/", MsFlags::MS_REC | MsFlags::MS_SHARED)?;
    serve().map_err(InitError::Serve)
}

/// A sysfs of the new network namespace, with the machine's cgroups below it.
fn fresh_sysfs(folder: &Path) -> Result<(), InitError> {
    let (cgroup, staged) = (Path::new("/sys/fs/cgroup"), folder.join("cgroup"));
    let has_cgroups = cgroup.is_dir();
    if has_cgroups {
        make_directory(&staged)?;
        bind(cgroup, &staged.to_string_lossy())?;
    }
    mount_new("sysfs", "/sys", "sysfs", None)?;
    if has_cgroups && cgroup.is_dir() {
        bind(&staged, "/sys/fs/cgroup")?;
        let what = "the staged cgroups".to_owned();
        umount2(&staged, MntFlags::MNT_DETACH).map_err(|source| InitError::Mount {
            what,
            at: staged.display().to_string(),
            source,
        })?;
    }
    Ok(())
}

/// An empty /run, which is also /var/run.
fn fresh_run() -> Result<(), InitError> {
    mount_new("tmpfs", "/run", "tmpfs", Some("mode=0755"))?;
    for directory in ["/run/netns", "/run/lock"] {
        make_directory(Path::new(directory))?;
    }
    // Debian and Amazon Linux have a symlink; elsewhere it is a directory of the machine.
    if fs::symlink_metadata("/var/run").is_ok_and(|meta| meta.is_dir()) {
        bind(Path::new("/run"), "/var/run")?;
    }
    Ok(())
}

fn copy_on_write(directory: &str) -> Result<(), InitError> {
    let layer = PathBuf::from(format!("/run/vpc-lab{directory}"));
    let (upper, work) = (layer.join("upper"), layer.join("work"));
    make_directory(Path::new(directory))?;
    make_directory(&upper)?;
    make_directory(&work)?;
    let options = format!(
        "lowerdir={directory},upperdir={},workdir={}",
        upper.display(),
        work.display()
    );
    mount_new("overlay", directory, "overlay", Some(&options))
}

/// Host name, boot id, resolver: what makes it another machine.
fn identity(folder: &Path, hostname: &str) -> Result<(), InitError> {
    write(Path::new("/proc/sys/kernel/hostname"), hostname)?;
    let uuid = Path::new("/proc/sys/kernel/random/uuid");
    let fresh = fs::read_to_string(uuid).map_err(|source| InitError::Write {
        path: uuid.into(),
        source,
    })?;
    let boot_id = folder.join("boot_id");
    write(&boot_id, &fresh)?;
    bind(&boot_id, "/proc/sys/kernel/random/boot_id")?;
    for (path, text) in [
        (
            "/etc/hosts",
            format!("127.0.0.1 localhost\n127.0.1.1 {hostname}\n"),
        ),
        (
            "/etc/resolv.conf",
            "nameserver 169.254.169.253\n".to_owned(),
        ),
        ("/etc/hostname", format!("{hostname}\n")),
    ] {
        // It may be a symlink into a directory that is not here.
        let _ = fs::remove_file(path);
        write(Path::new(path), &text)?;
    }
    Ok(())
}

/// Loopback with the link-local services' addresses, and the settings that a node's image and kubelet make.
fn network() -> Result<(), InitError> {
    // This kernel gives every namespace two ifb links; a node of EC2 has none.
    for link in ["ifb0", "ifb1"]
        .iter()
        .filter(|link| Path::new("/sys/class/net").join(link).exists())
    {
        command::ip_batch(&[format!("link del {link}")]).map_err(InitError::Loopback)?;
    }
    let addresses =
        super::LINK_LOCAL_SERVICES.map(|address| format!("address add {address}/32 dev lo"));
    let lines: Vec<String> = std::iter::once("link set dev lo up".to_owned())
        .chain(addresses)
        .collect();
    command::ip_batch(&lines).map_err(InitError::Loopback)?;
    write(Path::new("/proc/sys/net/ipv4/ip_forward"), "1")?;
    // Strict, as on images where the CNI must loosen it: what it forgets to loosen is lost and seen.
    write(Path::new("/proc/sys/net/ipv4/conf/default/rp_filter"), "1")
}

/// Says that the node is ready, collects orphans, ends with stdin.
fn serve() -> io::Result<()> {
    let children = SigSet::from(Signal::SIGCHLD);
    children.thread_block()?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{READY}")?;
    stdout.flush()?;
    std::thread::Builder::new().name("stdin".into()).spawn(|| {
        let mut scratch = [0; 256];
        while !matches!(io::stdin().read(&mut scratch), Ok(0) | Err(_)) {}
        std::process::exit(0);
    })?;
    loop {
        children.wait()?;
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
    }
}

fn mount_new(what: &str, at: &str, kind: &str, options: Option<&str>) -> Result<(), InitError> {
    mount(Some(what), at, Some(kind), MsFlags::empty(), options).map_err(|source| {
        InitError::Mount {
            what: what.to_owned(),
            at: at.to_owned(),
            source,
        }
    })
}

fn bind(what: &Path, at: &str) -> Result<(), InitError> {
    remount(Some(what), at, MsFlags::MS_BIND | MsFlags::MS_REC)
}

fn remount(what: Option<&Path>, at: &str, flags: MsFlags) -> Result<(), InitError> {
    mount(what, at, None::<&str>, flags, None::<&str>).map_err(|source| InitError::Mount {
        what: what.map_or_else(|| format!("{flags:?}"), |what| what.display().to_string()),
        at: at.to_owned(),
        source,
    })
}

fn make_directory(path: &Path) -> Result<(), InitError> {
    fs::create_dir_all(path).map_err(|source| InitError::Write {
        path: path.into(),
        source,
    })
}

fn write(path: &Path, text: &str) -> Result<(), InitError> {
    fs::write(path, text).map_err(|source| InitError::Write {
        path: path.into(),
        source,
    })
}
