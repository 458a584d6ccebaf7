//! The plugin's log: one JSON line per call. Must not: fail a call or make it wait, write to stdout, know how a file is
//! shared and bounded (`logfile` does).

use crate::del::Report;
use cni::config::{LogLevel, LogTarget, NetworkConfig};
use cni::dispatch::Invocation;
use cni::error::CniError;
use cni::result::AddResult;
use logfile::{BOUND, LogFile};
use serde::Serialize;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What is said about one call. `level`, `ts` and `msg` are upstream's keys.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line<'a> {
    level: &'static str,
    ts: String,
    msg: &'static str,
    container_id: &'a str,
    if_name: &'a str,
    netns: String,
    pod: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<u32>,
    took_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    #[serde(skip)]
    weight: LogLevel,
}

impl<'a> Line<'a> {
    /// The line of an ADD.
    pub fn of_add(call: &'a Invocation, result: &Result<AddResult, CniError>) -> Self {
        let line = Self::about(call);
        match result {
            Ok(result) => Line {
                msg: "pod wired",
                addresses: vec![result.address.to_string()],
                table: Some(result.table.0),
                ..line
            },
            Err(error) => line.failed("pod not wired", error),
        }
    }

    /// The line of a DEL.
    pub fn of_del(call: &'a Invocation, report: &'a Report) -> Self {
        let addresses = report.removed.iter().map(ToString::to_string).collect();
        let line = Line {
            addresses,
            notes: &report.notes,
            ..Self::about(call)
        };
        match &report.outcome {
            Ok(()) if report.notes.is_empty() => Line {
                msg: "pod deleted",
                ..line
            },
            Ok(()) => Line {
                msg: "pod deleted",
                level: "warn",
                weight: LogLevel::Warn,
                ..line
            },
            Err(error) => line.failed("pod not deleted", error),
        }
    }

    fn about(call: &'a Invocation) -> Self {
        Self {
            level: "info",
            ts: String::new(),
            msg: "",
            container_id: &call.container,
            if_name: &call.ifname,
            netns: call
                .netns
                .as_deref()
                .unwrap_or(Path::new(""))
                .display()
                .to_string(),
            pod: call.args.pod.to_string(),
            addresses: Vec::new(),
            table: None,
            took_ms: 0,
            code: None,
            error: None,
            notes: &[],
            weight: LogLevel::Info,
        }
    }

    fn failed(self, msg: &'static str, error: &CniError) -> Self {
        let text = [error.msg.as_str(), &error.details]
            .into_iter()
            .filter(|text| !text.is_empty());
        let error_text = text.collect::<Vec<_>>().join("; ");
        let code = Some(error.code.number());
        Line {
            msg,
            level: "error",
            weight: LogLevel::Error,
            code,
            error: Some(error_text),
            ..self
        }
    }

    /// Appends the line where the configuration says, unless it is less important than what the configuration wants.
    pub fn write(self, config: &NetworkConfig, took: Duration) {
        if self.weight < config.log_level {
            return;
        }
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let line = Line {
            took_ms,
            ts: timestamp(SystemTime::now()),
            ..self
        };
        let mut text = serde_json::to_string(&line).expect("texts and numbers always serialise");
        text.push('\n');
        let LogTarget::File(path) = &config.log_target else {
            return to_stderr(&text);
        };
        if let Err(error) = LogFile::new(path, BOUND).append(text.as_bytes()) {
            let cause = error.source().map(ToString::to_string);
            let cause = cause.unwrap_or_default();
            to_stderr(&format!("plugin log: {error}: {cause}\n{text}"));
        }
    }
}

/// The runtime keeps it for a while: better than nothing, and nothing more can be done.
fn to_stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// ISO 8601 in UTC with milliseconds. Days are turned into a date with years that begin in March, so that a leap day is
/// the last day of its year: 400 years have 146,097 days.
fn timestamp(now: SystemTime) -> String {
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let from_march_0000 = days + 719_468;
    let (era, day_of_era) = (from_march_0000 / 146_097, from_march_0000 % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:03}Z",
        second % 60,
        since.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_utc_dates() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_703_980_800_001, "2023-12-31T00:00:00.001Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_798_761_599_000, "2026-12-31T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(
                timestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)),
                text
            );
        }
    }
}
