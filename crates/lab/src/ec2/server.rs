//! The EC2 door: one listener per caller; decode, judge, wait, carry out, wait, answer or lose. Must not: know EC2's rules.

use super::gate::{Gates, Going, Moment};
use super::journal::{Journal, Record};
use super::query::{self, Form};
use super::xml;
use crate::http::{self, Call, Reply};
use crate::imds::Visits;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use model::time::Instant;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vpc::{Caller, Code, Error, Request, Verdict, Vpc};

/// The laboratory's clock.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// What every door of one laboratory shares.
#[derive(Clone)]
pub struct Door {
    /// The account.
    pub vpc: Arc<Mutex<Vpc>>,
    /// Its time.
    pub clock: Clock,
    /// What was called.
    pub journal: Arc<Journal>,
    /// Which calls are stopped.
    pub gates: Arc<Gates>,
    /// What IMDS was asked.
    pub visits: Arc<Visits>,
}

impl Door {
    /// Doors to an account, with an empty journal; they stop nothing.
    pub fn new(vpc: Arc<Mutex<Vpc>>, clock: Clock) -> Self {
        Self {
            vpc,
            clock,
            journal: Arc::new(Journal::default()),
            gates: Arc::new(Gates::default()),
            visits: Arc::new(Visits::default()),
        }
    }

    /// The account. A panic elsewhere must not turn every later call into another one.
    pub(crate) fn account(&self) -> MutexGuard<'_, Vpc> {
        self.vpc.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Instant {
        (self.clock)()
    }
}

/// Serves the EC2 API for one caller until dropped. Any endpoint path, POST or GET.
pub async fn serve(listener: std::net::TcpListener, caller: Caller, door: Door) -> io::Result<()> {
    let caller = Arc::new(caller);
    http::serve(listener, move |call| {
        let (caller, door) = (caller.clone(), door.clone());
        // A task of its own: EC2 carries out what it received, though the client has gone meanwhile.
        let task = tokio::spawn(async move { answer(&caller, &door, &call).await });
        async move { task.await.ok().flatten() }
    })
    .await
}

async fn answer(caller: &Caller, door: &Door, call: &Call) -> Option<Reply> {
    let form = Form::parse(if call.body.is_empty() {
        &call.query
    } else {
        &call.body
    });
    let mut record = begin(caller, door, &form);
    let answered = match query::decode(form) {
        Ok(request) => {
            record.mutating = request.action().mutating();
            carry_out(caller, door, request, &record.request_id).await
        }
        Err(error) => Answered {
            body: Some(Err(error)),
            applied: false,
        },
    };
    record.outcome = match &answered.body {
        Some(Ok(_)) => "ok".to_owned(),
        Some(Err(error)) => error.code.name().to_owned(),
        None if answered.applied => "lost".to_owned(),
        None => "lost before".to_owned(),
    };
    let request_id = record.request_id.clone();
    door.journal.add(record);
    match answered.body? {
        Ok(body) => Some(reply(200, &request_id, body)),
        Err(error) => Some(reply(
            error.status(),
            &request_id,
            xml::error(&error, &request_id),
        )),
    }
}

fn begin(caller: &Caller, door: &Door, form: &Form) -> Record {
    let (action, parameters) = form.for_journal();
    Record {
        at_ms: door.now().0,
        node: match caller {
            Caller::Operator => "operator".to_owned(),
            Caller::Instance(id) => id.to_string(),
        },
        request_id: door.journal.next_request_id(),
        action,
        mutating: false,
        parameters,
        outcome: String::new(),
    }
}

struct Answered {
    body: Option<Result<String, Error>>,
    applied: bool,
}

async fn carry_out(caller: &Caller, door: &Door, request: Request, request_id: &str) -> Answered {
    let action = request.action();
    let verdict = door.account().judge(action);
    tokio::time::sleep(verdict.before).await;
    if door
        .gates
        .pass(caller, action, Moment::BeforeItIsDone)
        .await
        == Going::Nowhere
    {
        return Answered {
            body: None,
            applied: false,
        };
    }
    let body = apply(caller, door, request, &verdict).map(|outcome| {
        outcome.map(|answer| xml::answer(&door.account(), action, &answer, request_id))
    });
    tokio::time::sleep(verdict.after).await;
    let heard = door
        .gates
        .pass(caller, action, Moment::BeforeTheAnswer)
        .await;
    Answered {
        body: body.filter(|_| heard == Going::On),
        applied: verdict.applied,
    }
}

fn apply(
    caller: &Caller,
    door: &Door,
    request: Request,
    verdict: &Verdict,
) -> Option<Result<vpc::Answer, Error>> {
    let now = door.now();
    door.account().carry_out(now, caller, request, verdict)
}

fn reply(status: u16, request_id: &str, body: String) -> Reply {
    Response::builder()
        .status(status)
        .header("content-type", "text/xml;charset=UTF-8")
        .header("x-amzn-requestid", request_id)
        .header("server", "AmazonEC2")
        .body(Full::new(Bytes::from(body)))
        .expect("status and headers are valid by construction")
}

/// The error of a call that asks only whether it would be allowed.
pub(super) fn dry_run() -> Error {
    Error::new(
        Code::DryRunOperation,
        "Request would have succeeded, but DryRun flag is set.",
    )
}

#[cfg(test)]
mod tests;
