//! The variables of what is installed on the host: plugins and the network configuration that names them (operations.md
//! §1.2 to §1.4). Must not: write a file.

use crate::variable::{Kind, Variable};
use std::path::PathBuf;

/// Where plugins are installed.
pub const CNI_BIN_PATH: Variable = Variable::text(
    "HOST_CNI_BIN_PATH",
    "/host/opt/cni/bin",
    "Directory that `ipamd init` installs the plugins in.",
);
/// Where the configuration is installed.
pub const CNI_CONFDIR_PATH: Variable = Variable::text(
    "HOST_CNI_CONFDIR_PATH",
    "/host/etc/cni/net.d",
    "Directory of the network configuration `10-aws.conflist`: the daemon writes it, and keeps it, when the node has its \
     first address for pods; `ipamd init` removes that of an earlier boot.",
);
/// Log of the plugin.
pub const PLUGIN_LOG_FILE: Variable = Variable::row(
    "AWS_VPC_K8S_PLUGIN_LOG_FILE",
    Kind::Text(plugin_log_file),
    "/var/log/aws-routed-eni/plugin.log",
    "Log of the plugin, as a path of the host, or `stderr`; not `stdout`, which carries the plugin's result.",
)
.refused();
/// Log level of the plugin.
pub const PLUGIN_LOG_LEVEL: Variable = Variable::text(
    "AWS_VPC_K8S_PLUGIN_LOG_LEVEL",
    "Debug",
    "Log level of the plugin: `debug`, `info`, `warn`, `error` or `fatal` in any letter case; another word is `debug`.",
);
/// Log of the IPv4 egress plugin.
pub const EGRESS_V4_LOG_FILE: Variable = Variable::text(
    "AWS_VPC_K8S_EGRESS_V4_PLUGIN_LOG_FILE",
    "/var/log/aws-routed-eni/egress-v4-plugin.log",
    "Log of the IPv4 egress plugin.",
)
.nothing(NO_EGRESS);
/// Log of the IPv6 egress plugin.
pub const EGRESS_V6_LOG_FILE: Variable = Variable::text(
    "AWS_VPC_K8S_EGRESS_V6_PLUGIN_LOG_FILE",
    "/var/log/aws-routed-eni/egress-v6-plugin.log",
    "Log of the IPv6 egress plugin.",
)
.nothing(NO_EGRESS);
/// Bandwidth plugin.
pub const ENABLE_BANDWIDTH_PLUGIN: Variable = Variable::soft(
    "ENABLE_BANDWIDTH_PLUGIN",
    "false",
    "Chain the plugin `bandwidth` after this one.",
);
/// No IPv6 in pods.
pub const DISABLE_POD_V6: Variable = Variable::soft(
    "DISABLE_POD_V6",
    "false",
    "Chain the plugin `tuning`, which then switches IPv6 off in pods.",
);

const NO_EGRESS: &str = "the egress plugin is not built yet, and not chained";

/// All rows, in the order of the reference page.
pub const ROWS: &[Variable] = &[
    CNI_BIN_PATH,
    CNI_CONFDIR_PATH,
    PLUGIN_LOG_FILE,
    PLUGIN_LOG_LEVEL,
    EGRESS_V4_LOG_FILE,
    EGRESS_V6_LOG_FILE,
    ENABLE_BANDWIDTH_PLUGIN,
    DISABLE_POD_V6,
];

/// What is installed on the host, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledSettings {
    /// `HOST_CNI_BIN_PATH`: directory of the plugins.
    pub plugins: PathBuf,
    /// `HOST_CNI_CONFDIR_PATH`: directory of the network configuration.
    pub network_configuration: PathBuf,
    /// `AWS_VPC_K8S_PLUGIN_LOG_FILE`.
    pub plugin_log_file: String,
    /// `AWS_VPC_K8S_PLUGIN_LOG_LEVEL`, in any letter case.
    pub plugin_log_level: String,
    /// `POD_SECURITY_GROUP_ENFORCING_MODE`: `strict` or `standard`.
    pub enforcing_mode: String,
    /// `ENABLE_BANDWIDTH_PLUGIN`.
    pub bandwidth: bool,
    /// `DISABLE_POD_V6`.
    pub pods_without_ipv6: bool,
}

fn plugin_log_file(text: &str) -> Result<(), &'static str> {
    if text == "stdout" {
        Err("standard output carries the plugin's result; want a path or stderr")
    } else {
        Ok(())
    }
}
