//! Tests of the whole table and of what `resolve` makes of it.

use super::*;
use proptest::prelude::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn good(pairs: &[(&str, &str)]) -> Config {
    let (config, fallbacks) = resolve(&map(pairs)).expect("nothing is refused");
    assert_eq!(fallbacks, [], "{pairs:?}");
    config
}

fn fallbacks(pairs: &[(&str, &str)]) -> Vec<String> {
    let (_, fallbacks) = resolve(&map(pairs)).expect("nothing is refused");
    fallbacks.iter().map(ToString::to_string).collect()
}

fn refusals(pairs: &[(&str, &str)]) -> Vec<String> {
    resolve(&map(pairs))
        .expect_err("something is refused")
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Every row of upstream's default manifest.
const MANIFEST: &[(&str, &str)] = &[
    ("ADDITIONAL_ENI_TAGS", "{}"),
    ("AWS_VPC_CNI_NODE_PORT_SUPPORT", "true"),
    ("AWS_VPC_ENI_MTU", "9001"),
    ("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "false"),
    ("AWS_VPC_K8S_CNI_EXTERNALSNAT", "false"),
    (
        "AWS_VPC_K8S_CNI_LOG_FILE",
        "/host/var/log/aws-routed-eni/ipamd.log",
    ),
    ("AWS_VPC_K8S_CNI_LOGLEVEL", "DEBUG"),
    ("AWS_VPC_K8S_CNI_RANDOMIZESNAT", "prng"),
    ("AWS_VPC_K8S_CNI_VETHPREFIX", "eni"),
    (
        "AWS_VPC_K8S_PLUGIN_LOG_FILE",
        "/var/log/aws-routed-eni/plugin.log",
    ),
    ("AWS_VPC_K8S_PLUGIN_LOG_LEVEL", "DEBUG"),
    ("DISABLE_INTROSPECTION", "false"),
    ("DISABLE_METRICS", "false"),
    ("DISABLE_NETWORK_RESOURCE_PROVISIONING", "false"),
    ("ENABLE_IMDS_ONLY_MODE", "false"),
    ("ENABLE_IPv4", "true"),
    ("ENABLE_IPv6", "false"),
    ("ENABLE_MULTI_NIC", "false"),
    ("ENABLE_POD_ENI", "false"),
    ("ENABLE_PREFIX_DELEGATION", "false"),
    ("ENABLE_SUBNET_DISCOVERY", "true"),
    ("MY_NODE_NAME", "ip-10-0-0-1.ec2.internal"),
    ("MY_POD_NAME", "aws-node-x7x2p"),
    ("NETWORK_POLICY_ENFORCING_MODE", "standard"),
    ("VPC_CNI_VERSION", "v1.23.1"),
    ("WARM_ENI_TARGET", "1"),
    ("WARM_PREFIX_TARGET", "1"),
];

#[test]
fn every_default_parses_and_no_name_is_listed_twice() {
    let mut names = Vec::new();
    for row in tables().iter().flat_map(|(_, rows)| rows.iter()) {
        assert!(
            row.parse(Some(row.default)).is_ok() || row.default.is_empty(),
            "{}",
            row.name
        );
        let _ = row.default_value();
        assert!(row.parse(Some(row.fallback(Some("?")))).is_ok() || row.default.is_empty());
        names.push(row.name);
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn an_empty_environment_gives_the_defaults() {
    let config = good(&[]);
    assert_eq!(config.node, NodeSettings::default());
    let host = HostSettings {
        eni_mtu: 9001,
        node_port_support: true,
        connmark: 0x80,
        eni_mark: 0x78,
        snat: Snat::Node(RandomizeSnat::Prng),
        snat_excluded: vec![],
        external_services: vec![],
        veth_prefix: "eni".to_owned(),
        tcp_early_demux: true,
    };
    assert_eq!(config.host, host);
    let installed = InstalledSettings {
        plugins: "/host/opt/cni/bin".into(),
        network_configuration: "/host/etc/cni/net.d".into(),
        plugin_log_file: "/var/log/aws-routed-eni/plugin.log".to_owned(),
        plugin_log_level: "Debug".to_owned(),
        enforcing_mode: "strict".to_owned(),
        bandwidth: false,
        pods_without_ipv6: false,
    };
    assert_eq!(config.installed, installed);
    assert_eq!(
        config.process,
        ProcessSettings {
            log_level: LogLevel::Info,
            log_file: LogFile::Path("/host/var/log/aws-routed-eni/ipamd.log".into()),
            ec2_endpoint: None,
            imds_endpoint: None,
            http_timeout: Duration::from_secs(10),
            backing_store: "/var/run/aws-node/ipam.json".into(),
            my_node_name: String::new(),
            policy_mode: String::new(),
        }
    );
}

#[test]
fn upstreams_manifest_is_accepted_and_its_policy_mode_is_reported() {
    let (config, fallbacks) = resolve(&map(MANIFEST)).expect("nothing is refused");
    assert_eq!(
        config.node.targets,
        WarmTargets {
            warm_eni: 1,
            warm_ip: 0,
            minimum_ip: 0,
            warm_prefix: 1
        }
    );
    assert_eq!(config.process.log_level, LogLevel::Debug);
    assert_eq!(config.process.my_node_name, "ip-10-0-0-1.ec2.internal");
    assert_eq!(config.process.policy_mode, "standard");
    let [told] = &fallbacks[..] else {
        panic!("{fallbacks:?}")
    };
    assert_eq!(
        told.to_string(),
        "NETWORK_POLICY_ENFORCING_MODE=standard: calling the policy agent for each pod is not built yet; using \"the \
         mode for the agent alone\""
    );
}

#[test]
fn a_mode_without_calls_for_pods_is_taken_and_one_that_closes_pods_is_refused() {
    let mode = |text| {
        good(&[("NETWORK_POLICY_ENFORCING_MODE", text)])
            .process
            .policy_mode
    };
    assert_eq!([mode("None"), mode("")], ["none".to_owned(), String::new()]);
    let (config, _) = resolve(&map(&[("NETWORK_POLICY_ENFORCING_MODE", "STANDARD")]))
        .expect("upstream's default");
    assert_eq!(config.process.policy_mode, "standard");
}

#[test]
fn every_value_reaches_its_field() {
    let config = good(&[
        ("WARM_ENI_TARGET", "2"),
        ("WARM_IP_TARGET", "3"),
        ("MINIMUM_IP_TARGET", "4"),
        ("WARM_PREFIX_TARGET", "5"),
        ("MAX_ENI", "6"),
        ("IP_COOLDOWN_PERIOD", "0"),
        ("MANAGE_UNTAGGED_ENI", "F"),
        ("DISABLE_NETWORK_RESOURCE_PROVISIONING", "T"),
        ("CLUSTER_NAME", "blue"),
        ("ADDITIONAL_ENI_TAGS", "{\"team\":\"a\"}"),
        ("AWS_VPC_ENI_MTU", "1500"),
        ("POD_MTU", "1500"),
        ("AWS_VPC_CNI_NODE_PORT_SUPPORT", "0"),
        ("AWS_VPC_K8S_CNI_CONNMARK", "0x40000"),
        ("ENI_MARK", "0xf000000"),
        ("AWS_VPC_K8S_CNI_RANDOMIZESNAT", "hashrandom"),
        (
            "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS",
            "10.9.9.9/8, 172.16.0.0/12",
        ),
        ("AWS_EXTERNAL_SERVICE_CIDRS", "100.64.0.0/10"),
        ("AWS_VPC_K8S_CNI_VETHPREFIX", "pod"),
        ("DISABLE_TCP_EARLY_DEMUX", "true"),
        ("HOST_CNI_BIN_PATH", "/opt/cni/bin"),
        ("HOST_CNI_CONFDIR_PATH", "/etc/cni/net.d"),
        ("AWS_VPC_K8S_PLUGIN_LOG_FILE", "stderr"),
        ("AWS_VPC_K8S_PLUGIN_LOG_LEVEL", "WARN"),
        ("POD_SECURITY_GROUP_ENFORCING_MODE", "standard"),
        ("ENABLE_BANDWIDTH_PLUGIN", "1"),
        ("DISABLE_POD_V6", "T"),
        ("AWS_VPC_K8S_CNI_LOGLEVEL", "Fatal"),
        ("AWS_VPC_K8S_CNI_LOG_FILE", "stderr"),
        ("AWS_EC2_ENDPOINT", "http://127.0.0.1:1"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:2"),
        ("HTTP_TIMEOUT", "12"),
        ("AWS_VPC_K8S_CNI_BACKING_STORE", "/tmp/x.json"),
        ("MY_NODE_NAME", "n"),
        ("NETWORK_POLICY_ENFORCING_MODE", "NONE"),
    ]);
    let node = NodeSettings {
        targets: WarmTargets {
            warm_eni: 2,
            warm_ip: 3,
            minimum_ip: 4,
            warm_prefix: 5,
        },
        max_enis: Some(6),
        cooldown: Duration::ZERO,
        manage_untagged: false,
        provisioning: false,
        cluster_name: "blue".to_owned(),
        additional_tags: map(&[("team", "a")]),
        ..NodeSettings::default()
    };
    assert_eq!(config.node, node);
    let host = HostSettings {
        eni_mtu: 1500,
        node_port_support: false,
        connmark: 0x40000,
        eni_mark: 0xf00_0000,
        snat: Snat::Node(RandomizeSnat::HashRandom),
        snat_excluded: vec![
            "10.0.0.0/8".parse().unwrap(),
            "172.16.0.0/12".parse().unwrap(),
        ],
        external_services: vec!["100.64.0.0/10".parse().unwrap()],
        veth_prefix: "pod".to_owned(),
        tcp_early_demux: false,
    };
    assert_eq!(config.host, host);
    let installed = InstalledSettings {
        plugins: "/opt/cni/bin".into(),
        network_configuration: "/etc/cni/net.d".into(),
        plugin_log_file: "stderr".to_owned(),
        plugin_log_level: "WARN".to_owned(),
        enforcing_mode: "standard".to_owned(),
        bandwidth: true,
        pods_without_ipv6: true,
    };
    assert_eq!(config.installed, installed);
    assert_eq!(
        config.process,
        ProcessSettings {
            log_level: LogLevel::Error,
            log_file: LogFile::Stderr,
            ec2_endpoint: Some("http://127.0.0.1:1".to_owned()),
            imds_endpoint: Some("http://127.0.0.1:2".to_owned()),
            http_timeout: Duration::from_secs(12),
            backing_store: "/tmp/x.json".into(),
            my_node_name: "n".to_owned(),
            policy_mode: "none".to_owned(),
        }
    );
}

#[test]
fn values_that_upstream_tolerates_fall_back_and_are_reported() {
    assert_eq!(
        fallbacks(&[("WARM_IP_TARGET", "many")]),
        ["WARM_IP_TARGET=many: want an integer ≥ 0; using \"0\""]
    );
    assert_eq!(
        fallbacks(&[("WARM_ENI_TARGET", "-1")]),
        ["WARM_ENI_TARGET=-1: want an integer ≥ 0; using \"1\""]
    );
    assert_eq!(fallbacks(&[("WARM_ENI_TARGET", "")]).len(), 1);
    assert_eq!(
        fallbacks(&[("MAX_ENI", "0")]),
        ["MAX_ENI=0: want an integer ≥ 1; using \"the instance type's limit\""]
    );
    for (name, value) in [
        ("ENABLE_POD_ENI", "yes"),
        ("ENABLE_POD_ENI", ""),
        ("ENABLE_BANDWIDTH_PLUGIN", "on"),
        ("DISABLE_TCP_EARLY_DEMUX", "maybe"),
        ("AWS_VPC_K8S_CNI_EXTERNALSNAT", "yes"),
        ("HTTP_TIMEOUT", "9"),
        ("AWS_VPC_K8S_CNI_CONNMARK", "0"),
        ("AWS_VPC_K8S_CNI_CONNMARK", "0x100000000"),
        ("ENI_MARK", "0x1"),
        ("AWS_VPC_K8S_CNI_RANDOMIZESNAT", "dice"),
        ("AWS_VPC_K8S_CNI_RANDOMIZESNAT", "None"),
        ("AWS_VPC_K8S_CNI_LOGLEVEL", "loud"),
        ("ADDITIONAL_ENI_TAGS", "team=a"),
        ("POD_SECURITY_GROUP_ENFORCING_MODE", "lax"),
        ("IP_COOLDOWN_PERIOD", ""),
        ("AWS_EC2_ENDPOINT", "ec2.local"),
    ] {
        let reported = fallbacks(&[(name, value)]);
        assert_eq!(reported.len(), 1, "{name}={value}");
        assert!(
            reported[0].starts_with(&format!("{name}={value}: want ")),
            "{reported:?}"
        );
    }
    assert_eq!(fallbacks(&[("AWS_VPC_K8S_CNI_EXTERNALSNAT", "")]), [""; 0]);
}

#[test]
fn an_unknown_log_level_is_debug_as_upstream_has_it_and_none_is_the_default() {
    let level = |raw: &[(&str, &str)]| {
        let (config, fallbacks) = resolve(&map(raw)).expect("tolerated");
        let told = fallbacks.iter().map(ToString::to_string).collect();
        (config.process.log_level, told)
    };
    let variable = |text| [("AWS_VPC_K8S_CNI_LOGLEVEL", text)];
    let told = |value: &str, used: &str| {
        vec![format!(
            "AWS_VPC_K8S_CNI_LOGLEVEL={value}: want one of debug, info, warn, error, fatal; using {used:?}"
        )]
    };
    assert_eq!(
        level(&variable("verbose")),
        (LogLevel::Debug, told("verbose", "debug"))
    );
    assert_eq!(level(&variable("")), (LogLevel::Info, told("", "info")));
    assert_eq!(level(&variable("WARN")), (LogLevel::Warn, vec![]));
    assert_eq!(level(&[]), (LogLevel::Info, vec![]));
}

#[test]
fn a_reserved_tag_is_dropped_with_a_report_and_the_others_stay() {
    let raw = map(&[(
        "ADDITIONAL_ENI_TAGS",
        r#"{"a":"1","cluster.k8s.amazonaws.com/name":"x"}"#,
    )]);
    let (config, fallbacks) = resolve(&raw).expect("tolerated");
    assert_eq!(config.node.additional_tags, map(&[("a", "1")]));
    assert_eq!(fallbacks.len(), 1);
    assert!(
        fallbacks[0].why.contains("cluster.k8s.amazonaws.com/name"),
        "{}",
        fallbacks[0]
    );
}

#[test]
fn external_snat_needs_no_choice_of_ports() {
    for (name, snat) in [
        ("true", Snat::External),
        ("T", Snat::External),
        ("0", Snat::Node(RandomizeSnat::None)),
    ] {
        let config = good(&[
            ("AWS_VPC_K8S_CNI_EXTERNALSNAT", name),
            ("AWS_VPC_K8S_CNI_RANDOMIZESNAT", "none"),
        ]);
        assert_eq!(config.host.snat, snat, "{name}");
    }
}

#[test]
fn ranges_that_are_none_are_left_out_with_a_report_each() {
    let name = "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS";
    let value = "10.0.0.0/8,fd00::/8,x";
    let (config, fallbacks) = resolve(&map(&[(name, value)])).expect("tolerated");
    assert_eq!(config.host.snat_excluded, ["10.0.0.0/8".parse().unwrap()]);
    let said: Vec<_> = fallbacks.iter().map(ToString::to_string).collect();
    let told = |entry: &str| {
        format!(
            "{name}={value}: \"{entry}\" is left out: want an IPv4 range like 10.0.0.0/8; using \"the other ranges\""
        )
    };
    assert_eq!(said, [told("fd00::/8"), told("x")]);
}

#[test]
fn a_mark_of_the_primary_eni_that_meets_the_other_enis_field_switches_the_field_off() {
    let connmark = ("AWS_VPC_K8S_CNI_CONNMARK", "0x40");
    assert_eq!(
        fallbacks(&[connmark]),
        [
            "AWS_VPC_K8S_CNI_CONNMARK=0x40: AWS_VPC_K8S_CNI_CONNMARK=0x40 and ENI_MARK=0x78 have bits in common; \
             using \"0x40 with ENI_MARK=0\""
        ]
    );
    assert_eq!(
        fallbacks(&[connmark, ("ENI_MARK", "0xf0")]),
        [
            "ENI_MARK=0xf0: AWS_VPC_K8S_CNI_CONNMARK=0x40 and ENI_MARK=0xf0 have bits in common; using \"0\""
        ]
    );
    let (config, _) = resolve(&map(&[connmark])).expect("tolerated");
    assert_eq!((config.host.connmark, config.host.eni_mark), (0x40, 0));
    let config = good(&[connmark, ("ENI_MARK", "0")]);
    assert_eq!((config.host.connmark, config.host.eni_mark), (0x40, 0));
}

#[test]
fn what_upstreams_entry_point_refuses_is_refused() {
    for (name, value) in [
        ("AWS_VPC_K8S_PLUGIN_LOG_FILE", "stdout"),
        ("AWS_VPC_K8S_CNI_VETHPREFIX", "vlan"),
        ("AWS_VPC_K8S_CNI_VETHPREFIX", "enixx"),
        ("IP_COOLDOWN_PERIOD", "-1"),
        ("IP_COOLDOWN_PERIOD", "soon"),
        ("AWS_VPC_ENI_MTU", "575"),
        ("AWS_VPC_ENI_MTU", "9002"),
        ("AWS_VPC_ENI_MTU", "jumbo"),
        ("POD_MTU", "100"),
        ("NETWORK_POLICY_ENFORCING_MODE", "loose"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "imds.local"),
    ] {
        let refused = refusals(&[(name, value)]);
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(
            refused[0].starts_with(&format!("{name}={value}: ")),
            "{refused:?}"
        );
    }
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    for (name, value) in [
        ("ENABLE_PREFIX_DELEGATION", "true"),
        ("ENABLE_IPv6", "True"),
        ("ENABLE_IPv4", "false"),
        ("ENABLE_POD_ENI", "t"),
        ("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "1"),
        ("ENABLE_MULTI_NIC", "true"),
        ("NETWORK_POLICY_ENFORCING_MODE", "STRICT"),
        ("ENABLE_IMDS_ONLY_MODE", "true"),
        ("DISABLE_LEAKED_ENI_CLEANUP", "true"),
        ("ANNOTATE_POD_IP", "true"),
        ("ENABLE_V6_EGRESS", "true"),
        ("POD_MTU", "1400"),
    ] {
        let refused = refusals(&[(name, value)]);
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(
            refused[0].starts_with(&format!("{name}={value}: ")),
            "{refused:?}"
        );
        assert!(refused[0].ends_with(": not built yet"), "{refused:?}");
    }
}

#[test]
fn all_refusals_come_at_once() {
    let refused = resolve(&map(&[
        ("ENABLE_IPv6", "true"),
        ("IP_COOLDOWN_PERIOD", "-1"),
        ("AWS_VPC_ENI_MTU", "1"),
        ("WARM_IP_TARGET", "x"),
        ("NETWORK_POLICY_ENFORCING_MODE", "strict"),
    ]))
    .expect_err("four are bad");
    let names: Vec<_> = refused.iter().map(|r| r.name).collect();
    assert_eq!(
        names,
        [
            "IP_COOLDOWN_PERIOD",
            "ENABLE_IPv6",
            "AWS_VPC_ENI_MTU",
            "NETWORK_POLICY_ENFORCING_MODE"
        ]
    );
}

#[test]
fn a_reported_value_is_cut_and_has_no_control_characters() {
    let long = format!("a\n{}", "b".repeat(500));
    let text = fallbacks(&[("AWS_EC2_ENDPOINT", &long)]).remove(0);
    assert!(text.starts_with("AWS_EC2_ENDPOINT=a\\nbbb"), "{text}");
    assert!(text.len() < 200 && !text.contains('\n'), "{text}");
}

#[test]
fn huge_numbers_do_not_wrap() {
    let config = good(&[("WARM_IP_TARGET", "4294967296"), ("MAX_ENI", "4294967296")]);
    assert_eq!(config.node.targets.warm_ip, u32::MAX);
    assert_eq!(config.node.max_enis, None);
}

/// Upstream stops for three kinds of rows only: what its entry point checks, what its initialisation checks, and the
/// endpoint that its SDK cannot use either.
#[test]
fn what_no_row_can_read_stops_a_node_only_where_it_stops_upstreams() {
    let mut stops = Vec::new();
    for row in tables().iter().flat_map(|(_, rows)| rows.iter()) {
        for junk in [
            "\u{0}",
            "-7",
            "",
            " ",
            "nothing that anybody knows",
            "true ",
        ] {
            let Err(refused) = resolve(&map(&[(row.name, junk)])) else {
                continue;
            };
            // An unreadable value never asks for something: what is read and not built is another matter.
            if refused[0].why.ends_with("not built yet") {
                assert!(matches!(row.effect, Effect::OnlyDefault(_)), "{refused:?}");
            } else {
                stops.push(row.name);
            }
        }
    }
    stops.dedup();
    assert_eq!(
        stops,
        [
            "IP_COOLDOWN_PERIOD",
            "AWS_VPC_ENI_MTU",
            "POD_MTU",
            "AWS_VPC_K8S_CNI_VETHPREFIX",
            "NETWORK_POLICY_ENFORCING_MODE",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        ]
    );
}

fn any_environment() -> impl Strategy<Value = BTreeMap<String, String>> {
    let names: Vec<String> = tables()
        .iter()
        .flat_map(|(_, rows)| rows.iter())
        .map(|row| row.name.to_owned())
        .collect();
    let value = prop_oneof![
        any::<String>(),
        "[+-]?[0-9_]{0,22}",
        "0[xXbBoO]?_?[0-9a-fA-F_]{0,12}",
        Just("true".to_owned()),
        "\\{(\"[a-z.]{0,9}\":\"[a-z]{0,3}\",?){0,3}\\}",
    ];
    proptest::collection::btree_map(proptest::sample::select(names), value, 0..12)
}

proptest! {
    #[test]
    fn no_environment_makes_it_panic_and_every_report_names_a_variable_that_is_set(raw in any_environment()) {
        match resolve(&raw) {
            Ok((_, fallbacks)) => prop_assert!(fallbacks.iter().all(|f| raw.contains_key(f.name))),
            Err(refused) => {
                prop_assert!(!refused.is_empty());
                prop_assert!(refused.iter().all(|r| raw.contains_key(r.name) && !r.why.is_empty()));
            }
        }
    }
}
