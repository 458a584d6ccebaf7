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
        ("AWS_VPC_K8S_CNI_EXTERNALSNAT", "true"),
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
fn a_value_that_falls_back_is_reported_and_the_daemon_serves() {
    let stage = Stage::one("wire/fallback", "m5.large");
    let daemon = stage.daemon(0, &[("WARM_ENI_TARGET", "many")]);
    let warning = daemon.says(
        "WARM_ENI_TARGET=many: want an integer ≥ 0; using \"1\"",
        |_| true,
    );
    assert_eq!(warning["variable"], "WARM_ENI_TARGET");
}
