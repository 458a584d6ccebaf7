//! Single calls of the plugin with any environment and any stdin, as no decent runtime would make them.
//! Must not: judge how they end.

use e2e::stage::{PLUGIN, Stage};
use lab::runtime::PLUGINS;
use lab::runtime::invocation::Invocation;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A configuration that is in order.
pub(crate) fn config() -> Value {
    json!({"cniVersion": "1.0.0", "name": "aws-cni", "type": PLUGIN, "vethPrefix": "eni", "mtu": "9001"})
}

/// The environment of an ADD that is in order, for a namespace.
pub(crate) fn environment(netns: &str) -> Vec<(String, String)> {
    [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "0badc0de"),
        ("CNI_NETNS", netns),
        ("CNI_IFNAME", "eth0"),
        ("CNI_PATH", PLUGINS),
        ("CNI_ARGS", "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// Calls the plugin on the first node.
pub(crate) fn call(stage: &Stage, environment: &[(String, String)], stdin: &str) -> Invocation {
    let mut command = Command::new(Path::new(PLUGINS).join(PLUGIN));
    command
        .env_clear()
        .envs(environment.iter().cloned())
        .current_dir("/");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = stage.node(0).run(|| command.spawn()).unwrap().unwrap();
    // A plugin that refuses the environment may end without reading.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let call = Invocation {
        exit: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        elapsed: began.elapsed(),
    };
    stage.evidence().call(stage.node(0).name(), "raw", &call);
    call
}

/// Code, message and details of the error object; a call that did not fail properly has none.
pub(crate) fn error(call: &Invocation) -> (u64, String) {
    assert_eq!(call.exit, Some(1), "{call:?}");
    assert!(!call.stderr.contains("panicked"), "{call:?}");
    let object = call
        .json()
        .unwrap_or_else(|| panic!("no error object: {call:?}"));
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let code = object["code"]
        .as_u64()
        .unwrap_or_else(|| panic!("no code: {call:?}"));
    (code, format!("{}; {}", text("msg"), text("details")))
}
