//! The image, as the Dockerfile's own steps make it: what is in it runs in it without anything of the machine.

use e2e::binaries;
use e2e::cluster::{Release, images};
use lab::command;
use lab::image::{self, Recipe};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Debian 12's reference plugins; `deploy/README.md` says which of upstream's are not among them.
const REFERENCE: [&str; 16] = [
    "bandwidth",
    "bridge",
    "dhcp",
    "firewall",
    "host-device",
    "host-local",
    "ipvlan",
    "loopback",
    "macvlan",
    "portmap",
    "ptp",
    "sbr",
    "static",
    "tuning",
    "vlan",
    "vrf",
];
/// The least C library of a node, by `deploy/README.md`.
const GLIBC: (u32, u32) = (2, 34);
/// A table with what only the kernel and nft's own libraries know.
const RULES: &str = "table ip t { chain c { type nat hook postrouting priority srcnat; ip daddr 10.0.0.0/8 masquerade fully-random; }; }";

/// An assembled root of the programs under test, which goes with this value.
struct Root(PathBuf);

impl Root {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("vpc-cni-image-{}", std::process::id()));
        image::assemble(&recipe("assembled"), &folder).unwrap();
        Self(folder)
    }

    fn run(&self, words: &[&str], input: &str) -> String {
        let root = self.0.to_str().unwrap();
        let line = [
            &["unshare", "--net", "env", "-i", "/usr/sbin/chroot", root],
            words,
        ]
        .concat();
        command::run(&line, input).unwrap()
    }

    fn names(&self, folder: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.0.join(folder)).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }

    fn is_executable(&self, path: &str) -> bool {
        let meta = fs::metadata(self.0.join(path));
        meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o777 == 0o755)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn recipe(name: &str) -> Recipe<'_> {
    static DAEMON: OnceLock<PathBuf> = OnceLock::new();
    let _ = binaries::aws_cni();
    Recipe {
        repository: Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")),
        programs: DAEMON.get_or_init(binaries::ipamd).parent().unwrap(),
        name,
        marker: None,
    }
}

#[test]
fn everything_in_the_image_runs_there_and_nothing_else_is_in_it() {
    let root = Root::new();
    has_a_place_for_every_mount(&root);
    asks_no_newer_glibc_of_a_node(&root);
    let version = root.run(&["/app/ipamd", "--version"], "");
    assert_eq!(version.trim(), concat!("ipamd ", env!("CARGO_PKG_VERSION")));
    let nft = root.run(&["/usr/sbin/nft", "--version"], "");
    assert!(nft.starts_with("nftables v"), "{nft}");
    let listed = root.run(&["/usr/sbin/nft", "-j", "list", "ruleset"], "");
    assert!(listed.contains("metainfo"), "{listed}");
    root.run(&["/usr/sbin/nft", "-f", "-"], RULES);

    let plugins: BTreeSet<String> = ["aws-cni"]
        .iter()
        .chain(&REFERENCE)
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(root.names("app/cni"), plugins);
    for plugin in &plugins {
        assert!(root.is_executable(&format!("app/cni/{plugin}")), "{plugin}");
    }
    let programs = ["app", "usr/sbin"].map(|folder| root.names(folder));
    assert_eq!(
        programs,
        [&["cni", "ipamd"][..], &["nft"]]
            .map(|names| names.iter().map(|name| (*name).to_owned()).collect())
    );
    for folder in ["bin", "sbin", "usr/bin"] {
        assert!(!root.0.join(folder).exists(), "{folder}: a shell?");
    }

    let authorities = fs::read_to_string(root.0.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(authorities.matches("BEGIN CERTIFICATE").count() > 100);
    // Each package whose files are in the image is listed, with its licence.
    let mut licences = root.names("usr/share/doc");
    assert!(licences.remove("vpc-cni"));
    assert_eq!(root.names("var/lib/dpkg/status.d"), licences);
    for package in [
        "nftables",
        "libc6",
        "ca-certificates",
        "containernetworking-plugins",
    ] {
        assert!(licences.contains(package), "{package}");
    }
}

/// The daemon's directory. A runtime makes it below the /run that it mounts. The image must not have it: where nobody
/// mounts one, init could not tell a reboot from a daemon's end, and leaves the network configuration alone.
const RUN_DIRECTORY: &str = "/run/aws-node";

/// The root is read-only, so nobody makes one.
fn has_a_place_for_every_mount(root: &Root) {
    let manifest = lab::manifest::Manifest::of_repository(recipe("").repository).unwrap();
    let pod = manifest.pod().unwrap();
    for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
        for mount in container.volume_mounts.iter().flatten() {
            let place = mount.mount_path.replace("/var/run/", "/run/");
            let found = fs::symlink_metadata(root.0.join(place.trim_start_matches('/')));
            let is_there = found.is_ok_and(|meta| meta.is_dir());
            assert_eq!(is_there, place != RUN_DIRECTORY, "{place}");
        }
    }
    assert_eq!(
        fs::read_link(root.0.join("var/run")).unwrap(),
        Path::new("/run")
    );
}

/// The plugins run on the node, with the node's C library.
fn asks_no_newer_glibc_of_a_node(root: &Root) {
    for plugin in REFERENCE {
        let path = root.0.join("app/cni").join(plugin);
        let symbols = command::run(&["objdump", "-T", path.to_str().unwrap()], "").unwrap();
        let versions = symbols.split("GLIBC_").skip(1).map(|rest| {
            let mut numbers = rest.split(|c: char| !c.is_ascii_digit());
            let mut number = || numbers.next().unwrap().parse::<u32>().unwrap();
            (number(), number())
        });
        let newest = versions.max().unwrap_or_default();
        assert!(newest <= GLIBC, "{plugin} needs glibc {newest:?}");
    }
}

#[test]
fn the_same_programs_make_the_same_image_and_a_marker_another_one() {
    let (this, next) = (images().of(Release::This), images().of(Release::Next));
    let again = std::env::temp_dir().join(format!("vpc-cni-again-{}.tar", std::process::id()));
    image::build(&recipe(&this.name), &again).unwrap();
    let same = |other: &Path| {
        let (one, other) = (this.path.to_str().unwrap(), other.to_str().unwrap());
        command::run(&["cmp", "--silent", one, other], "").is_ok()
    };
    assert!(same(&again));
    assert!(!same(&next.path));
    let size = fs::metadata(&again).unwrap().len();
    assert!(size < 120 << 20, "{size} bytes");
    fs::remove_file(again).unwrap();
}
