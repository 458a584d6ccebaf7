//! The program as a runtime starts it, without a daemon and without privileges: only what ends before either is needed.

use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn start(variables: &[(&str, &str)], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_aws-cni"))
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the plugin");
    // A program that ends without reading is a broken pipe here, not a failure.
    let _ = child
        .stdin
        .take()
        .expect("piped")
        .write_all(stdin.as_bytes());
    child.wait_with_output().expect("wait for the plugin")
}

fn variables(command: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("CNI_COMMAND", command),
        ("CNI_CONTAINERID", "0abc"),
        ("CNI_NETNS", "/dev/null"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_PATH", "/opt/cni/bin"),
        ("CNI_ARGS", "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-1"),
    ]
}

fn config(version: &str) -> String {
    json!({"cniVersion": version, "name": "aws-cni", "type": "aws-cni"}).to_string()
}

/// Code and text of the error object; the exit code must be 1.
fn error(output: &Output) -> (u64, String) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let object: Value = serde_json::from_slice(&output.stdout).expect("an error object");
    (
        object["code"].as_u64().expect("a code"),
        object["msg"].as_str().expect("a text").to_owned(),
    )
}

#[test]
fn without_a_command_it_says_what_it_is_on_stderr() {
    let output = start(&[], "");
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), &b""[..])
    );
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(text.starts_with("AWS CNI "), "{text}");
    assert!(
        text.contains(
            "CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n"
        ),
        "{text}"
    );
}

#[test]
fn version_answers_on_stdout() {
    let output = start(&[("CNI_COMMAND", "VERSION")], "");
    assert_eq!(output.status.code(), Some(0));
    let expected = "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n";
    assert_eq!(String::from_utf8(output.stdout).expect("UTF-8"), expected);
}

#[test]
fn missing_variables_are_named() {
    let output = start(
        &[("CNI_COMMAND", "ADD"), ("CNI_PATH", "/opt/cni/bin")],
        &config("0.4.0"),
    );
    let expected = "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing";
    assert_eq!(error(&output), (4, expected.to_owned()));
}

#[test]
fn wrong_input_has_its_code() {
    let stdout =
        json!({"cniVersion": "0.4.0", "name": "aws-cni", "pluginLogFile": "stdout"}).to_string();
    for (command, stdin, code, says) in [
        ("FOO", config("0.4.0"), 4, "unknown CNI_COMMAND: FOO"),
        (
            "ADD",
            "{invalid-json}".to_owned(),
            6,
            "error unmarshall network config",
        ),
        ("DEL", String::new(), 6, "error unmarshall network config"),
        ("ADD", config("9.9.9"), 1, "incompatible CNI versions"),
        ("DEL", config("9.9.9"), 1, "incompatible CNI versions"),
        ("ADD", stdout, 7, "pluginLogFile"),
        (
            "ADD",
            config("0.4.0"),
            4,
            "/dev/null is not a network namespace",
        ),
        (
            "CHECK",
            config("0.3.1"),
            1,
            "config version does not allow CHECK",
        ),
    ] {
        let (actual, msg) = error(&start(&variables(command), &stdin));
        assert_eq!(actual, code, "{command}: {msg}");
        assert!(msg.contains(says), "{command}: {msg}");
    }
}

#[test]
fn an_add_without_cni_args_names_them() {
    let mut variables = variables("ADD");
    variables.retain(|(name, _)| *name != "CNI_ARGS");
    let (code, msg) = error(&start(&variables, &config("0.4.0")));
    assert!(
        code == 4 && msg.contains("CNI_ARGS has no K8S_POD_NAME"),
        "{code} {msg}"
    );
}

#[test]
fn a_check_succeeds_silently() {
    let output = start(&variables("CHECK"), &config("0.4.0"));
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), &b""[..])
    );
}
