//! Requests that IMDS refuses: which paths, with which status, how often or how long. Must not: know the tree.

use model::time::Instant;

/// What IMDS answers instead of a value: 404 (missing), 401 (token refused), 429 or 503 (too many requests).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    part: String,
    status: u16,
    retry_after_secs: Option<u32>,
    until: Option<Instant>,
    times: Option<u32>,
}

impl Refusal {
    /// Every path that contains `part` gets this status, for ever.
    pub fn new(part: &str, status: u16) -> Self {
        Self {
            part: part.to_owned(),
            status,
            retry_after_secs: None,
            until: None,
            times: None,
        }
    }

    /// The answer carries `Retry-After` with these seconds.
    pub fn retry_after(self, secs: u32) -> Self {
        Self {
            retry_after_secs: Some(secs),
            ..self
        }
    }

    /// Only before then.
    pub fn until(self, until: Instant) -> Self {
        Self {
            until: Some(until),
            ..self
        }
    }

    /// Only that many requests.
    pub fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }
}

/// The refusals that are set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals(Vec<Refusal>);

impl Refusals {
    /// Sets one; another one of the same part goes.
    pub(crate) fn set(&mut self, refusal: Refusal) {
        self.0.retain(|other| other.part != refusal.part);
        self.0.push(refusal);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Status and `Retry-After` of a request for the path; counts it.
    pub(crate) fn strike(&mut self, now: Instant, path: &str) -> Option<(u16, Option<u32>)> {
        let struck = self.0.iter_mut().find(|refusal| {
            path.contains(refusal.part.as_str())
                && refusal.until.is_none_or(|until| now < until)
                && refusal.times != Some(0)
        })?;
        if let Some(times) = &mut struck.times {
            *times -= 1;
        }
        Some((struck.status, struck.retry_after_secs))
    }
}
