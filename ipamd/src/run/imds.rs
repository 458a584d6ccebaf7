//! Reads the instance's metadata: one completion per read, and the newest answer for everybody who needs the identity.
//!
//! Owns: the deadline of a read. Must not: retry (the machine does), look at the metadata. Driven by: `run`.

use crate::inbox::Ticket;
use futures::future::BoxFuture;
use ipam::event::Outcome;
use model::imds::InstanceMetadata;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// All paths together; the service is on the host and answers within milliseconds when it is well.
const DEADLINE: Duration = Duration::from_secs(15);

/// The metadata service.
pub trait Imds: Send + Sync + 'static {
    /// Everything the daemon wants to know; an error names the path.
    fn fetch(&self, deadline: Duration) -> BoxFuture<'_, Result<InstanceMetadata, String>>;
}

/// What the metadata service last said; `None` before the first answer.
pub type Identity = Option<Arc<InstanceMetadata>>;

/// Starts reads.
pub struct Runner {
    imds: Arc<dyn Imds>,
    identity: watch::Sender<Identity>,
}

impl Runner {
    /// Reads through `imds` and publishes each answer to `identity`.
    pub fn new(imds: Arc<dyn Imds>, identity: watch::Sender<Identity>) -> Self {
        Self { imds, identity }
    }

    pub(crate) fn start(&self, ticket: Ticket) {
        let (imds, identity) = (Arc::clone(&self.imds), self.identity.clone());
        tokio::spawn(async move {
            let outcome = match tokio::time::timeout(DEADLINE, imds.fetch(DEADLINE)).await {
                Ok(Ok(metadata)) => {
                    // Before the completion: what the machine does next may already need the region.
                    identity.send_replace(Some(Arc::new(metadata.clone())));
                    Outcome::Imds(Ok(Box::new(metadata)))
                }
                Ok(Err(error)) => Outcome::Imds(Err(error)),
                Err(_) => Outcome::Imds(Err(format!(
                    "no complete answer within {} s",
                    DEADLINE.as_secs()
                ))),
            };
            ticket.done(outcome);
        });
    }
}
