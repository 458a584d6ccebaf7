//! What is left of a test below `target/e2e/<test>/`: logs of every program, calls, on failure the state of every node,
//! and a timeline of it all. Driven by `stage`. Must not: fail a test, or hide why it failed.

use lab::ec2::Record;
use lab::node::Node;
use lab::runtime::invocation::Invocation;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// Lines of the timeline that a failing test prints, and characters of each.
const TAIL: usize = 40;
const WIDTH: usize = 240;
/// State of a node that is written down when a test fails: file name, command. A program that the machine lacks leaves
/// its error there.
const LOOKS: [(&str, &[&str]); 7] = [
    ("links", &["ip", "-j", "-d", "link"]),
    ("addresses", &["ip", "-j", "address"]),
    ("routes", &["ip", "-j", "route", "show", "table", "all"]),
    ("rules", &["ip", "-j", "rule"]),
    ("neighbours", &["ip", "-j", "neigh"]),
    ("ruleset", &["nft", "-j", "list", "ruleset"]),
    ("connections", &["conntrack", "-L", "-o", "extended,id"]),
];
/// The daemon's files as a node sees them.
const STATE: [&str; 2] = ["run/aws-node/ipam.json", "run/aws-node/intents.json"];

/// The folder of one test.
#[derive(Debug)]
pub struct Evidence {
    folder: PathBuf,
    // Held as long as the test runs: a second run beside this one takes another folder.
    _owner: fs::File,
    // One writer at a time, so that lines of threads don't mix.
    calls: Mutex<()>,
}

impl Evidence {
    /// An empty folder for the test; when another run of it holds that, one with this process's number.
    ///
    /// # Panics
    /// When it cannot be made: then nothing could be proven.
    pub fn of(test: &str) -> Self {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/e2e");
        let own = format!("{test}-{}", std::process::id());
        let (folder, owner) = claim(&target.join(test))
            .or_else(|| claim(&target.join(own)))
            .unwrap_or_else(|| panic!("make a folder for {test} in {}", target.display()));
        let folder = folder.canonicalize().expect("it was just made");
        Self {
            folder,
            _owner: owner,
            calls: Mutex::new(()),
        }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Notes a CNI call in `cni.jsonl`.
    pub fn call(&self, node: &str, what: &str, call: &Invocation) {
        let ended = milliseconds();
        let took = i64::try_from(call.elapsed.as_millis()).unwrap_or(i64::MAX);
        let stdout = call.json().unwrap_or_else(|| call.stdout.clone().into());
        let line = json!({"ts_ms": ended - took, "node": node, "call": what, "exit": call.exit,
            "elapsed_ms": took, "stdout": stdout, "stderr": call.stderr});
        let _alone = self.calls.lock();
        let path = self.folder.join("cni.jsonl");
        let file = fs::File::options().create(true).append(true).open(path);
        // Evidence that can't be written must not hide what is tested.
        let _ = file.and_then(|mut file| writeln!(file, "{line}"));
    }

    /// Copies what lives in the node's own folders and goes with it: our logs, and those of containers.
    pub fn collect(&self, node: &Node) {
        let logs = node.folder().join("var-log");
        for path in files(&logs.join("aws-routed-eni"))
            .into_iter()
            .chain(files(&logs.join("pods")))
        {
            let inner = path.strip_prefix(&logs).unwrap_or(&path).to_string_lossy();
            let name = match inner.strip_prefix("aws-routed-eni/") {
                Some(own) => own.to_owned(),
                None => inner.replace('/', "-"),
            };
            let _ = fs::copy(&path, self.folder.join(format!("{}-{name}", node.name())));
        }
    }

    /// Writes down the state of a node whose test fails.
    pub fn look(&self, node: &Node) {
        for (name, command) in LOOKS {
            let said = node.run(|| lab::command::run(command, ""));
            let text = match said {
                Ok(Ok(text)) => text,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            let _ = fs::write(
                self.folder.join(format!("{}-{name}.json", node.name())),
                text,
            );
        }
        for state in STATE {
            let name = state.rsplit('/').next().unwrap_or(state);
            let copy = self.folder.join(format!("{}-{name}", node.name()));
            let _ = fs::copy(node.root().join(state), copy);
        }
    }

    /// Merges logs and calls by time into `timeline.txt`; returns its last lines. `began_ms` is the wall clock at the
    /// beginning of the lab's clock.
    pub fn timeline(&self, records: &[Record], began_ms: i64) -> String {
        let mut moments: Vec<(i64, String)> = records
            .iter()
            .map(|record| ec2_moment(record, began_ms))
            .collect();
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".log") || name == "cni.jsonl" {
                let text = fs::read_to_string(&path).unwrap_or_default();
                moments.extend(text.lines().map(|line| log_moment(&name, line)));
            }
        }
        // Stable: lines without a time of their own stay behind the line before them.
        moments.sort_by_key(|(at, _)| *at);
        let lines: Vec<String> = moments
            .iter()
            .map(|(at, text)| format!("{:>8} ms {text}", at - began_ms))
            .collect();
        let _ = fs::write(self.folder.join("timeline.txt"), lines.join("\n") + "\n");
        let tail = lines[lines.len().saturating_sub(TAIL)..].iter();
        tail.map(|line| shortened(line))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// The folder, empty, unless another run holds its lock, which lies beside it.
fn claim(folder: &Path) -> Option<(PathBuf, fs::File)> {
    fs::create_dir_all(folder.parent()?).ok()?;
    let lock = fs::File::create(folder.with_extension("lock")).ok()?;
    lock.try_lock().ok()?;
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).ok()?;
    Some((folder.to_owned(), lock))
}

/// Every plain file below a directory: reading a pipe would wait for somebody to write.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let below = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files(&entry.path()),
        Ok(kind) if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    };
    entries.flat_map(below).collect()
}

