//! Tables over the fields, and arbitrary input.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn parse(value: &Value) -> Result<NetworkConfig, CniError> {
    Ok(Document::parse(value.to_string().as_bytes())?.network_config()?)
}

fn with(field: &str, value: Value) -> Result<NetworkConfig, CniError> {
    let mut config = json!({"cniVersion": "0.4.0", "name": "aws-cni", "type": "aws-cni"});
    config
        .as_object_mut()
        .unwrap()
        .insert(field.to_owned(), value);
    parse(&config)
}

#[test]
fn a_bare_configuration_has_upstreams_defaults() {
    let config = with("type", json!("aws-cni")).unwrap();
    assert_eq!(
        config,
        NetworkConfig {
            version: CniVersion::V0_4_0,
            network: "aws-cni".into(),
            veth_prefix: "eni".into(),
            mtu: 9001,
            log_target: LogTarget::Stderr,
            log_level: LogLevel::Debug,
            add_timeout: Duration::from_secs(90),
            wants_every_card: false,
            previous: None,
        }
    );
}

#[test]
fn a_configuration_of_the_field_is_understood_whatever_the_case_of_its_names() {
    let config = parse(&json!({
        "CNIVersion": "1.0.0", "NAME": "aws-cni", "Type": "aws-cni", "vethprefix": "abcd", "MTU": "8000",
        "pluginlogfile": "/var/log/aws-routed-eni/plugin.log", "PluginLogLevel": "WARN", "podSGEnforcingMode": "strict",
        "capabilities": {"io.kubernetes.cri.pod-annotations": true}, "runtimeConfig": {"x": 1}, "addTimeoutSeconds": "60"
    }))
    .unwrap();
    assert_eq!(config.version, CniVersion::V1_0_0);
    assert_eq!((config.veth_prefix.as_str(), config.mtu), ("abcd", 8000));
    assert_eq!(
        config.log_target,
        LogTarget::File("/var/log/aws-routed-eni/plugin.log".into())
    );
    assert_eq!(
        (config.log_level, config.add_timeout),
        (LogLevel::Warn, Duration::from_secs(60))
    );
}

#[test]
fn a_pod_asks_for_every_card_by_one_annotation_with_one_value() {
    for (annotation, wanted) in [("multi-nic-attachment", true), ("all", false), ("", false)] {
        let annotations = json!({"k8s.amazonaws.com/nicConfig": annotation});
        let config = with(
            "runtimeConfig",
            json!({"io.kubernetes.cri.pod-annotations": annotations}),
        )
        .unwrap();
        assert_eq!(config.wants_every_card, wanted, "{annotation}");
    }
}

#[test]
fn an_mtu_is_a_text_or_a_number_and_falls_back_to_the_largest() {
    for (value, mtu) in [
        (json!("1500"), 1500),
        (json!(1500), 1500),
        (json!("576"), 576),
        (json!(9001), 9001),
        (json!("8000"), 8000),
        (json!("abc"), 9001),
        (json!("500"), 9001),
        (json!(10000), 9001),
        (json!(-1), 9001),
        (json!(1500.5), 9001),
        (json!(""), 9001),
        (json!(u64::MAX), 9001),
        (json!(null), 9001),
    ] {
        assert_eq!(with("mtu", value.clone()).unwrap().mtu, mtu, "{value}");
    }
    assert_eq!(with("mtu", json!(true)).unwrap_err().code, Code::Config);
}

#[test]
fn a_wrong_field_is_a_configuration_error_that_names_it() {
    for (field, value, says) in [
        ("vethPrefix", json!("abcde"), "at most 4 characters"),
        ("vethPrefix", json!("a/b"), "link's name"),
        ("vethPrefix", json!("a b"), "link's name"),
        ("vethPrefix", json!(7), "a text"),
        (
            "pluginLogFile",
            json!("stdout"),
            "stdout carries the CNI result",
        ),
        ("pluginLogLevel", json!([]), "a text"),
        ("addTimeoutSeconds", json!(4), "from 5 to 200"),
        ("addTimeoutSeconds", json!("201"), "from 5 to 200"),
        ("addTimeoutSeconds", json!("soon"), "from 5 to 200"),
        ("addTimeoutSeconds", json!(true), "from 5 to 200"),
    ] {
        let error = with(field, value.clone()).unwrap_err();
        assert_eq!(error.code, Code::Config, "{field}={value}");
        assert!(
            error.msg.contains(field) && error.msg.contains(says),
            "{error}"
        );
    }
    assert_eq!(with("vethPrefix", json!("")).unwrap().veth_prefix, "");
}

#[test]
fn a_name_is_needed_and_has_nothing_strange_in_it() {
    for name in [json!(""), json!(null)] {
        let error = with("name", name).unwrap_err();
        assert_eq!(
            (error.code, error.msg.as_str()),
            (Code::Config, "missing network name")
        );
    }
    for name in ["a b", "-a", "a/b", "ä", ".a"] {
        assert_eq!(
            with("name", json!(name)).unwrap_err().code,
            Code::Config,
            "{name}"
        );
    }
}

#[test]
fn an_unknown_version_is_refused_in_upstreams_words() {
    let error = with("cniVersion", json!("9.9.9")).unwrap_err();
    assert_eq!(
        (error.code, error.msg.as_str()),
        (Code::IncompatibleVersion, "incompatible CNI versions")
    );
    assert_eq!(
        error.details,
        "config is \"9.9.9\", plugin supports [\"0.1.0\" \"0.2.0\" \"0.3.0\" \"0.3.1\" \"0.4.0\" \"1.0.0\" \"1.1.0\"]"
    );
    assert_eq!(
        with("cniVersion", json!("")).unwrap().version,
        CniVersion::V0_1_0
    );
    assert_eq!(
        with("cniVersion", json!("1.0")).unwrap_err().code,
        Code::IncompatibleVersion
    );
}

#[test]
fn what_is_not_an_object_is_a_decoding_error() {
    for text in [
        "",
        "{invalid-json}",
        "[]",
        "5",
        "\"x\"",
        "{",
        "{}}",
        "\u{feff}{}",
    ] {
        let error = CniError::from(Document::parse(text.as_bytes()).unwrap_err());
        assert_eq!(error.code, Code::Decode, "{text}");
        assert!(
            error.msg.starts_with("error unmarshall network config: "),
            "{error}"
        );
    }
}

#[test]
fn a_broken_previous_result_does_not_break_the_configuration() {
    for broken in [
        json!("x"),
        json!([]),
        json!({"interfaces": 1}),
        json!({"ips": [{"address": "x"}]}),
    ] {
        let config = with("prevResult", broken.clone()).unwrap();
        assert!(config.previous.unwrap().is_err(), "{broken}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_a_decoding_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        match Document::parse(&bytes) {
            Ok(_) => prop_assert!(serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes).is_ok()),
            Err(error) => prop_assert_eq!(CniError::from(error).code, Code::Decode),
        }
    }

    #[test]
    fn arbitrary_texts_in_every_field_are_accepted_or_refused_with_a_code(
        texts in proptest::collection::vec(any::<String>(), 8),
    ) {
        let names = ["cniVersion", "name", "vethPrefix", "mtu", "pluginLogFile", "pluginLogLevel", "addTimeoutSeconds", "prevResult"];
        for (field, text) in names.iter().zip(texts) {
            if let Err(error) = with(field, json!(text)) {
                prop_assert!(matches!(error.code, Code::Config | Code::IncompatibleVersion), "{}", error);
            }
        }
    }
}
