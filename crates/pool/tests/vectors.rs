//! Runs the conformance vectors of the warm pool: `cargo test -p pool vectors -- --nocapture`.
//!
//! Owns: the loop and the summary. Must not: know a kind of vector (`vectors/kinds.rs` does). The file is
//! `WARM_POOL_VECTORS` when set, else the copy in this directory. A program of its own, so that its summary is the last
//! line. Kinds that are not built are counted and named; a failed vector, or no file, fails the run.

#[path = "vectors/build.rs"]
mod build;
#[path = "vectors/kinds.rs"]
mod kinds;
#[path = "vectors/steady.rs"]
mod steady;

use build::Vector;
use kinds::NotYet;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::ExitCode;

#[derive(Default)]
struct Summary {
    passed: usize,
    failed: Vec<String>,
    /// Names by kind and reason.
    not_yet: BTreeMap<String, Vec<String>>,
}

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    if !filters.is_empty()
        && !filters
            .iter()
            .any(|filter| "vectors".contains(filter.as_str()))
    {
        return ExitCode::SUCCESS;
    }
    let mut summary = Summary::default();
    for raw in load() {
        summary.add(&raw);
    }
    summary.print();
    if summary.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the vectors' file is named by the environment"
)]
fn load() -> Vec<Value> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/warm-pool.json");
    let path = std::env::var("WARM_POOL_VECTORS").unwrap_or_else(|_| default.to_owned());
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("read vectors {path}: {error}"));
    let file: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("parse vectors {path}: {error}"));
    let vectors = file["vectors"]
        .as_array()
        .unwrap_or_else(|| panic!("{path} has no list \"vectors\""));
    assert!(!vectors.is_empty(), "{path} has no vectors");
    vectors.clone()
}

impl Summary {
    fn add(&mut self, raw: &Value) {
        let name = raw["name"]
            .as_str()
            .unwrap_or("(without a name)")
            .to_owned();
        let (kind, mode) = (
            raw["kind"].as_str().unwrap_or("(no kind)"),
            raw["mode"].as_str().unwrap_or("(no mode)"),
        );
        match judge(kind, raw) {
            Ok(Ok(())) => self.passed += 1,
            Ok(Err(why)) => self.failed.push(format!("{kind} {mode}: {name}: {why}")),
            Err(NotYet(why)) => self
                .not_yet
                .entry(format!("{kind} ({mode}): {why}"))
                .or_default()
                .push(name),
        }
    }

    #[expect(clippy::print_stdout, reason = "the summary is this program's output")]
    fn print(&self) {
        for (kind, names) in &self.not_yet {
            println!("not yet: {kind}: {}", names.join("; "));
        }
        for failure in &self.failed {
            println!("FAILED: {failure}");
        }
        let not_yet: usize = self.not_yet.values().map(Vec::len).sum();
        println!(
            "vectors: {} passed, {} failed, {not_yet} not yet",
            self.passed,
            self.failed.len()
        );
    }
}

/// The inner result is the verdict; the outer one says that there can be none.
fn judge(kind: &str, raw: &Value) -> Result<Result<(), String>, NotYet> {
    let compute = kinds::of(kind)?;
    let vector = match Vector::parse(raw) {
        Ok(vector) => vector,
        Err(why) => return Ok(Err(why)),
    };
    let got = compute(&vector)?;
    for (key, want) in &vector.expected {
        let got = got
            .get(key.as_str())
            .ok_or_else(|| NotYet(format!("{key} is not computed")))?;
        if got != want {
            return Ok(Err(format!("{key} is {got}, want {want}")));
        }
    }
    Ok(Ok(()))
}
