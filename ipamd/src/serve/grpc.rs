//! ADD and DEL over gRPC, and what the policy agent asks.
//!
//! Owns: the deadline a caller is given, and the translation between messages and requests. Must not: decide who gets
//! what (the machine does) or what a refusal looks like (`rpc::reason`). Driven by: the plugin, through `serve`.

use crate::clock;
use crate::inbox::{AskError, Requests};
use crate::run::imds::Identity;
use ipam::effect::Answer;
use ipam::event::Request as Ask;
use ipnetwork::Ipv4Network;
use model::reason::Reason;
use model::settings::Snat;
use model::time::Instant;
use rpc::convert::{AddAnswer, BadRequest, Placement};
use rpc::reason::{refuse_add, refuse_del, unknown_pod};
use rpc::wire::cni_backend_server::CniBackend;
use rpc::wire::config_server_backend_server::ConfigServerBackend;
use rpc::wire::{
    AddNetworkReply, AddNetworkRequest, DelNetworkReply, DelNetworkRequest,
    NetworkPolicyAgentConfigReply,
};
use std::time::Duration;
use tokio::sync::watch;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

/// How long a caller without a time limit of its own is let wait; also the upper bound for those that have one.
const LONGEST_WAIT: Duration = Duration::from_secs(90);
/// What is left of the caller's time for the answer's way back.
const WAY_BACK: Duration = Duration::from_secs(2);

/// The services that the plugin and the policy agent call.
#[derive(Clone)]
pub struct Api {
    requests: Requests,
    identity: watch::Receiver<Identity>,
    policy_mode: String,
    way_out: WayOut,
}

/// What plugins are told of pods' way out of the VPC; those of old releases set it up themselves.
#[derive(Debug, Clone, Default)]
pub struct WayOut {
    /// Who translates addresses.
    pub snat: Snat,
    /// Ranges that are reached without translation besides the VPC's.
    pub excluded: Vec<Ipv4Network>,
}

impl Api {
    /// Asks through `requests`, describes the node by `identity` and `way_out`, and to the policy agent by
    /// `policy_mode`. Replies for pods name no mode: the plugin would call the agent for each, and fail the pod where
    /// none runs.
    pub fn new(
        requests: Requests,
        identity: watch::Receiver<Identity>,
        policy_mode: String,
        way_out: WayOut,
    ) -> Self {
        Self {
            requests,
            identity,
            policy_mode,
            way_out,
        }
    }

    fn added(&self, placement: Placement) -> AddNetworkReply {
        let identity = self.identity.borrow().clone();
        let mut vpc_cidrs = identity
            .map(|identity| identity.vpc_cidrs.clone())
            .unwrap_or_default();
        let external_snat = self.way_out.snat == Snat::External;
        if !external_snat {
            vpc_cidrs.extend(&self.way_out.excluded);
        }
        AddAnswer {
            placement,
            external_snat,
            vpc_cidrs,
        }
        .into()
    }
}

#[tonic::async_trait]
impl CniBackend for Api {
    async fn add_network(
        &self,
        request: Request<AddNetworkRequest>,
    ) -> Result<Response<AddNetworkReply>, Status> {
        let deadline = deadline(request.metadata(), clock::boot());
        let (key, pod) = request.get_ref().question().map_err(refuse_bad)?;
        let (container, named) = (key.container.clone(), pod.to_string());
        let pending = self
            .requests
            .ask(Ask::Add { key, pod, deadline })
            .map_err(|error| refuse_add(&not_taken(error)))?;
        tracing::debug!(container_id = container, pod = named, "ADD received");
        match pending.answer().await {
            Some(Answer::Added(grant)) => {
                let placement = Placement {
                    address: grant.address,
                    device: grant.index,
                    table: grant.table,
                };
                Ok(Response::new(self.added(placement)))
            }
            Some(Answer::Refused(reason)) => Err(refuse_add(&reason)),
            Some(Answer::Deleted(_) | Answer::UnknownPod) => {
                Err(Status::internal("an ADD was answered like a DEL"))
            }
            None => Err(refuse_add(&Reason::Stopping)),
        }
    }

