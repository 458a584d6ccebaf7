//! The plugins of the image on the host: whole and executable at every moment, those of others untouched.

use super::{HOST, begin, init, says};
use e2e::binaries;
use e2e::stage::Stage;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// A program that does nothing, as a plugin that can be told from others by its last bytes.
const TRUE: &str = "/bin/true";

/// What the image has: the program, and beside it the plugins.
pub(super) struct Image(PathBuf);

impl Image {
    /// An image whose one plugin, `probe`, ends with `version`.
    pub(super) fn new(stage: &Stage, name: &str, version: &str) -> Self {
        let image = Self(stage.folder().join(name));
        fs::create_dir_all(image.0.join("cni")).unwrap();
        let program = image.program();
        if fs::hard_link(binaries::ipamd(), &program).is_err() {
            fs::copy(binaries::ipamd(), &program).unwrap();
        }
        image.plugin("probe", version);
        image
    }

    pub(super) fn program(&self) -> PathBuf {
        self.0.join("ipamd")
    }

    fn plugin(&self, name: &str, version: &str) {
        let path = self.0.join("cni").join(name);
        fs::write(&path, content(version)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn content(version: &str) -> Vec<u8> {
    let mut bytes = fs::read(TRUE).unwrap();
    bytes.extend(version.bytes());
    bytes
}

/// A file of the node's directory of plugins, as seen from outside.
pub(super) fn installed(stage: &Stage, name: &str) -> PathBuf {
    stage.node(0).folder().join("opt-cni/bin").join(name)
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn they_are_installed_with_their_modes_and_a_second_run_replaces_what_differs_only() {
    let stage = Stage::one("wire/init-plugins", "m5.large");
    let image = Image::new(&stage, "app", "one");
    image.plugin("other", "one");
    let path = |name| installed(&stage, name);
    fs::write(path("foreign"), "theirs").unwrap();
    let half_made = path(".probe.0123456789abcdef.aws-node-new");
    fs::write(&half_made, "half").unwrap();
    let output = init(&stage, &image, &[]);
    for name in ["probe", "other"] {
        says(&output, &format!("installed {name} in /opt/cni/bin"));
        assert_eq!(fs::read(path(name)).unwrap(), content("one"), "{name}");
        let mode = fs::metadata(path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755, "{name}");
    }
    assert!(!half_made.exists(), "what a killed init left is gone");
    let before = [inode(&path("probe")), inode(&path("other"))];
    image.plugin("probe", "two");
    let output = init(&stage, &image, &[]);
    says(&output, "installed probe in /opt/cni/bin");
    says(&output, "1 plugins are in /opt/cni/bin already");
    assert_eq!(fs::read(path("probe")).unwrap(), content("two"));
    let after = [inode(&path("probe")), inode(&path("other"))];
    assert!(before[0] != after[0] && before[1] == after[1]);
    assert_eq!(fs::read(path("foreign")).unwrap(), b"theirs");
    assert!(
        path("aws-cni").exists(),
        "the fixture's, which the image lacks"
    );
}

#[test]
fn a_plugin_can_be_executed_at_every_moment_while_two_inits_replace_it() {
    let stage = Stage::one("wire/init-replaced", "m5.large");
    let images = [
        Image::new(&stage, "app-a", "one"),
        Image::new(&stage, "app-b", "two"),
    ];
    init(&stage, &images[0], &[]);
    let stop = AtomicBool::new(false);
    let calls = std::thread::scope(|scope| {
        let node = stage.node(0);
        // On a thread of its own in the node: like a runtime that starts pods all the time.
        let runtime = scope.spawn(|| {
            let work = || {
                let mut calls = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    let ended = Command::new("/opt/cni/bin/probe").status();
                    let ended = ended.unwrap_or_else(|error| panic!("call {calls}: {error}"));
                    assert!(ended.success(), "call {calls}: {ended}");
                    calls += 1;
                }
                calls
            };
            node.run(work).expect("the node is there")
        });
        for _ in 0..10 {
            let runs = images.each_ref().map(|image| begin(&stage, image, &HOST));
            for run in runs {
                let said = run.ends();
                assert_eq!(said.code, Some(0), "{}", said.output);
            }
        }
        stop.store(true, Ordering::Relaxed);
        runtime.join().expect("every call succeeds")
    });
    assert!(calls > 20, "{calls} calls");
    let left = fs::read(installed(&stage, "probe")).unwrap();
    assert!([content("one"), content("two")].contains(&left));
    let hidden = fs::read_dir(installed(&stage, "")).unwrap();
    let hidden = hidden.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with('.')
    });
    assert_eq!(hidden.count(), 0, "nothing half made is left");
}

#[test]
fn a_full_disk_is_named_with_file_and_size_and_the_old_plugin_stays() {
    let stage = Stage::one("wire/init-full", "m5.large");
    let image = Image::new(&stage, "app", "one");
    let inside = |command: &[&str]| {
        let run = || lab::command::run(command, "");
        let said = stage.node(0).run(run).expect("the node is there");
        said.unwrap_or_else(|error| panic!("{error}"))
    };
    let size = content("one").len();
    // Room for the old one, and for half of the new one.
    let room = format!("size={}", size + size / 2);
    inside(&["mkdir", "/opt/cni/small"]);
    inside(&[
        "mount",
        "-t",
        "tmpfs",
        "-o",
        &room,
        "none",
        "/opt/cni/small",
    ]);
    let small = [("HOST_CNI_BIN_PATH", "/opt/cni/small")];
    init(&stage, &image, &small);
    let folder = stage.node(0).root().join("opt/cni/small");
    let before = inode(&folder.join("probe"));
    image.plugin("probe", "other");
    let said = begin(&stage, &image, &small).ends();
    assert_eq!(said.code, Some(1), "{}", said.output);
    let size = content("other").len();
    let problem = format!(
        "ipamd init: install probe ({size} bytes): write the new file for /opt/cni/small/probe: No space left on device"
    );
    assert!(said.output.contains(&problem), "{}", said.output);
    assert_eq!(inode(&folder.join("probe")), before);
    assert_eq!(fs::read(folder.join("probe")).unwrap(), content("one"));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no leftover");
}
