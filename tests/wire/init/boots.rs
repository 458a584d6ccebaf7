//! The network configuration of an earlier boot: removed when a node comes up again, and at no other time.

use super::plugins::Image;
use super::{init, says};
use e2e::daemon::PATIENCE;
use e2e::expect::eventually;
use e2e::stage::Stage;
use std::fs;
use std::path::PathBuf;

/// What the line about it begins with.
const FIRST: &str = "first start of this boot: ";

fn list(stage: &Stage) -> PathBuf {
    stage.node(0).folder().join("etc-cni/net.d/10-aws.conflist")
}

/// The daemon's directory, which kubelet makes before it starts any container.
fn run_folder(stage: &Stage) -> PathBuf {
    let folder = stage.node(0).root().join("run/aws-node");
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[track_caller]
fn tells(output: &str, what: &str) {
    let line = format!("ipamd init: {what}");
    let found = output.lines().any(|said| said.starts_with(&line));
    assert!(found, "{line:?} in:\n{output}");
}

#[test]
fn after_a_reboot_it_is_removed_once_and_the_daemon_writes_it_anew() {
    let mut stage = Stage::one("wire/init-reboot", "m5.large");
    let image = Image::new(&stage, "app", "one");
    let here = [("HOST_CNI_CONFDIR_PATH", "/etc/cni/net.d")];
    run_folder(&stage);
    fs::remove_file(list(&stage)).unwrap();
    let output = init(&stage, &image, &[]);
    says(
        &output,
        &format!("{FIRST}there is no /etc/cni/net.d/10-aws.conflist"),
    );
    let daemon = stage.daemon(0, &here);
    let written = || fs::read_to_string(list(&stage));
    let text = eventually("it is written", PATIENCE, written);

    // The pod is started again: by an upgrade, by whoever deletes it.
    assert_eq!(daemon.stop(), Some(0));
    let output = init(&stage, &image, &[]);
    tells(&output, "not the first start of this boot: ");
    assert_eq!(written().unwrap(), text);

    stage.reboot(0).unwrap();
    run_folder(&stage);
    assert!(list(&stage).exists(), "it is on the disk");
    let output = init(&stage, &image, &[]);
    tells(&output, &format!("{FIRST}removed the earlier one's "));
    assert!(!list(&stage).exists());
    let daemon = stage.daemon(0, &here);
    let written = || fs::read_to_string(list(&stage));
    assert_eq!(eventually("it is written", PATIENCE, written), text);
    let output = init(&stage, &image, &[]);
    tells(&output, "not the first start of this boot: ");
    assert!(list(&stage).exists());
    drop(daemon);
}

#[test]
fn a_switch_from_another_daemon_while_pods_run_leaves_it_alone() {
    for trace in ["ipam.json", "ipamd.sock"] {
        let stage = Stage::one(&format!("wire/init-switch-{trace}"), "m5.large");
        let image = Image::new(&stage, "app", "one");
        let folder = run_folder(&stage);
        fs::write(folder.join(trace), "{}").unwrap();
        let text = fs::read_to_string(list(&stage)).unwrap();
        let output = init(&stage, &image, &[]);
        tells(
            &output,
            "a daemon was here in this boot (/var/run/aws-node/",
        );
        assert_eq!(fs::read_to_string(list(&stage)).unwrap(), text);
        let output = init(&stage, &image, &[]);
        tells(&output, "not the first start of this boot: ");
        assert_eq!(fs::read_to_string(list(&stage)).unwrap(), text);
    }
}

#[test]
fn without_the_daemons_directory_nothing_is_known_and_nothing_removed() {
    let stage = Stage::one("wire/init-no-folder", "m5.large");
    let image = Image::new(&stage, "app", "one");
    let output = init(&stage, &image, &[]);
    tells(
        &output,
        "no directory /var/run/aws-node, so this may be the same boot: ",
    );
    assert!(list(&stage).exists());
    assert!(!stage.node(0).root().join("run/aws-node").exists());
}
