//! The network configuration by which a container runtime finds the plugin: its text, and keeping it where it belongs.
//!
//! Owns: what the runtime and the chained plugins are told (operations.md §1.4). Must not: remove, empty or rename the
//! file, ever: a node without it is not ready, and its runtime can delete no pod. Driven by: `daemon`.

mod keep;

pub use keep::Keeper;

use config::{HostSettings, InstalledSettings};
use serde_json::{Value, json};

/// Its name in the runtime's directory; first of those of other networks, as upstream's.
pub const NAME: &str = "10-aws.conflist";

/// The text for these settings.
pub fn text(host: &HostSettings, installed: &InstalledSettings) -> String {
    let list = json!({
        // Upstream's, and one that every runtime in use speaks.
        "cniVersion": "0.4.0",
        "name": "aws-cni",
        "disableCheck": true,
        "plugins": plugins(host, installed),
    });
    format!("{list:#}\n")
}

fn plugins(host: &HostSettings, installed: &InstalledSettings) -> Vec<Value> {
    let ours = json!({
        "name": "aws-cni",
        "type": "aws-cni",
        "vethPrefix": host.veth_prefix,
        "mtu": host.eni_mtu.to_string(),
        "podSGEnforcingMode": installed.enforcing_mode,
        "pluginLogFile": installed.plugin_log_file,
        "pluginLogLevel": installed.plugin_log_level,
        "capabilities": { "io.kubernetes.cri.pod-annotations": true },
    });
    let portmap = json!({
        "type": "portmap",
        "capabilities": { "portMappings": true },
        "snat": true,
    });
    let bandwidth = json!({ "type": "bandwidth", "capabilities": { "bandwidth": true } });
    let without_ipv6 = json!({
        "type": "tuning",
        "sysctl": {
            "net.ipv6.conf.all.disable_ipv6": "1",
            "net.ipv6.conf.default.disable_ipv6": "1",
            "net.ipv6.conf.lo.disable_ipv6": "1",
        },
    });
    let mut plugins = vec![ours, portmap];
    plugins.extend(installed.bandwidth.then_some(bandwidth));
    plugins.extend(installed.pods_without_ipv6.then_some(without_ipv6));
    plugins
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn made(variables: &[(&str, &str)]) -> String {
        let variables: BTreeMap<_, _> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let (config, _) = config::resolve(&variables).unwrap();
        text(&config.host, &config.installed)
    }

    const USUAL: &str = r#"{
  "cniVersion": "0.4.0",
  "disableCheck": true,
  "name": "aws-cni",
  "plugins": [
    {
      "capabilities": {
        "io.kubernetes.cri.pod-annotations": true
      },
      "mtu": "9001",
      "name": "aws-cni",
      "pluginLogFile": "/var/log/aws-routed-eni/plugin.log",
      "pluginLogLevel": "Debug",
      "podSGEnforcingMode": "strict",
      "type": "aws-cni",
      "vethPrefix": "eni"
    },
    {
      "capabilities": {
        "portMappings": true
      },
      "snat": true,
      "type": "portmap"
    }
  ]
}
"#;

    #[test]
    fn without_variables_it_is_upstreams_without_the_egress_plugin() {
        assert_eq!(made(&[]), USUAL);
    }

    #[test]
    fn what_variables_say_is_in_it_and_plugins_are_chained_when_asked_for() {
        let text = made(&[
            ("AWS_VPC_K8S_CNI_VETHPREFIX", "pod"),
            ("AWS_VPC_ENI_MTU", "1500"),
            ("POD_SECURITY_GROUP_ENFORCING_MODE", "standard"),
            ("AWS_VPC_K8S_PLUGIN_LOG_FILE", "/a \"b\"\\c"),
            ("AWS_VPC_K8S_PLUGIN_LOG_LEVEL", "WARN"),
            ("ENABLE_BANDWIDTH_PLUGIN", "true"),
            ("DISABLE_POD_V6", "true"),
        ]);
        let list: Value = serde_json::from_str(&text).unwrap();
        let [ours, portmap, bandwidth, tuning] = &list["plugins"].as_array().unwrap()[..] else {
            panic!("{text}")
        };
        for (field, value) in [
            ("vethPrefix", "pod"),
            ("mtu", "1500"),
            ("podSGEnforcingMode", "standard"),
            ("pluginLogFile", "/a \"b\"\\c"),
            ("pluginLogLevel", "WARN"),
        ] {
            assert_eq!(ours[field], value, "{field}");
        }
        assert_eq!(portmap["type"], "portmap");
        assert_eq!(
            *bandwidth,
            json!({"type": "bandwidth", "capabilities": {"bandwidth": true}})
        );
        assert_eq!(tuning["type"], "tuning");
        let off = tuning["sysctl"].as_object().unwrap();
        assert_eq!(off.len(), 3);
        assert!(off.values().all(|value| value == "1"));
    }
}
