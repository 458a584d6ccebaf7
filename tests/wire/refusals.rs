//! What the daemon does not start with: named by variable, all at once.

use e2e::stage::Stage;

#[test]
fn refused_variables_are_named_all_at_once_and_nothing_is_touched() {
    let stage = Stage::one("wire/refused", "m5.large");
    let asked = [
        ("ENABLE_PREFIX_DELEGATION", "true"),
        ("ENABLE_IPv6", "true"),
        ("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "true"),
        ("ENABLE_POD_ENI", "true"),
        ("ENABLE_MULTI_NIC", "true"),
        ("NETWORK_POLICY_ENFORCING_MODE", "strict"),
        ("IP_COOLDOWN_PERIOD", "soon"),
        ("AWS_VPC_ENI_MTU", "90001"),
    ];
    let mut daemon = stage.launch(0, &asked);
    assert_eq!(daemon.ends(), Some(1));
    let output = daemon.output();
    for (name, value) in asked {
        let line = output
            .lines()
            .find(|line| line.starts_with(&format!("ipamd: {name}={value}: ")));
        assert!(line.is_some(), "{name} in:\n{output}");
    }
    assert_eq!(
        output.lines().count(),
        asked.len(),
        "one line each:\n{output}"
    );
    assert_eq!(stage.journal().records().len(), 0);
    assert!(!daemon.socket().exists());
}

#[test]
fn values_that_fall_back_are_reported_once_each_and_the_daemon_serves() {
    let stage = Stage::one("wire/fallback", "m5.large");
    let asked = [
        ("WARM_ENI_TARGET", "many", "\"1\""),
        ("WARM_IP_TARGET", "-1", "\"0\""),
        ("MINIMUM_IP_TARGET", " 5", "\"0\""),
        ("MAX_ENI", "0", "\"the instance type's limit\""),
        ("MANAGE_UNTAGGED_ENI", "yes", "\"true\""),
        ("ENABLE_POD_ENI", "", "\"false\""),
        ("ADDITIONAL_ENI_TAGS", "team=a", "\"{}\""),
        ("HTTP_TIMEOUT", "9", "\"10\""),
        (
            "NETWORK_POLICY_ENFORCING_MODE",
            "standard",
            "\"the mode for the agent alone\"",
        ),
    ];
    let extra = asked.map(|(name, value, _)| (name, value));
    let daemon = stage.daemon(0, &extra);
    let output = daemon.output();
    let lines: Vec<serde_json::Value> = output
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &serde_json::Value| line["variable"].is_string())
        .collect();
    for (name, value, used) in asked {
        let told: Vec<_> = lines
            .iter()
            .filter(|line| line["variable"] == name)
            .collect();
        let [line] = told[..] else {
            panic!("{name}: {told:?}")
        };
        let text = line["msg"].as_str().unwrap();
        assert!(
            text.starts_with(&format!("{name}={value}: "))
                && text.ends_with(&format!("; using {used}")),
            "{text}"
        );
    }
    assert_eq!(lines.len(), asked.len(), "{lines:?}");
}
