//! State files of another boot, cut off or overwritten: the daemon says so, sets them aside and serves.
//! Must not: wire pods.

use crate::grpc;
use e2e::daemon::Daemon;
use e2e::stage::Stage;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const FOLDER: &str = "run/aws-node";
const SET_ASIDE: &str = "a state file cannot be used";

fn folder(stage: &Stage) -> PathBuf {
    stage.node(0).root().join(FOLDER)
}

/// The address that the daemon gives a pod.
fn address(daemon: &Daemon, pod: &str) -> String {
    let reply = grpc::add(daemon, pod, Duration::from_secs(20)).unwrap();
    reply.ip_allocation_metadata[0].i_pv4_addr.clone()
}

#[test]
fn t20_a_checkpoint_of_an_earlier_boot_is_ignored_entry_by_entry() {
    let stage = Stage::one("wire/earlier-boot", "t3.small");
    let daemon = stage.daemon(0, &[]);
    let (a, b) = (address(&daemon, "a"), address(&daemon, "b"));
    daemon.kill();
    let path = folder(&stage).join("ipam.json");
    let mut checkpoint: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let this_boot = checkpoint["extension"]["bootId"].take();
    assert_eq!(this_boot.as_str().unwrap().len(), 36);
    checkpoint["extension"]["bootId"] = "00000000-0000-4000-8000-000000000000".into();
    fs::write(&path, checkpoint.to_string()).unwrap();

    let daemon = stage.daemon(0, &[]);
    assert_eq!(daemon.serves()["restored"], 0);
    let dropped = daemon.lines("restored entry not taken over");
    let mut addresses: Vec<_> = dropped
        .iter()
        .map(|line| line["address"].as_str())
        .collect();
    addresses.sort_unstable();
    let mut expected = [Some(a.as_str()), Some(&b)];
    expected.sort_unstable();
    assert_eq!(addresses, expected);
    assert!(
        dropped
            .iter()
            .all(|line| line["why"].as_str().unwrap().contains("rebooted"))
    );
    assert_eq!(daemon.lines(SET_ASIDE).len(), 0, "it is no broken file");
}

#[test]
fn t20_no_content_of_the_state_files_keeps_the_daemon_from_serving() {
    let stage = Stage::one("wire/state-files", "t3.small");
    let daemon = stage.daemon(0, &[]);
    let first = address(&daemon, "a");
    daemon.kill();
    let whole = fs::read(folder(&stage).join("ipam.json")).unwrap();
    let cut = &whole[..whole.len() / 2];
    let names = ["ipam.json", "intents.json"];
    let contents: [&[u8]; 6] = [
        b"",
        cut,
        b"\0\xff\xfe garbage \x80",
        b"null",
        b"{\"version\":\"vpc-cni-ipam/99\"}",
        &[b'['; 100_000],
    ];
    for (number, content) in contents.into_iter().enumerate() {
        for name in names {
            fs::write(folder(&stage).join(name), content).unwrap();
        }
        let daemon = stage.daemon(0, &[]);
        assert_eq!(
            daemon.lines(SET_ASIDE).len(),
            names.len(),
            "content {number}"
        );
        for name in names {
            let aside = folder(&stage).join(format!("{name}.corrupt-{}", number + 1));
            assert_eq!(fs::read(aside).unwrap(), content, "content {number}");
        }
        assert_eq!(
            address(&daemon, "a"),
            first,
            "the lowest address is free again"
        );
        daemon.kill();
    }
    for name in names {
        let _ = fs::remove_file(folder(&stage).join(name));
        fs::create_dir(folder(&stage).join(name)).unwrap();
    }
    let daemon = stage.daemon(0, &[]);
    assert_eq!(
        daemon.lines(SET_ASIDE).len(),
        names.len(),
        "a folder in its place"
    );
    assert_eq!(address(&daemon, "a"), first);
}
