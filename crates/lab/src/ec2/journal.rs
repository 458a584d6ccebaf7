//! What was called: one record per request, for tests that count calls and for people. Must not: influence an answer.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Milliseconds on the laboratory's clock, when the request arrived.
    pub at_ms: u64,
    /// The caller: an instance id, or `operator`.
    pub node: String,
    /// `x-amzn-requestid`
    pub request_id: String,
    /// EC2's action as it was sent.
    pub action: String,
    /// Whether the action changes anything.
    pub mutating: bool,
    /// All other parameters as they were sent.
    pub parameters: BTreeMap<String, String>,
    /// `ok`, EC2's code, `lost` (done, not answered) or `lost before` (not done, not answered).
    pub outcome: String,
}

/// All requests so far, in order of completion.
#[derive(Default)]
pub struct Journal {
    state: Mutex<State>,
}

type Sink = Box<dyn FnMut(&Record) + Send>;

#[derive(Default)]
struct State {
    requests: u64,
    records: Vec<Record>,
    sink: Option<Sink>,
}

impl Journal {
    /// A journal that also passes each record on as it is made.
    pub fn with_sink(sink: impl FnMut(&Record) + Send + 'static) -> Self {
        Self {
            state: Mutex::new(State {
                sink: Some(Box::new(sink)),
                ..State::default()
            }),
        }
    }

    /// All records so far.
    pub fn records(&self) -> Vec<Record> {
        self.lock().records.clone()
    }

    /// How many records hold.
    pub fn count(&self, holds: impl Fn(&Record) -> bool) -> usize {
        self.lock()
            .records
            .iter()
            .filter(|record| holds(record))
            .count()
    }

    /// All records as JSON lines.
    pub fn lines(&self) -> String {
        self.lock()
            .records
            .iter()
            .fold(String::new(), |mut text, record| {
                let line =
                    serde_json::to_string(record).expect("texts and numbers always serialise");
                writeln!(text, "{line}").expect("writing to a String cannot fail");
                text
            })
    }

    pub(super) fn next_request_id(&self) -> String {
        let mut state = self.lock();
        state.requests += 1;
        format!("1ab00000-0000-4000-8000-{:012x}", state.requests)
    }

    pub(super) fn add(&self, record: Record) {
        let mut state = self.lock();
        if let Some(sink) = &mut state.sink {
            sink(&record);
        }
        state.records.push(record);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A sink that panicked leaves whole records behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
