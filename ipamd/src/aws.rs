//! EC2 and the metadata service through `cloud`, as the runners want them.
//!
//! Owns: that the EC2 client is made when the first metadata have told the Region, and made anew when EC2 finds its
//! requests expired: after a step of the wall clock a client may trust credentials that are long stale. Must not: retry,
//! decide.
//! Driven by: `run::ec2`, `run::imds`.

use crate::run::ec2::Ec2;
use crate::run::imds::{Identity, Imds};
use config::process::ProcessSettings;
use futures::FutureExt;
use futures::future::BoxFuture;
use model::call::{Call, Reply};
use model::error::{CallError, Class, Refusal};
use model::imds::InstanceMetadata;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// EC2 in the Region that the metadata name.
pub struct AwsEc2 {
    endpoint: Option<String>,
    longest: Duration,
    imds: cloud::Imds,
    identity: watch::Receiver<Identity>,
    client: Mutex<Option<cloud::Ec2>>,
}

impl AwsEc2 {
    /// Takes the Region from `identity` when the first call is made, the role's credentials from `imds`.
    pub fn new(
        settings: &ProcessSettings,
        imds: cloud::Imds,
        identity: watch::Receiver<Identity>,
    ) -> Self {
        let (endpoint, longest) = (settings.ec2_endpoint.clone(), settings.http_timeout);
        Self {
            endpoint,
            longest,
            imds,
            identity,
            client: Mutex::default(),
        }
    }

    async fn client(&self) -> Result<cloud::Ec2, CallError> {
        let identity = self.identity.borrow().clone();
        let region = identity
            .ok_or_else(|| not_sent("the Region is not known yet"))?
            .region
            .clone();
        let mut client = self.client.lock().await;
        if let Some(made) = &*client {
            return Ok(made.clone());
        }
        let made = cloud::Ec2::new(&region, self.endpoint.as_deref(), &self.imds)
            .await
            .map_err(|error| not_sent(&error.to_string()))?;
        Ok(client.insert(made).clone())
    }
}

impl Ec2 for AwsEc2 {
    fn perform(&self, call: Call, deadline: Duration) -> BoxFuture<'_, Result<Reply, CallError>> {
        async move {
            let client = self.client().await?;
            let result = client.perform(&call, deadline.min(self.longest)).await;
            if matches!(&result, Err(CallError::Refused(refusal)) if refusal.class == Class::Expired)
            {
                // Calls in flight keep theirs; the next one looks for credentials again.
                *self.client.lock().await = None;
            }
            result
        }
        .boxed()
    }
}

/// Nothing left this process, so nothing has changed.
fn not_sent(why: &str) -> CallError {
    CallError::Refused(Refusal {
        class: Class::Transient,
        code: "NotSent".to_owned(),
        message: why.to_owned(),
    })
}

/// The metadata service of this instance.
pub struct AwsImds(pub cloud::Imds);

impl Imds for AwsImds {
    fn fetch(&self, deadline: Duration) -> BoxFuture<'_, Result<InstanceMetadata, String>> {
        async move {
            self.0
                .fetch_metadata(deadline)
                .await
                .map_err(|error| crate::restore::with_causes(&error))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
