//! The log file, through the plugin.

use super::fixture::{FakeKernel, Running, Script, granted, invocation, released};
use cni::dispatch::Plugin;
use cni::error::CniError;
use serde_json::{Value, json};
use std::path::Path;
use tonic::Status;

fn running() -> Running {
    Running::with(Script {
        adds: [Ok(granted())].into(),
        dels: [Ok(released())].into(),
        ..Script::default()
    })
}

#[test]
fn every_call_is_one_line_of_json() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log/plugin.log");
    let call = invocation(json!({"pluginLogFile": file, "pluginLogLevel": "info"}));
    let running = running();
    let plugin = running.plugin(FakeKernel::default());
    plugin.add(&call, Path::new("/run/netns/x")).unwrap();
    plugin.del(&call).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(
        (&lines[0]["msg"], &lines[1]["msg"]),
        (&json!("pod wired"), &json!("pod deleted"))
    );
    for line in &lines {
        assert_eq!(
            (&line["level"], &line["pod"]),
            (&json!("info"), &json!("default/web-1"))
        );
        assert_eq!(
            (&line["containerId"], &line["addresses"]),
            (&json!("0abc"), &json!(["10.0.1.121"]))
        );
        assert!(
            line["ts"].as_str().unwrap().ends_with('Z') && line["tookMs"].is_u64(),
            "{line}"
        );
    }
}

#[test]
fn a_failed_call_is_logged_with_its_code_and_a_quiet_level_leaves_the_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plugin.log");
    let call = invocation(json!({"pluginLogFile": file, "pluginLogLevel": "error"}));
    let adds = [Ok(granted()), Err(Status::permission_denied("no"))].into();
    let running = Running::with(Script {
        adds,
        ..Script::default()
    });
    let plugin = running.plugin(FakeKernel::default());
    let add = || -> Result<_, CniError> { plugin.add(&call, Path::new("/run/netns/x")) };
    add().unwrap();
    assert!(!file.exists());
    let error = add().unwrap_err();
    let line: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(
        (&line["level"], &line["code"]),
        (&json!("error"), &json!(error.code.number()))
    );
    assert!(
        line["error"].as_str().unwrap().contains(&error.msg),
        "{line}"
    );
}

#[test]
fn a_log_that_cannot_be_written_fails_no_call() {
    let folder = tempfile::tempdir().unwrap();
    let call = invocation(json!({"pluginLogFile": folder.path(), "pluginLogLevel": "debug"}));
    let running = running();
    let plugin = running.plugin(FakeKernel::default());
    assert!(plugin.add(&call, Path::new("/run/netns/x")).is_ok());
    assert!(plugin.del(&call).is_ok());
}
