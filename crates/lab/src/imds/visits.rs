//! Which paths were asked of IMDS and how it answered, for tests and people. Must not: influence an answer, keep tokens.

use serde::Serialize;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Visit {
    /// Milliseconds on the laboratory's clock.
    pub at_ms: u64,
    /// Which instance asked.
    pub node: String,
    /// HTTP method.
    pub method: String,
    /// Path with its leading `/`.
    pub path: String,
    /// HTTP status.
    pub status: u16,
}

/// All requests so far, in order.
#[derive(Debug, Default)]
pub struct Visits {
    all: Mutex<Vec<Visit>>,
}

impl Visits {
    /// All of them.
    pub fn all(&self) -> Vec<Visit> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }

    /// All of them as JSON lines.
    pub fn lines(&self) -> String {
        self.all().iter().fold(String::new(), |mut text, visit| {
            let line = serde_json::to_string(visit).expect("texts and numbers always serialise");
            writeln!(text, "{line}").expect("writing to a String cannot fail");
            text
        })
    }

    pub(super) fn add(&self, visit: Visit) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(visit);
    }
}
