//! The instance metadata service, version 2: tokens, and the metadata tree made from the account's state.
//! Must not: speak HTTP (`lab::imds` does), know more than the IMDS view shows.
//!
//! Paths: ipamd.md §2.3. Directories list their entries one a line, subdirectories with a trailing `/`.

mod tree;

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
        }
    }
}

impl Vpc {
    /// Answers a guest.
    pub fn imds(&mut self, now: Instant, instance: &InstanceId, request: Request) -> Response {
        let now = self.advance(now);
        match request {
            Request::Put { path, ttl } if path == "/latest/api/token" => {
                match self.faults.imds_status(&path) {
                    Some(status) => Response::status(status),
                    None => self.issue(now, instance, ttl.as_deref()),
                }
            }
            Request::Put { .. } | Request::Other => Response::status(405),
            Request::Get { path, token } => {
                let valid = |session: &Session| session.instance == *instance && now < session.ends;
                if !token
                    .and_then(|token| self.sessions.get(&token))
                    .is_some_and(valid)
                {
                    return Response::status(401);
                }
                if let Some(status) = self.faults.imds_status(&path) {
                    return Response::status(status);
                }
                match tree::Tree::of(self, now, instance).and_then(|tree| tree.find(&path)) {
                    Some(body) => Response {
                        status: 200,
                        body,
                        ttl_secs: None,
                    },
                    None => Response::status(404),
                }
            }
        }
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
            status: 200,
            body: token,
            ttl_secs: Some(ttl),
        }
    }
}
