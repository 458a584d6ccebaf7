//! The dispatcher with a plugin that only remembers that it was called.

use super::*;
use model::card::{DeviceIndex, RouteTable};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;

#[derive(Default)]
struct Recorder {
    calls: RefCell<Vec<(&'static str, Invocation)>>,
    failure: Option<CniError>,
}

impl Plugin for Recorder {
    fn about(&self) -> String {
        "AWS CNI 1".to_owned()
    }

    fn add(&self, call: &Invocation, netns: &Path) -> Result<AddResult, CniError> {
        self.calls.borrow_mut().push(("add", call.clone()));
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        Ok(AddResult {
            pod: call.args.pod.clone(),
            host_link: "eni0".into(),
            pod_link: call.ifname.clone(),
            netns: netns.display().to_string(),
            address: "10.0.1.121".parse().unwrap(),
            table: RouteTable(2),
            device: DeviceIndex(1),
        })
    }

    fn del(&self, call: &Invocation) -> Result<(), CniError> {
        self.calls.borrow_mut().push(("del", call.clone()));
        self.failure.clone().map_or(Ok(()), Err)
    }
}

fn environment(command: &str) -> BTreeMap<&'static str, OsString> {
    [
        ("CNI_COMMAND", command),
        ("CNI_CONTAINERID", "0abc"),
        ("CNI_NETNS", "/nonexistent/netns"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_PATH", "/opt/cni/bin"),
        (
            "CNI_ARGS",
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-1",
        ),
    ]
    .map(|(name, value)| (name, OsString::from(value)))
    .into()
}

fn config(version: &str) -> String {
    json!({"cniVersion": version, "name": "aws-cni", "type": "aws-cni"}).to_string()
}

fn call(plugin: &Recorder, variables: &BTreeMap<&'static str, OsString>, stdin: &str) -> Outcome {
    answer(
        plugin,
        &|name| variables.get(name).cloned(),
        &mut stdin.as_bytes(),
    )
}

/// Code and text of a call that must fail without reaching the plugin.
fn refused(variables: &BTreeMap<&'static str, OsString>, stdin: &str) -> (u64, String) {
    let plugin = Recorder::default();
    let outcome = call(&plugin, variables, stdin);
    assert!(outcome.failed, "{outcome:?}");
    assert_eq!(plugin.calls.borrow().len(), 0);
    let object: Value = serde_json::from_str(&outcome.stdout).unwrap();
    (
        object["code"].as_u64().unwrap(),
        object["msg"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn an_add_reaches_the_plugin_and_its_result_is_printed_in_the_configured_version() {
    let plugin = Recorder::default();
    let outcome = call(&plugin, &environment("ADD"), &config("1.0.0"));
    assert!(!outcome.failed, "{outcome:?}");
    assert!(
        outcome
            .stdout
            .starts_with("{\n    \"cniVersion\": \"1.0.0\""),
        "{}",
        outcome.stdout
    );
    assert!(!outcome.stdout.ends_with('\n'));
    let calls = plugin.calls.borrow();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].1.args.pod.to_string(), "default/web-1");
    assert_eq!(
        (calls[0].1.container.as_str(), calls[0].1.ifname.as_str()),
        ("0abc", "eth0")
    );
}

#[test]
fn a_delete_prints_nothing_and_needs_no_namespace() {
    let plugin = Recorder::default();
    let mut variables = environment("DEL");
    variables.remove("CNI_NETNS");
    assert_eq!(
        call(&plugin, &variables, &config("0.4.0")),
        Outcome::default()
    );
    assert_eq!(plugin.calls.borrow()[0].1.netns, None);
}

#[test]
fn a_failure_of_the_plugin_is_the_error_object_and_exit_code_1() {
    let plugin = Recorder {
        failure: Some(CniError::new(Code::TryAgain, "later")),
        ..Recorder::default()
    };
    for verb in ["ADD", "DEL"] {
        let outcome = call(&plugin, &environment(verb), &config("0.4.0"));
        assert_eq!(
            outcome.stdout,
            "{\n    \"code\": 11,\n    \"msg\": \"later\"\n}"
        );
        assert!(outcome.failed);
    }
}

#[test]
fn version_is_one_line_and_stdin_is_not_read() {
    struct Unreadable;
    impl Read for Unreadable {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            panic!("stdin was read")
        }
    }
    let outcome = answer(
        &Recorder::default(),
        &|name| (name == "CNI_COMMAND").then(|| "VERSION".into()),
        &mut Unreadable,
    );
    let expected = "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n";
    assert_eq!(
        outcome,
        Outcome {
            stdout: expected.to_owned(),
            ..Outcome::default()
        }
    );
}

#[test]
fn a_person_without_a_command_is_told_what_this_is() {
    let outcome = answer(&Recorder::default(), &|_| None, &mut std::io::empty());
    assert_eq!(
        outcome.stderr,
        "AWS CNI 1\nCNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n"
    );
    assert_eq!((outcome.stdout.as_str(), outcome.failed), ("", false));
}

#[test]
fn every_missing_variable_is_named_at_once() {
    for (verb, missing) in [
        ("ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"),
        ("CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"),
        ("DEL", "CNI_CONTAINERID,CNI_IFNAME,CNI_PATH"),
        ("GC", "CNI_PATH"),
        ("STATUS", "CNI_PATH"),
    ] {
        let variables = BTreeMap::from([
            ("CNI_COMMAND", OsString::from(verb)),
            ("CNI_PATH", OsString::new()),
        ]);
        let expected = (4, format!("required env variables [{missing}] missing"));
        assert_eq!(refused(&variables, &config("1.1.0")), expected, "{verb}");
    }
}

#[test]
fn wrong_input_is_refused_with_its_code_before_the_plugin_is_called() {
    let with = |name: &'static str, value: &str| {
        let mut variables = environment("ADD");
        variables.insert(name, value.into());
        variables
    };
    let good = config("0.4.0");
    let long_prefix =
        json!({"cniVersion": "0.4.0", "name": "aws-cni", "vethPrefix": "abcde"}).to_string();
    for (variables, stdin, code, says) in [
        (
            environment("FOO"),
            good.as_str(),
            4,
            "unknown CNI_COMMAND: FOO",
        ),
        (environment("add"), &good, 4, "unknown CNI_COMMAND: add"),
        (
            with("CNI_CONTAINERID", "a b"),
            &good,
            4,
            "invalid characters in CNI_CONTAINERID",
        ),
        (with("CNI_IFNAME", "abcdefghijklmnop"), &good, 4, "too long"),
        (with("CNI_IFNAME", ".."), &good, 4, "is . or .."),
        (with("CNI_IFNAME", "a:b"), &good, 4, "contains"),
        (
            with("CNI_ARGS", "K8S_POD_NAME"),
            &good,
            4,
            "ARGS: invalid pair \"K8S_POD_NAME\"",
        ),
        (
            with("CNI_ARGS", "FOO=1"),
            &good,
            4,
            "ARGS: unknown args [\"FOO=1\"]",
        ),
        (environment("ADD"), "", 6, "error unmarshall network config"),
        (
            environment("DEL"),
            "{invalid-json}",
            6,
            "error unmarshall network config",
        ),
        (environment("ADD"), "{}", 7, "missing network name"),
        (environment("DEL"), &long_prefix, 7, "at most 4 characters"),
        (
            environment("ADD"),
            &config("9.9.9"),
            1,
            "incompatible CNI versions",
        ),
        (
            environment("DEL"),
            &config("9.9.9"),
            1,
            "incompatible CNI versions",
        ),
        (
            environment("CHECK"),
            &config("0.3.1"),
            1,
            "config version does not allow CHECK",
        ),
        (
            environment("GC"),
            &config("1.0.0"),
            1,
            "config version does not allow GC",
        ),
        (
            environment("STATUS"),
            &config("1.0.0"),
            1,
            "config version does not allow STATUS",
        ),
    ] {
        let (actual, msg) = refused(&variables, stdin);
        assert_eq!(actual, code, "{msg}");
        assert!(msg.contains(says), "{msg}");
    }
}

