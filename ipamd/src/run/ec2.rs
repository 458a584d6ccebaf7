//! Sends EC2 requests: deadline in, exactly one completion out.
//!
//! Owns: the backstop of the deadline. Must not: retry, look at replies. Driven by: `run`.

use crate::inbox::Ticket;
use futures::future::BoxFuture;
use ipam::event::Outcome;
use model::call::{Call, Reply};
use model::error::CallError;
use std::sync::Arc;
use std::time::Duration;

/// How much later than the client's own deadline a call is given up: the client knows better what it saw.
const BACKSTOP: Duration = Duration::from_millis(500);

/// EC2.
pub trait Ec2: Send + Sync + 'static {
    /// Sends one request once and waits for its answer until `deadline`.
    fn perform(&self, call: Call, deadline: Duration) -> BoxFuture<'_, Result<Reply, CallError>>;
}

pub(crate) fn start(ec2: &Arc<dyn Ec2>, ticket: Ticket, call: Call, deadline: Duration) {
    let ec2 = Arc::clone(ec2);
    tokio::spawn(async move {
        match tokio::time::timeout(
            deadline.saturating_add(BACKSTOP),
            ec2.perform(call, deadline),
        )
        .await
        {
            Ok(result) => ticket.done(Outcome::Called(result)),
            Err(_) => drop(ticket),
        }
    });
}
