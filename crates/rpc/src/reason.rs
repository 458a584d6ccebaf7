//! How a refusal travels: a status whose text people and upstream's plugin read, with a typed [`Refusal`] in its details.
//! Must not: know CNI codes (the plugin maps kinds to them). The only place where text of a status is looked at.

use crate::wire::{Refusal, RefusalKind};
use model::reason::Reason;
use prost::Message;
use tonic::{Code, Status};

/// Every refused ADD says this first: log searches and alerts of upstream's users look for it.
pub const NO_ADDRESS: &str = "failed to assign an IP address to container";

/// Upstream's plugin takes a DEL error that contains exactly this as success.
pub const UNKNOWN_POD: &str = "datastore: unknown pod";

/// The status that refuses an ADD.
pub fn refuse_add(reason: &Reason) -> Status {
    let refusal = Refusal {
        kind: kind(reason).into(),
        retryable: reason.is_retryable(),
        text: reason.to_string(),
    };
    status(code(reason), format!("{NO_ADDRESS}: {reason}"), refusal)
}

/// The status that refuses a DEL which could not be carried out (the daemon is stopping).
pub fn refuse_del(reason: &Reason) -> Status {
    let refusal = Refusal {
        kind: kind(reason).into(),
        retryable: reason.is_retryable(),
        text: reason.to_string(),
    };
    status(
        code(reason),
        format!("failed to release the address of the container: {reason}"),
        refusal,
    )
}

/// The status that answers the DEL of a pod that holds nothing. Its code is upstream's.
pub fn unknown_pod() -> Status {
    let refusal = Refusal {
        kind: RefusalKind::UnknownPod.into(),
        retryable: false,
        text: UNKNOWN_POD.to_owned(),
    };
    status(Code::Unknown, UNKNOWN_POD.to_owned(), refusal)
}

/// The typed reason in a status; `None` when its sender is upstream's daemon, or when the status was not sent at all.
pub fn refusal(status: &Status) -> Option<Refusal> {
    let rich = RichStatus::decode(status.details()).ok()?;
    let detail = rich
        .details
        .iter()
        .find(|detail| detail.type_url == REFUSAL_TYPE)?;
    Refusal::decode(detail.value.as_slice()).ok()
}

/// Whether a DEL failed only because the pod holds nothing, be it our daemon or upstream's that says so.
pub fn is_unknown_pod(status: &Status) -> bool {
    status.message().contains(UNKNOWN_POD)
}

/// Which code. `Unavailable` is kept for "ask again at once": the plugin does.
fn code(reason: &Reason) -> Code {
    match reason {
        Reason::NodeLimit { .. }
        | Reason::ProvisioningOff { .. }
        | Reason::EniLimit { .. }
        | Reason::AddressLimit { .. }
        | Reason::Cooling { .. }
        | Reason::SubnetFull { .. }
        | Reason::Throttled { .. }
        | Reason::Busy { .. } => Code::ResourceExhausted,
        Reason::Deadline { .. } | Reason::Attaching { .. } => Code::DeadlineExceeded,
        Reason::Denied { .. } => Code::PermissionDenied,
        Reason::Refused { .. }
        | Reason::Unreachable { .. }
        | Reason::CheckpointNotWritable { .. }
        | Reason::JournalNotWritable { .. } => Code::FailedPrecondition,
        Reason::NotReady { .. } | Reason::Stopping => Code::Unavailable,
        Reason::Deleted | Reason::Superseded { .. } => Code::Aborted,
    }
}

fn kind(reason: &Reason) -> RefusalKind {
    match reason {
        Reason::NodeLimit { .. } => RefusalKind::NodeLimit,
        Reason::ProvisioningOff { .. } => RefusalKind::ProvisioningOff,
        Reason::EniLimit { .. } => RefusalKind::EniLimit,
        Reason::AddressLimit { .. } => RefusalKind::AddressLimit,
        Reason::Cooling { .. } => RefusalKind::Cooling,
        Reason::Deadline { .. } => RefusalKind::Deadline,
        Reason::SubnetFull { .. } => RefusalKind::SubnetFull,
        Reason::Throttled { .. } => RefusalKind::Throttled,
        Reason::Denied { .. } => RefusalKind::Denied,
        Reason::Refused { .. } => RefusalKind::Refused,
        Reason::Unreachable { .. } => RefusalKind::Unreachable,
        Reason::Attaching { .. } => RefusalKind::Attaching,
        Reason::NotReady { .. } => RefusalKind::NotReady,
        Reason::CheckpointNotWritable { .. } => RefusalKind::CheckpointNotWritable,
        Reason::JournalNotWritable { .. } => RefusalKind::JournalNotWritable,
        Reason::Deleted => RefusalKind::Deleted,
        Reason::Superseded { .. } => RefusalKind::Superseded,
        Reason::Busy { .. } => RefusalKind::Busy,
        Reason::Stopping => RefusalKind::Stopping,
    }
}

const REFUSAL_TYPE: &str = "type.googleapis.com/rpc.Refusal";

/// `google.rpc.Status`. The details of a gRPC status are this message and nothing else: grpc-go, hence upstream's plugin,
/// takes code and text from it when it is present.
#[derive(Clone, PartialEq, Message)]
struct RichStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

fn status(code: Code, message: String, refusal: Refusal) -> Status {
    let detail = Detail {
        type_url: REFUSAL_TYPE.to_owned(),
        value: refusal.encode_to_vec(),
    };
    let rich = RichStatus {
        code: code.into(),
        message: message.clone(),
        details: vec![detail],
    };
    Status::with_details(code, message, rich.encode_to_vec().into())
}