#[test]
fn a_variable_that_is_no_text_is_named() {
    use std::os::unix::ffi::OsStringExt;
    let mut variables = environment("ADD");
    variables.insert("CNI_NETNS", OsString::from_vec(vec![b'/', 0xff]));
    let (code, msg) = refused(&variables, &config("0.4.0"));
    assert!(code == 4 && msg.contains("CNI_NETNS is not UTF-8"), "{msg}");
}

#[test]
fn stdin_that_cannot_be_read_is_code_5() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
    }
    let variables = environment("ADD");
    let outcome = answer(
        &Recorder::default(),
        &|name| variables.get(name).cloned(),
        &mut Broken,
    );
    assert!(
        outcome.stdout.contains("\"code\": 5") && outcome.stdout.contains("gone"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn the_hosts_own_namespace_is_refused_before_an_add_and_after_a_delete() {
    let own = |verb| {
        let mut variables = environment(verb);
        variables.insert("CNI_NETNS", "/proc/self/ns/net".into());
        variables
    };
    let plugin = Recorder::default();
    for (verb, calls) in [("ADD", 0), ("DEL", 1)] {
        let outcome = call(&plugin, &own(verb), &config("0.4.0"));
        assert!(
            outcome.failed && outcome.stdout.contains("\"code\": 8"),
            "{}",
            outcome.stdout
        );
        assert_eq!(plugin.calls.borrow().len(), calls, "{verb}");
    }
    for flag in ["1", "true", "TRUE"] {
        let mut variables = own("ADD");
        variables.insert("CNI_NETNS_OVERRIDE", flag.into());
        assert!(
            !call(&plugin, &variables, &config("0.4.0")).failed,
            "{flag}"
        );
    }
}

#[test]
fn verbs_that_do_nothing_yet_succeed_silently_from_their_version_on() {
    for (verb, version) in [
        ("CHECK", "0.4.0"),
        ("CHECK", "1.1.0"),
        ("GC", "1.1.0"),
        ("STATUS", "1.1.0"),
    ] {
        assert_eq!(
            call(&Recorder::default(), &environment(verb), &config(version)),
            Outcome::default(),
            "{verb}"
        );
    }
}

proptest! {
    #[test]
    fn arbitrary_stdin_is_answered_with_an_error_object(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let variables = environment("ADD");
        let outcome = answer(&Recorder::default(), &|name| variables.get(name).cloned(), &mut bytes.as_slice());
        let object: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let decodes = serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes).is_ok();
        prop_assert!(outcome.failed && (object["code"] == 6 || decodes), "{}", outcome.stdout);
    }
}
