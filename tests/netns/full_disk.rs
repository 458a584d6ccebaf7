//! The node's own folder is full, read-only or broken: what is refused says so, what ends succeeds, nothing is doubled.
//! Must not: reach a state that a real disk doesn't.

use e2e::daemon::{Daemon, PATIENCE};
use e2e::expect::{eventually, when};
use e2e::stage::{Stage, conflist_text, spec};
use e2e::traffic::reaches;
use lab::runtime::conflist::Conflist;
use lab::runtime::pod::Pod;
use lab::runtime::sandbox::{DelWith, Sandbox};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The daemon's folder as the node sees it.
const FOLDER: &str = "/run/aws-node";
const UNWRITABLE: &str = "a state file cannot be written";
const FULL: &str = "ipam.json.tmp: No space left on device (os error 28)";

/// Runs a program of the machine on the first node.
fn on_node(stage: &Stage, command: &[&str]) {
    let run = || Command::new(command[0]).args(&command[1..]).output();
    let output = stage.node(0).run(run).unwrap().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// A file below the daemon's folder, as seen from outside the node.
fn file(stage: &Stage, name: &str) -> PathBuf {
    stage.node(0).root().join("run/aws-node").join(name)
}

/// Gives the daemon's folder a small disk of its own.
fn small_disk(stage: &Stage) {
    on_node(stage, &["mkdir", "-p", FOLDER]);
    on_node(
        stage,
        &["mount", "-t", "tmpfs", "-o", "size=64k", "small", FOLDER],
    );
}

/// Fills the disk to the last byte.
fn fill(stage: &Stage) {
    let mut filler = File::create(file(stage, "filler")).unwrap();
    let error = std::iter::repeat_with(|| filler.write_all(&[b'x'; 512]))
        .find_map(Result::err)
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

fn make_room(stage: &Stage) {
    fs::remove_file(file(stage, "filler")).unwrap();
}

/// A sandbox whose ADD gives up after the shortest time that may be configured.
fn hasty<'s>(stage: &'s Stage, name: &str) -> Sandbox<'s> {
    let text = conflist_text("1.0.0").replace(r#""mtu""#, r#""addTimeoutSeconds":5,"mtu""#);
    let list = Conflist::parse(&text).unwrap();
    Sandbox::create(stage.node(0), list, spec(name)).unwrap()
}

/// An ADD that must be refused with this text.
fn refused(stage: &Stage, name: &str, why: &str) {
    let mut sandbox = hasty(stage, name);
    let call = stage.add(&mut sandbox);
    let failure = call.failure();
    let expected = format!("checkpoint cannot be written: {why}");
    let expected = expected.replace("ipam.json", "/var/run/aws-node/ipam.json");
    assert!(failure.starts_with("code 11: "), "{failure}");
    assert!(failure.contains(&expected), "{failure}, not {expected}");
    let calls = sandbox.del(DelWith::Netns).unwrap();
    assert!(calls[0].succeeded(), "{}", calls[0].failure());
    sandbox.remove_netns().unwrap();
}

/// Addresses that the checkpoint on disk gives to pods.
fn held(stage: &Stage) -> BTreeSet<Ipv4Addr> {
    let text = fs::read_to_string(file(stage, "ipam.json")).unwrap_or_default();
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let entries = value["allocations"].as_array().cloned();
    let addresses = entries.unwrap_or_default().into_iter();
    addresses
        .map(|entry| entry["ipv4"].as_str().unwrap().parse().unwrap())
        .collect()
}

fn addresses(pods: &[&Pod<'_>]) -> BTreeSet<Ipv4Addr> {
    let all: BTreeSet<_> = pods.iter().map(|pod| pod.address).collect();
    assert_eq!(all.len(), pods.len(), "an address is held twice: {all:?}");
    all
}

fn eventually_held(stage: &Stage, pods: &[&Pod<'_>]) {
    let wanted = addresses(pods);
    eventually("the checkpoint names the pods", PATIENCE, || {
        when(held(stage), |held| *held == wanted)
    });
}

/// A stage with a small disk, and a daemon there.
fn prepared(test: &str) -> (Stage, Daemon) {
    let stage = Stage::one(test, "t3.medium");
    small_disk(&stage);
    let daemon = stage.daemon(0, &[]);
    (stage, daemon)
}

#[test]
fn a_full_disk_refuses_adds_with_path_and_errno_while_dels_succeed_and_nothing_is_lost_or_doubled()
{
    let (stage, daemon) = prepared("netns/full-disk");
    let (a, b) = (stage.pod(0, "a"), stage.pod(0, "b"));
    stage.settle(0, &daemon, 2);
    fill(&stage);
    refused(&stage, "c", &format!("write {FULL}"));
    let old = a.address;
    stage.stop(a);
    refused(&stage, "d", &format!("write {FULL}"));
    assert_eq!(
        held(&stage),
        [old, b.address].into(),
        "the old file is whole"
    );
    assert!(
        !file(&stage, "ipam.json.tmp").exists(),
        "no leftover takes space"
    );
    let told = daemon.says(UNWRITABLE, |_| true);
    assert!(told["error"].as_str().unwrap().ends_with(FULL), "{told}");

    make_room(&stage);
    let (c, d) = (stage.pod(0, "c"), stage.pod(0, "d"));
    assert!(![c.address, d.address].contains(&old), "it still cools");
    eventually_held(&stage, &[&b, &c, &d]);
    reaches(&c, b.address, 1);
    reaches(&d, c.address, 1);
}

#[test]
fn a_daemon_that_restarts_on_a_full_disk_goes_on_there_and_doubles_nothing_after_space_returns() {
    let (stage, daemon) = prepared("netns/full-disk-restart");
    let (a, b) = (stage.pod(0, "a"), stage.pod(0, "b"));
    stage.settle(0, &daemon, 2);
    fill(&stage);
    let old = a.address;
    stage.stop(a);
    daemon.kill();
    let daemon = stage.daemon(0, &[]);
    // The release of `a` never reached the disk: it is taken over once more, which is the safe mistake.
    assert_eq!(daemon.serves()["restored"], 2);
    refused(&stage, "c", &format!("write {FULL}"));

    make_room(&stage);
    let (c, d) = (stage.pod(0, "c"), stage.pod(0, "d"));
    addresses(&[&b, &c, &d]);
    assert!(
        ![c.address, d.address].contains(&old),
        "nobody knows that it is free"
    );
    reaches(&c, b.address, 1);
    stage.stop(b);
    eventually("the checkpoint names the pods", PATIENCE, || {
        when(held(&stage), |held| {
            *held == [old, c.address, d.address].into()
        })
    });
}

#[test]
fn a_read_only_folder_refuses_adds_by_name_and_a_daemon_that_restarts_there_waits_for_it() {
    let (stage, daemon) = prepared("netns/read-only");
    let a = stage.pod(0, "a");
    stage.settle(0, &daemon, 2);
    // As a read-only mount; the disk itself cannot become read-only while the daemon holds its lock.
    on_node(&stage, &["mount", "--bind", FOLDER, FOLDER]);
    let read_only = |on: &str| {
        let options = format!("remount,bind,{on}");
        on_node(&stage, &["mount", "-o", &options, FOLDER]);
    };
    read_only("ro");
    let why = "create ipam.json.tmp: Read-only file system (os error 30)";
    refused(&stage, "b", why);
    daemon.kill();

    let daemon = stage.launch(0, &[]);
    let lock = "/var/run/aws-node/ipamd.lock: Read-only file system (os error 30)";
    let named = |line: &serde_json::Value| {
        let what = line["waiting_for"].as_str();
        what.is_some_and(|what| what.contains(lock))
    };
    daemon.says("start-up still waits", named);
    read_only("rw");
    assert_eq!(daemon.serves()["restored"], 1);
    let b = stage.pod(0, "b");
    eventually_held(&stage, &[&a, &b]);
    reaches(&b, a.address, 1);
}

/// Makes every fsync of a process fail until dropped.
struct BrokenDisk(Child);

impl BrokenDisk {
    fn under(daemon: &Daemon) -> Self {
        let pid = daemon.pid().to_string();
        let mut child = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-p", &pid])
            .args(["-e", "trace=fsync", "-e", "inject=fsync:error=EIO"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the daemon is traced", PATIENCE, || {
            assert_eq!(child.try_wait().unwrap(), None, "strace cannot attach");
            let all_traced = threads(&pid).all(|status| !status.contains("TracerPid:\t0\n"));
            when(all_traced, |traced| *traced)
        });
        Self(child)
    }
}

fn threads(pid: &str) -> impl Iterator<Item = String> {
    let tasks = fs::read_dir(Path::new("/proc").join(pid).join("task")).unwrap();
    tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap())
}

impl Drop for BrokenDisk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_broken_disk_refuses_adds_by_name_until_it_works_again() {
    let (stage, daemon) = prepared("netns/broken-disk");
    let a = stage.pod(0, "a");
    stage.settle(0, &daemon, 2);
    let broken = BrokenDisk::under(&daemon);
    let why = "fsync ipam.json.tmp: Input/output error (os error 5)";
    refused(&stage, "b", why);
    drop(broken);
    let b = stage.pod(0, "b");
    eventually_held(&stage, &[&a, &b]);
    assert!(!file(&stage, "ipam.json.tmp").exists());
}

#[test]
fn a_journal_that_cannot_be_written_sends_no_mutation_while_warm_addresses_are_handed_out() {
    let stage = Stage::one("netns/journal-blocked", "t3.medium");
    let daemon = stage.daemon(0, &[("WARM_IP_TARGET", "2"), ("MINIMUM_IP_TARGET", "2")]);
    stage.settle(0, &daemon, 1);
    let total = || -> usize { stage.enis(0).iter().map(|eni| eni.addresses.len()).sum() };
    eventually("two addresses are warm", PATIENCE, || {
        when(total(), |total| *total == 3)
    });
    // Something in the way that no new file replaces: only the journal is hit.
    let blocked = file(&stage, "intents.json.tmp/full");
    fs::create_dir_all(&blocked).unwrap();
    let mutations = || stage.journal().records().len();
    let before = mutations();
    let (a, b) = (stage.pod(0, "a"), stage.pod(0, "b"));
    let told = daemon.says(UNWRITABLE, |_| true);
    let error = told["error"].as_str().unwrap();
    assert!(
        error.contains("/var/run/aws-node/intents.json.tmp"),
        "{told}"
    );
    let mut third = hasty(&stage, "c");
    let call = stage.add(&mut third);
    assert!(
        call.failure().starts_with("code 11: "),
        "{}",
        call.failure()
    );
    assert!(
        call.failure().contains("intents.json.tmp"),
        "{}",
        call.failure()
    );
    assert_eq!(
        (mutations(), total()),
        (before, 3),
        "EC2 was asked for more"
    );

    fs::remove_dir_all(file(&stage, "intents.json.tmp")).unwrap();
    let c = stage.pod(0, "c");
    eventually_held(&stage, &[&a, &b, &c]);
}
