//! A mutation announced before it is made: the content of the intent journal. Must not: know its file format.

use crate::call::Call;
use serde::{Deserialize, Serialize};

/// One announced mutation. The journal on disk may also hold intents whose call has long been settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Number within the journal, never reused while the journal lives.
    pub number: u64,
    /// The whole call, so that it can be repeated word for word.
    pub call: Call,
}
