//! The instance metadata service, version 2: tokens, and the metadata tree made from the account's state.
//! Must not: speak HTTP (`lab::imds` does), know more than the IMDS view shows.
//!
//! Paths: ipamd.md §2.3. Directories list their entries one a line, subdirectories with a trailing `/`.

mod lie;
mod read;
mod refusal;
mod tree;

pub use lie::Lie;
pub(crate) use lie::Told;
pub use refusal::Refusal;
pub(crate) use refusal::Refusals;

use crate::hash::mix;
use crate::vpc::Vpc;
use model::id::InstanceId;
use model::time::{Duration, Instant};

/// The longest life of a token.
const MAX_TTL_SECS: u32 = 21_600;

/// What a guest asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `PUT /latest/api/token` or another path.
    Put {
        /// Path with its leading `/`.
        path: String,
        /// Header `X-aws-ec2-metadata-token-ttl-seconds`.
        ttl: Option<String>,
    },
    /// `GET`
    Get {
        /// Path with its leading `/`.
        path: String,
        /// Header `X-aws-ec2-metadata-token`.
        token: Option<String>,
    },
    /// Any other method.
    Other,
}

/// What it hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The value, the listing or the token; empty for errors.
    pub body: String,
    /// Life of the token, in the header of the same name as the request's.
    pub ttl_secs: Option<u32>,
    /// Header `Retry-After`.
    pub retry_after_secs: Option<u32>,
    /// How long the answer takes; a door waits that long.
    pub delay: Duration,
}

/// A token's owner and end.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    instance: InstanceId,
    ends: Instant,
}

impl Response {
    fn status(status: u16) -> Self {
        Self {
            status,
            body: String::new(),
            ttl_secs: None,
            retry_after_secs: None,
            delay: Duration::ZERO,
        }
    }

    fn body(body: String) -> Self {
        Self {
            body,
            ..Self::status(200)
        }
    }
}

impl Vpc {
    /// Answers a guest.
    pub fn imds(&mut self, now: Instant, instance: &InstanceId, request: Request) -> Response {
        let now = self.advance(now);
        let delay = self.faults.imds_delay(self.seed);
        let response = match request {
            Request::Put { path, ttl } if path == "/latest/api/token" => self
                .refused(now, &path)
                .unwrap_or_else(|| self.issue(now, instance, ttl.as_deref())),
            Request::Put { .. } | Request::Other => Response::status(405),
            Request::Get { path, token } => self.get(now, instance, &path, token),
        };
        Response { delay, ..response }
    }

    fn get(
        &mut self,
        now: Instant,
        instance: &InstanceId,
        path: &str,
        token: Option<String>,
    ) -> Response {
        let valid = |session: &Session| session.instance == *instance && now < session.ends;
        if !token
            .and_then(|token| self.sessions.get(&token))
            .is_some_and(valid)
        {
            return Response::status(401);
        }
        if let Some(response) = self.refused(now, path) {
            return response;
        }
        tree::Tree::of(self, now, instance)
            .and_then(|tree| tree.find(path))
            .map_or_else(|| Response::status(404), Response::body)
    }

    fn refused(&mut self, now: Instant, path: &str) -> Option<Response> {
        let (status, retry_after_secs) = self.faults.refuse_imds(now, path)?;
        Some(Response {
            retry_after_secs,
            ..Response::status(status)
        })
    }

    fn issue(&mut self, now: Instant, instance: &InstanceId, ttl: Option<&str>) -> Response {
        let ttl = ttl
            .and_then(|text| text.trim().parse::<u32>().ok())
            .filter(|ttl| (1..=MAX_TTL_SECS).contains(ttl));
        let Some(ttl) = ttl else {
            return Response::status(400);
        };
        self.ids += 1;
        let token = format!(
            "{:016x}{:016x}==",
            mix(self.seed, &[0x70, self.ids]),
            mix(self.seed, &[0x71, self.ids])
        );
        let ends = now.after(Duration::from_secs(u64::from(ttl)));
        self.sessions.retain(|_, session| now < session.ends);
        self.sessions.insert(
            token.clone(),
            Session {
                instance: instance.clone(),
                ends,
            },
        );
        Response {
            ttl_secs: Some(ttl),
            ..Response::body(token)
        }
    }
}
