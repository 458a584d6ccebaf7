//! Logs that cannot be written: no request fails or waits for them. Must not: look at what is logged beyond where it goes.

use e2e::daemon::PATIENCE;
use e2e::expect::{eventually, when};
use e2e::stage::{Stage, conflist_text, spec};
use lab::runtime::conflist::Conflist;
use lab::runtime::sandbox::{DelWith, Sandbox};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const FOLDER: &str = "/var/log/aws-routed-eni";

fn on_node(stage: &Stage, command: &[&str]) {
    let run = || Command::new(command[0]).args(&command[1..]).output();
    let output = stage.node(0).run(run).unwrap().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn log(stage: &Stage, name: &str) -> PathBuf {
    stage.node(0).root().join(&FOLDER[1..]).join(name)
}

/// ADD and DEL with the plugin's log there; returns what both said on stderr.
fn called(stage: &Stage, name: &str, plugin_log: &str) -> String {
    let text = conflist_text("1.0.0").replace("/var/log/aws-routed-eni/plugin.log", plugin_log);
    let list = Conflist::parse(&text).unwrap();
    let mut sandbox = Sandbox::create(stage.node(0), list, spec(name)).unwrap();
    let add = stage.add(&mut sandbox);
    assert!(add.succeeded(), "{}", add.failure());
    let del = stage.del(&mut sandbox, DelWith::Netns);
    assert!(del.succeeded(), "{}", del.failure());
    sandbox.remove_netns().unwrap();
    let slowest = add.elapsed.max(del.elapsed);
    assert!(slowest < Duration::from_secs(5), "it waited: {slowest:?}");
    add.stderr + &del.stderr
}

#[test]
fn logs_on_a_full_disk_fail_no_request_and_go_on_when_space_returns() {
    let stage = Stage::one("netns/logs-full", "t3.small");
    on_node(&stage, &["mkdir", "-p", FOLDER]);
    on_node(
        &stage,
        &["mount", "-t", "tmpfs", "-o", "size=16k", "small", FOLDER],
    );
    fs::write(log(&stage, "filler"), [b'x'; 16 << 10]).unwrap();
    let ipamd_log = format!("{FOLDER}/ipamd.log");
    let daemon = stage.daemon(0, &[("AWS_VPC_K8S_CNI_LOG_FILE", &ipamd_log)]);
    let told = daemon.says(
        "the log file cannot be written; lines go to standard error",
        |_| true,
    );
    let error = format!("append to log {ipamd_log}: No space left on device (os error 28)");
    assert_eq!(told["error"], error.as_str());
    let said = called(&stage, "a", &format!("{FOLDER}/plugin.log"));
    let error =
        "plugin log: append to log /var/log/aws-routed-eni/plugin.log: No space left on device";
    assert!(said.contains(error), "{said}");
    assert!(
        said.contains("pod wired") && said.contains("pod deleted"),
        "{said}"
    );

    fs::remove_file(log(&stage, "filler")).unwrap();
    let said = called(&stage, "b", &format!("{FOLDER}/plugin.log"));
    assert_eq!(said, "");
    let plugin = fs::read_to_string(log(&stage, "plugin.log")).unwrap();
    assert_eq!(plugin.lines().count(), 2, "{plugin}");
    eventually("the daemon's log goes on", PATIENCE, || {
        let text = fs::read_to_string(log(&stage, "ipamd.log")).unwrap_or_default();
        when(text, |text| {
            text.contains("the log file can be written again")
                && text.contains("address released by a pod")
        })
    });
}

#[test]
fn logs_in_a_read_only_folder_a_folder_or_a_pipe_that_nobody_reads_fail_and_delay_no_request() {
    let stage = Stage::one("netns/logs-odd", "t3.small");
    on_node(&stage, &["mkdir", "-p", &format!("{FOLDER}/folder")]);
    on_node(&stage, &["mkfifo", &format!("{FOLDER}/pipe")]);
    on_node(&stage, &["mount", "--bind", FOLDER, FOLDER]);
    on_node(&stage, &["mount", "-o", "remount,bind,ro", FOLDER]);
    let ipamd_log = format!("{FOLDER}/pipe");
    let daemon = stage.daemon(0, &[("AWS_VPC_K8S_CNI_LOG_FILE", &ipamd_log)]);
    daemon.says(
        "the log file cannot be written; lines go to standard error",
        |_| true,
    );
    for (number, (file, why)) in [
        ("new.log", "Read-only file system"),
        ("folder", "Is a directory"),
        ("pipe", "No such device or address"),
        ("../../../dev/stdout", "symbolic links"),
    ]
    .into_iter()
    .enumerate()
    {
        let said = called(
            &stage,
            &format!("web-{number}"),
            &format!("{FOLDER}/{file}"),
        );
        assert!(
            said.contains(why) && said.contains("pod wired"),
            "{file}: {said}"
        );
    }
}