/// Milliseconds of the wall clock.
pub fn milliseconds() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn ec2_moment(record: &Record, began_ms: i64) -> (i64, String) {
    let mut text = format!("ec2 {} {} {}", record.node, record.action, record.outcome);
    for (name, value) in &record.parameters {
        let _ = write!(text, " {name}={value}");
    }
    (
        began_ms + i64::try_from(record.at_ms).unwrap_or(i64::MAX),
        text,
    )
}

/// A line of a log with its time; one without goes to the end. A container's line begins with its time, containerd's with
/// `time="…"`.
fn log_moment(file: &str, line: &str) -> (i64, String) {
    let value: Value = serde_json::from_str(line).unwrap_or_default();
    let number = value["ts_ms"].as_i64();
    let named = || value["ts"].as_str().and_then(parse_utc);
    let at = number
        .or_else(named)
        .or_else(|| parse_utc(line.strip_prefix("time=\"").unwrap_or(line)));
    (at.unwrap_or(i64::MAX), format!("{file} {line}"))
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line.to_owned(),
    }
}

/// `2026-01-31T23:59:59.123Z` as milliseconds since 1970.
pub(crate) fn parse_utc(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Years begin in March, so that a leap day is the last day of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + number(20..23).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_logs_are_milliseconds_since_1970() {
        assert_eq!(parse_utc("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(parse_utc("2000-02-29T00:00:00.000Z"), Some(951_782_400_000));
        assert_eq!(
            parse_utc("2023-12-31T00:00:00.001Z"),
            Some(1_703_980_800_001)
        );
        assert_eq!(parse_utc("soon"), None);
    }

    #[test]
    fn a_second_run_of_a_test_leaves_the_firsts_evidence_alone() {
        let test = format!("evidence-{}", std::process::id());
        let first = Evidence::of(&test);
        fs::write(first.folder().join("a"), "").unwrap();
        let second = Evidence::of(&test);
        assert_ne!(first.folder(), second.folder());
        assert!(first.folder().join("a").exists());
        for evidence in [&first, &second] {
            fs::remove_dir_all(evidence.folder()).unwrap();
            fs::remove_file(evidence.folder().with_extension("lock")).unwrap();
        }
    }

    #[test]
    fn a_line_of_any_log_has_a_time_or_goes_to_the_end() {
        assert_eq!(log_moment("a", r#"{"ts_ms":5}"#).0, 5);
        assert_eq!(
            log_moment("a", r#"{"ts":"1970-01-01T00:00:01.000Z"}"#).0,
            1000
        );
        assert_eq!(log_moment("a", "panicked").0, i64::MAX);
        let containers = "1970-01-01T00:00:02.123456789Z stdout F ready";
        assert_eq!(log_moment("a", containers).0, 2123);
        let runtimes = r#"time="1970-01-01T00:00:03.005000000Z" level=info msg="booted""#;
        assert_eq!(log_moment("a", runtimes).0, 3005);
    }
}
