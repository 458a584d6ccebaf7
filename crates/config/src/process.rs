//! The variables of the process: logs, AWS clients, debug servers (ipamd.md §1.5). Must not: open a log or a socket.

use crate::variable::{Kind, Variable};
use model::time::Duration;
use std::path::PathBuf;

/// Log level.
pub const LOG_LEVEL: Variable = Variable::row(
    "AWS_VPC_K8S_CNI_LOGLEVEL",
    Kind::Word(&["debug", "info", "warn", "error", "fatal"]),
    "info",
    "Least level that is logged, in any letter case; `fatal` is `error`. Upstream's default is `debug`.",
)
.falls_back_to("debug");
/// Log destination.
pub const LOG_FILE: Variable = Variable::text(
    "AWS_VPC_K8S_CNI_LOG_FILE",
    "/host/var/log/aws-routed-eni/ipamd.log",
    "Path of the log, or `stdout` or `stderr`. A file takes at most 192 MiB with its five backups; while it cannot be written, lines go to standard error.",
);
/// EC2 endpoint.
pub const EC2_ENDPOINT: Variable = Variable::row(
    "AWS_EC2_ENDPOINT",
    Kind::Text(url),
    "",
    "URL of the EC2 API instead of the Region's. It reaches every EC2 call; upstream's reaches none, so what is no URL \
     does not stop a node.",
);
/// IMDS endpoint.
pub const IMDS_ENDPOINT: Variable = Variable::row(
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    Kind::Text(url),
    "",
    "URL of the instance metadata service instead of `http://169.254.169.254`.",
)
.refused();
/// HTTP time limit.
pub const HTTP_TIMEOUT: Variable = Variable::row(
    "HTTP_TIMEOUT",
    Kind::Integer {
        least: 10,
        most: i64::MAX,
    },
    "10",
    "Seconds an HTTP request to AWS may take. A call as a whole ends after 15 s all the same.",
);
/// Version in user agents.
pub const VPC_CNI_VERSION: Variable =
    Variable::text("VPC_CNI_VERSION", "", "Version of the manifest.")
        .nothing("user agents carry the version of the program");
/// Debug server address.
pub const INTROSPECTION_BIND_ADDRESS: Variable = Variable::text(
    "INTROSPECTION_BIND_ADDRESS",
    "127.0.0.1:61679",
    "Address of the introspection server, `host:port` or `unix:path`.",
)
.nothing("the introspection server is not built yet");
/// No debug server.
pub const DISABLE_INTROSPECTION: Variable =
    Variable::strict("DISABLE_INTROSPECTION", "false", "No introspection server.")
        .nothing("the introspection server is not built yet");
/// No metrics.
pub const DISABLE_METRICS: Variable =
    Variable::strict("DISABLE_METRICS", "false", "No metrics server.")
        .nothing("the metrics server is not built yet");

/// All rows, in the order of the reference page.
pub const ROWS: &[Variable] = &[
    LOG_LEVEL,
    LOG_FILE,
    EC2_ENDPOINT,
    IMDS_ENDPOINT,
    HTTP_TIMEOUT,
    VPC_CNI_VERSION,
    INTROSPECTION_BIND_ADDRESS,
    DISABLE_INTROSPECTION,
    DISABLE_METRICS,
];

/// What the process itself is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSettings {
    /// `AWS_VPC_K8S_CNI_LOGLEVEL`.
    pub log_level: LogLevel,
    /// `AWS_VPC_K8S_CNI_LOG_FILE`.
    pub log_file: LogFile,
    /// `AWS_EC2_ENDPOINT`: an `http://` or `https://` URL.
    pub ec2_endpoint: Option<String>,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`: an `http://` or `https://` URL.
    pub imds_endpoint: Option<String>,
    /// `HTTP_TIMEOUT`.
    pub http_timeout: Duration,
    /// `AWS_VPC_K8S_CNI_BACKING_STORE`.
    pub backing_store: PathBuf,
    /// `MY_NODE_NAME`; empty when unknown.
    pub my_node_name: String,
    /// `NETWORK_POLICY_ENFORCING_MODE` in lower case; empty when network policy is not asked for.
    pub policy_mode: String,
}

/// Least level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Decisions.
    Debug,
    /// State changes an operator asked about.
    Info,
    /// Degraded.
    Warn,
    /// Giving up.
    Error,
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFile {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file.
    Path(PathBuf),
}

impl LogLevel {
    /// From a word of [`LOG_LEVEL`].
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "debug" => Self::Debug,
            "warn" => Self::Warn,
            "error" | "fatal" => Self::Error,
            _ => Self::Info,
        }
    }
}

impl LogFile {
    /// From the text of [`LOG_FILE`].
    pub(crate) fn of(text: &str) -> Self {
        match text {
            "stdout" | "/dev/stdout" => Self::Stdout,
            "stderr" | "/dev/stderr" => Self::Stderr,
            path => Self::Path(path.into()),
        }
    }
}

/// As strict as the clients that the URL is for: what passes here can be connected to, or at least tried.
fn url(text: &str) -> Result<(), &'static str> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let host = rest
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_default();
    let strange = |c: char| !c.is_ascii_graphic() || matches!(c, '@' | '?' | '#' | '"' | '\\');
    // The empty text is the default.
    if text.is_empty() || (!host.is_empty() && !host.starts_with(':') && !text.contains(strange)) {
        Ok(())
    } else {
        Err("want a URL like http://host:port or https://host")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls() {
        for good in [
            "http://127.0.0.1:8080",
            "https://ec2.eu-west-1.amazonaws.com/",
            "http://[fd00:ec2::254]",
        ] {
            assert_eq!(url(good), Ok(()), "{good}");
        }
        for bad in [
            "ec2.amazonaws.com",
            "http://",
            "ftp://x",
            "http:///x",
            "http://a b",
            "http://:80",
            "http://user@host",
            "http://host?x",
        ] {
            assert!(url(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn log_words_have_their_levels() {
        let levels: Vec<_> = ["debug", "info", "warn", "error", "fatal"]
            .map(LogLevel::of)
            .to_vec();
        assert_eq!(
            levels,
            [
                LogLevel::Debug,
                LogLevel::Info,
                LogLevel::Warn,
                LogLevel::Error,
                LogLevel::Error
            ]
        );
        assert_eq!(LogFile::of("stderr"), LogFile::Stderr);
        assert_eq!(LogFile::of("/dev/stdout"), LogFile::Stdout);
        assert_eq!(LogFile::of("/a"), LogFile::Path("/a".into()));
    }
}
