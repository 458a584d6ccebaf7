//! One function per kind of call: `model`'s value → the SDK's request → `model`'s reply. Must not: retry, or take an
//! answer for done that it cannot read. Driven by: `ipamd`'s EC2 runner.

mod address;
mod describe;
mod interface;
mod record;
mod tag;

use crate::client::Ec2;
use model::call::{Call, Reply};
use model::error::CallError;
use std::time::Duration;

impl Ec2 {
    /// Carries one call out, all its pages, in at most `deadline` altogether (credentials and connecting included).
    /// A call that is cut off by the deadline may have happened.
    pub async fn perform(&self, call: &Call, deadline: Duration) -> Result<Reply, CallError> {
        // Boxed: the SDK's futures are several kilobytes and live in every frame above.
        let outcome = tokio::time::timeout(deadline, Box::pin(self.send(call))).await;
        outcome
            .unwrap_or_else(|_| Err(CallError::Unknown(format!("no answer within {deadline:?}"))))
    }

    async fn send(&self, call: &Call) -> Result<Reply, CallError> {
        let client = &self.client;
        match call {
            Call::DescribeInterfaces(scope) => describe::interfaces(client, scope)
                .await
                .map(Reply::Interfaces),
            Call::DescribeSubnets { vpc, zone } => describe::subnets(client, vpc, zone)
                .await
                .map(Reply::Subnets),
            Call::DescribeInstanceType { name } => describe::instance_type(client, name)
                .await
                .map(Reply::InstanceType),
            Call::CreateInterface(create) => {
                interface::create(client, create).await.map(Reply::Created)
            }
            Call::AttachInterface {
                eni,
                instance,
                index,
                card,
            } => {
                let place = interface::Place {
                    instance,
                    index: *index,
                    card: *card,
                };
                interface::attach(client, eni, place)
                    .await
                    .map(Reply::Attached)
            }
            Call::DeleteOnTermination { eni, attachment } => {
                interface::delete_on_termination(client, eni, attachment)
                    .await
                    .map(|()| Reply::Done)
            }
            Call::DetachInterface { attachment, .. } => interface::detach(client, attachment)
                .await
                .map(|()| Reply::Done),
            Call::DeleteInterface { eni } => {
                interface::delete(client, eni).await.map(|()| Reply::Done)
            }
            Call::AssignAddresses { eni, count } => address::assign(client, eni, *count)
                .await
                .map(Reply::Assigned),
            Call::UnassignAddresses { eni, addresses } => address::unassign(client, eni, addresses)
                .await
                .map(|()| Reply::Done),
            Call::CreateTags { eni, tags } => {
                tag::create(client, eni, tags).await.map(|()| Reply::Done)
            }
        }
    }
}