    async fn del_network(
        &self,
        request: Request<DelNetworkRequest>,
    ) -> Result<Response<DelNetworkReply>, Status> {
        let deadline = deadline(request.metadata(), clock::boot());
        let (key, _pod) = request.get_ref().question().map_err(refuse_bad)?;
        let pending = self
            .requests
            .ask(Ask::Del { key, deadline })
            .map_err(|error| refuse_del(&not_taken(error)))?;
        match pending.answer().await {
            Some(Answer::Deleted(grant)) => {
                let placement = Placement {
                    address: grant.address,
                    device: grant.index,
                    table: grant.table,
                };
                Ok(Response::new(placement.into()))
            }
            Some(Answer::UnknownPod) => Err(unknown_pod()),
            Some(Answer::Refused(reason)) => Err(refuse_del(&reason)),
            Some(Answer::Added(_)) => Err(Status::internal("a DEL was answered like an ADD")),
            None => Err(refuse_del(&Reason::Stopping)),
        }
    }
}

#[tonic::async_trait]
impl ConfigServerBackend for Api {
    async fn get_network_policy_configs(
        &self,
        _request: Request<()>,
    ) -> Result<Response<NetworkPolicyAgentConfigReply>, Status> {
        let identity = self.identity.borrow().clone();
        let identity = identity
            .ok_or_else(|| Status::unavailable("the instance's metadata has not been read yet"))?;
        Ok(Response::new(NetworkPolicyAgentConfigReply {
            network_policy_mode: self.policy_mode.clone(),
            node_i_pv4: identity.local_ipv4.to_string(),
            instance_id: identity.instance.to_string(),
            region: identity.region.clone(),
            ..NetworkPolicyAgentConfigReply::default()
        }))
    }
}

fn refuse_bad(error: BadRequest) -> Status {
    let message = error.to_string();
    match error {
        BadRequest::Empty(_) => Status::invalid_argument(message),
        BadRequest::MultiNic => Status::unimplemented(message),
    }
}

fn not_taken(error: AskError) -> Reason {
    match error {
        AskError::Busy { waiting } => Reason::Busy {
            waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
        },
        AskError::Ended => Reason::Stopping,
    }
}

/// When the answer is due: the caller's own limit less the way back, at least half of it, at most 90 s.
fn deadline(metadata: &MetadataMap, now: Instant) -> Instant {
    let limit = metadata
        .get("grpc-timeout")
        .and_then(|value| value.to_str().ok())
        .and_then(parse_timeout);
    let wait = limit.map_or(LONGEST_WAIT, |limit| {
        limit
            .saturating_sub(WAY_BACK)
            .max(limit / 2)
            .min(LONGEST_WAIT)
    });
    now.after(wait)
}

/// The value of gRPC's `grpc-timeout`: at most eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(timeout: &str) -> u64 {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", timeout.parse().unwrap());
        deadline(&metadata, Instant(1000)).0 - 1000
    }

    #[test]
    fn a_caller_is_answered_two_seconds_before_it_gives_up_and_never_later_than_90_seconds() {
        for (timeout, milliseconds) in [
            ("90S", 88_000),
            ("5S", 3_000),
            ("200S", 90_000),
            ("5000m", 3_000),
            ("89999999u", 87_999),
            ("2S", 1_000),
            ("100m", 50),
            ("1H", 90_000),
            ("1M", 58_000),
            ("99999999n", 49),
            ("0S", 0),
        ] {
            assert_eq!(waits(timeout), milliseconds, "{timeout}");
        }
    }

    #[test]
    fn a_missing_or_strange_limit_means_90_seconds() {
        assert_eq!(deadline(&MetadataMap::new(), Instant(5)), Instant(90_005));
        for strange in ["S", "5", "-5S", "5 S", "123456789S", "5x", "soon"] {
            assert_eq!(waits(strange), 90_000, "{strange}");
        }
    }
}
