//! What the machine tells, as log lines with fixed messages and fields.
//!
//! Owns: level and wording of every notice. Must not: decide, or log what an environment variable or credential says.
//! Driven by: `run`.

use ipam::notice::Notice;
use model::id::EniId;
use model::pod::{PodKey, PodName};
use std::net::Ipv4Addr;
use std::time::Duration;
use tracing::{debug, error, info, warn};

/// Logs a notice: INFO for what an operator asked about, WARN when degraded, ERROR when something was lost.
pub(crate) fn tell(notice: &Notice) {
    match notice {
        Notice::Waiting { what, retry } => {
            warn!(waiting_for = %what, retry_ms = millis(*retry), "start-up waits");
        }
        Notice::Serving { enis, restored } => {
            info!(enis, restored, "start-up finished, pods are served")
        }
        Notice::Added {
            key,
            pod,
            address,
            eni,
            waited,
        } => {
            let eni_id = eni.as_ref().map(EniId::as_str);
            Pod {
                key,
                pod: Some(pod),
            }
            .info(
                *address,
                eni_id,
                Some(millis(*waited)),
                "address given to a pod",
            );
        }
        Notice::Deleted { key, address } => {
            Pod { key, pod: None }.info(*address, None, None, "address released by a pod")
        }
        Notice::Refused { key, pod, reason } => {
            let container_id = key.container.as_str();
            warn!(container_id, interface = key.interface, %pod, %reason, "no address for a pod");
        }
        Notice::StillWaiting {
            key,
            pod,
            waited,
            reason,
        } => {
            let (container_id, waited_ms) = (key.container.as_str(), millis(*waited));
            warn!(container_id, interface = key.interface, %pod, waited_ms, %reason, "a pod still waits for an address");
        }
        Notice::Abandoned {
            key,
            pod,
            waited,
            waiters,
        } => {
            let (container_id, waited_ms) = (key.container.as_str(), millis(*waited));
            info!(container_id, interface = key.interface, %pod, waited_ms, waiters, "a pod's ADD was given up by its caller");
        }
        Notice::Swept { key, pod, address } => {
            let container_id = key.container.as_str();
            warn!(container_id, interface = key.interface, %pod, %address, "address released without a DEL: the pod's link is gone");
        }
        Notice::Dropped { key, address, why } => {
            let container_id = key.container.as_str();
            warn!(container_id, interface = key.interface, %address, why, "restored entry not taken over");
        }
        Notice::AddressLost { key, address } => {
            let container_id = key.container.as_str();
            error!(container_id, interface = key.interface, %address, "a pod holds an address that EC2 took from this node");
        }
        Notice::HeldByLink { address, link } => {
            warn!(%address, link, "address is routed to a link of an unknown pod; given to nobody until the link is gone");
        }
        other => tell_node(other),
    }
}

/// Notices about EC2, ENIs and files.
fn tell_node(notice: &Notice) {
    match notice {
        Notice::Called {
            call, error: None, ..
        } if call.mutating() => info!(action = call.action().name(), %call, "EC2 call done"),
        Notice::Called {
            call, error: None, ..
        } => debug!(action = call.action().name(), %call, "EC2 call done"),
        Notice::Called {
            call,
            error: Some(error),
            retry,
        } => {
            let retry_ms = retry.map(millis);
            warn!(action = call.action().name(), %call, error, retry_ms, "EC2 call failed");
        }
        Notice::LimitsAssumed {
            instance_type,
            enis,
            slots,
            error,
        } => {
            warn!(
                instance_type,
                enis,
                addresses_per_eni = slots,
                error,
                "EC2 does not tell what the instance type allows; working with the least, asking again"
            );
        }
        Notice::LimitsKnown {
            instance_type,
            enis,
            slots,
        } => info!(
            instance_type,
            enis,
            addresses_per_eni = slots,
            "EC2 tells what the instance type allows"
        ),
        Notice::EniUsable { eni } => info!(eni_id = %eni, "ENI can be used for pods"),
        Notice::EniGone { eni, by_us: true } => info!(eni_id = %eni, "ENI given back"),
        Notice::EniGone { eni, by_us: false } => {
            error!(eni_id = %eni, "ENI was taken from this node by somebody else")
        }
        Notice::EniNotReady { eni, why } => {
            warn!(eni_id = %eni, why, "ENI is attached but cannot be used yet")
        }
        Notice::WriteFailed { error, retry } => {
            error!(
                error,
                retry_ms = millis(*retry),
                "a state file cannot be written"
            );
        }
        Notice::RangesChanged(ranges) => info!(?ranges, "the VPC has other address ranges"),
        Notice::RangesUnread(error) => {
            warn!(
                error,
                "the VPC's address ranges cannot be read again; the known ones stay"
            )
        }
        Notice::UnknownCompletion => warn!("a completion of an unknown operation was dropped"),
        Notice::BackingOff { action, retry } => {
            warn!(
                action = action.name(),
                retry_ms = millis(*retry),
                "EC2 action is not tried for a while"
            );
        }
        other => debug!(notice = ?other, "notice"),
    }
}

/// The one line of an ADD or DEL.
struct Pod<'a> {
    key: &'a PodKey,
    pod: Option<&'a PodName>,
}

impl Pod<'_> {
    fn info(
        &self,
        address: Ipv4Addr,
        eni_id: Option<&str>,
        waited_ms: Option<u64>,
        message: &'static str,
    ) {
        let (container_id, interface) = (self.key.container.as_str(), self.key.interface.as_str());
        let pod = self.pod.map(tracing::field::display);
        info!(container_id, interface, pod, %address, eni_id, waited_ms, "{message}");
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
