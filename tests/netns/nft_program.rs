//! The program `nft` is not there, or is another version than the one we know: the daemon serves pods, says so, and writes
//! no more than it must.

use crate::nat::{AS_DESIRED, WRITTEN, pods, table_with};
use e2e::daemon::PATIENCE;
use e2e::expect::{eventually, when};
use e2e::filter::{Filter, Handles, TABLE};
use e2e::stage::Stage;
use e2e::traffic::reaches;
use lab::node::Node;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// Where the daemon finds it first.
const NFT: &str = "/usr/sbin/nft";
/// Shows one operator in another word; what is written passes.
const OTHER_VERSION: &str =
    "#!/bin/sh\n/run/nft \"$@\" | sed 's/\"op\": *\"in\"/\"op\": \"==\"/g'\n";

/// Once armed, another program changes the table just after the daemon looked at what it has written.
const MEDDLER: &str = "#!/bin/sh
/run/nft \"$@\"; code=$?
case \"$*\" in
*' -f -') [ -e /run/armed ] && mv /run/armed /run/meddle ;;
*' list table '*) [ -e /run/meddle ] && rm /run/meddle && /run/nft flush chain ip aws-vpc-node departures ;;
esac
exit $code
";

/// Puts a script in the place of `nft`, which moves to `/run/nft`.
fn replace_nft(node: &Node, text: &str) {
    command(node, &["cp", NFT, "/run/nft"]);
    let script = node.root().join("run/other-nft");
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    command(node, &["mount", "--bind", "/run/other-nft", NFT]);
}

/// Runs a command on the node.
fn command(node: &Node, line: &[&str]) {
    node.run(|| lab::command::run(line, "")).unwrap().unwrap();
}

#[test]
fn without_nft_pods_are_served_the_lack_is_named_and_the_table_comes_when_it_can() {
    let stage = Stage::one("netns/nft-without", "t3.nano");
    let node = stage.node(0);
    command(node, &["mount", "--bind", "/dev/null", NFT]);
    let daemon = stage.daemon(0, &[]);
    let [first, second] = pods(&stage);
    reaches(&first, second.address, 1);
    let told = daemon.says("host network is not as desired; trying again", |line| {
        line["error"]
            .as_str()
            .is_some_and(|error| error.contains("nft"))
    });
    assert_eq!(told["level"], "warn");
    assert!(
        told["error"]
            .as_str()
            .unwrap()
            .starts_with("address translation: "),
        "{told}"
    );
    command(node, &["umount", NFT]);
    table_with(node, "\"ens6\"");
}

#[test]
fn a_version_of_nft_that_shows_rules_in_other_words_is_no_reason_to_write_again() {
    let stage = Stage::one("netns/nft-version", "t3.nano");
    let node = stage.node(0);
    replace_nft(node, OTHER_VERSION);
    let daemon = stage.daemon(0, &[]);
    let _pods = pods(&stage);
    stage.settle(0, &daemon, 2);
    table_with(node, "\"ens6\"");
    // Somebody else's transaction makes the daemon compare; one that meets the daemon's own makes it write once more.
    let compared = |name: &str| {
        let before = daemon.lines(AS_DESIRED).len();
        let compares = |attempt: u32| {
            let name = format!("{name}-{attempt}");
            command(node, &["/run/nft", "add", "table", "ip", &name]);
            (0..500).any(|_| {
                std::thread::park_timeout(Duration::from_millis(10));
                daemon.lines(AS_DESIRED).len() > before
            })
        };
        assert!((0..5).any(compares), "the daemon doesn't compare");
    };
    compared("other");
    let written = daemon.lines(WRITTEN).len();
    let table = node.table(TABLE, Handles::Shown);
    ["one", "two"].iter().for_each(|name| compared(name));
    assert_eq!(daemon.lines(WRITTEN).len(), written);
    assert_eq!(node.table(TABLE, Handles::Shown), table);
    // A change is seen all the same.
    command(
        node,
        &["/run/nft", "flush", "chain", "ip", TABLE, "departures"],
    );
    table_with(node, "snat to");
}

#[test]
fn a_change_made_while_the_daemon_looks_at_what_it_wrote_is_repaired() {
    let stage = Stage::one("netns/nft-meddler", "t3.nano");
    let node = stage.node(0);
    replace_nft(node, MEDDLER);
    let daemon = stage.daemon(0, &[]);
    let _pods = pods(&stage);
    stage.settle(0, &daemon, 2);
    table_with(node, "\"ens6\"");
    let in_run = |name: &str| node.root().join("run").join(name);
    fs::write(in_run("armed"), "").unwrap();
    command(node, &["/run/nft", "flush", "chain", "ip", TABLE, "pods"]);
    eventually("another program has meddled", PATIENCE, || {
        let waits = ["armed", "meddle"].map(|name| in_run(name).exists());
        when(waits, |waits| *waits == [false; 2])
    });
    eventually("the table is whole again", PATIENCE, || {
        let table = node.table(TABLE, Handles::Hidden).unwrap_or_default();
        when(table, |table| {
            table.contains("snat to") && table.contains("@direct fib")
        })
    });
}
