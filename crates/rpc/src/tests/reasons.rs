//! Each reason, as the wire carries it.

use crate::reason::{
    NO_ADDRESS, UNKNOWN_POD, is_unknown_pod, refusal, refuse_add, refuse_del, unknown_pod,
};
use crate::wire::RefusalKind;
use model::call::Action;
use model::reason::Reason;
use prost::Message;
use std::collections::BTreeSet;
use tonic::{Code, Status};

fn table() -> Vec<(Reason, Code, RefusalKind)> {
    let (action, text, retry_secs) = (Action::AssignPrivateIpAddresses, "x".to_owned(), 7);
    let subnet = "subnet-0a".parse().unwrap();
    vec![
        (
            Reason::NodeLimit {
                limit: 12,
                held: 11,
                cooling: 1,
            },
            Code::ResourceExhausted,
            RefusalKind::NodeLimit,
        ),
        (
            Reason::ProvisioningOff {
                total: 9,
                held: 9,
                cooling: 0,
            },
            Code::ResourceExhausted,
            RefusalKind::ProvisioningOff,
        ),
        (
            Reason::EniLimit {
                enis: 3,
                action,
                text: text.clone(),
                retry_secs,
            },
            Code::ResourceExhausted,
            RefusalKind::EniLimit,
        ),
        (
            Reason::AddressLimit {
                eni: "eni-0a".parse().unwrap(),
                addresses: 9,
                text: text.clone(),
                retry_secs,
            },
            Code::ResourceExhausted,
            RefusalKind::AddressLimit,
        ),
        (
            Reason::Cooling {
                limit: 27,
                held: 20,
                cooling: 7,
                first_secs: 30,
            },
            Code::ResourceExhausted,
            RefusalKind::Cooling,
        ),
        (
            Reason::Deadline {
                waited_secs: 88,
                pending: text.clone(),
            },
            Code::DeadlineExceeded,
            RefusalKind::Deadline,
        ),
        (
            Reason::SubnetFull { subnet, retry_secs },
            Code::ResourceExhausted,
            RefusalKind::SubnetFull,
        ),
        (
            Reason::Throttled { action, retry_secs },
            Code::ResourceExhausted,
            RefusalKind::Throttled,
        ),
        (
            Reason::Denied { action, retry_secs },
            Code::PermissionDenied,
            RefusalKind::Denied,
        ),
        (
            Reason::Refused {
                action,
                text: text.clone(),
                retry_secs,
            },
            Code::FailedPrecondition,
            RefusalKind::Refused,
        ),
        (
            Reason::Unreachable {
                action,
                text: text.clone(),
                retry_secs,
            },
            Code::FailedPrecondition,
            RefusalKind::Unreachable,
        ),
        (
            Reason::Attaching {
                eni: "eni-0a".parse().unwrap(),
                pending: text.clone(),
            },
            Code::DeadlineExceeded,
            RefusalKind::Attaching,
        ),
        (
            Reason::NotReady { what: text.clone() },
            Code::Unavailable,
            RefusalKind::NotReady,
        ),
        (
            Reason::CheckpointNotWritable { text: text.clone() },
            Code::FailedPrecondition,
            RefusalKind::CheckpointNotWritable,
        ),
        (
            Reason::JournalNotWritable { text: text.clone() },
            Code::FailedPrecondition,
            RefusalKind::JournalNotWritable,
        ),
        (Reason::Deleted, Code::Aborted, RefusalKind::Deleted),
        (
            Reason::Superseded { container: text },
            Code::Aborted,
            RefusalKind::Superseded,
        ),
        (
            Reason::Busy { waiting: 256 },
            Code::ResourceExhausted,
            RefusalKind::Busy,
        ),
        (Reason::Stopping, Code::Unavailable, RefusalKind::Stopping),
    ]
}

#[test]
fn a_refused_add_says_upstreams_phrase_then_the_reason_and_carries_it_typed() {
    for (reason, code, kind) in table() {
        let status = refuse_add(&reason);
        assert_eq!(status.code(), code, "{reason}");
        assert_eq!(status.message(), format!("{NO_ADDRESS}: {reason}"));
        let refusal = refusal(&status).expect("a typed detail");
        assert_eq!(
            (refusal.kind(), refusal.retryable),
            (kind, reason.is_retryable()),
            "{reason}"
        );
        assert_eq!(refusal.text, reason.to_string());
        assert!(!is_unknown_pod(&status), "{reason}");
    }
}

#[test]
fn every_reason_has_a_kind_of_its_own() {
    let kinds: BTreeSet<i32> = table()
        .iter()
        .map(|(_, _, kind)| i32::from(*kind))
        .collect();
    assert_eq!(kinds.len(), table().len());
    assert_eq!(
        kinds.len() + 2,
        21,
        "all of the enum but `unspecified` and `unknown pod`"
    );
}

#[test]
fn what_the_daemon_calls_unavailable_can_be_asked_again() {
    for (reason, code, _) in table() {
        assert!(
            code != Code::Unavailable || reason.is_retryable(),
            "{reason}"
        );
    }
}

/// google.rpc.Status as grpc-go decodes it: field 1 the code, field 2 the message.
#[derive(Clone, PartialEq, Message)]
struct AsGoReadsIt {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

#[test]
fn a_client_that_replaces_code_and_text_by_those_in_the_details_reads_the_same() {
    for status in [
        refuse_add(&Reason::Deleted),
        refuse_del(&Reason::Stopping),
        unknown_pod(),
    ] {
        let read = AsGoReadsIt::decode(status.details()).expect("google.rpc.Status");
        assert_eq!(
            (read.code, read.message.as_str()),
            (i32::from(status.code()), status.message())
        );
    }
}

#[test]
fn an_unknown_pod_is_recognised_from_our_daemon_and_from_upstreams() {
    assert!(is_unknown_pod(&unknown_pod()));
    assert_eq!(unknown_pod().code(), Code::Unknown);
    let upstream = Status::unknown(format!("1 error occurred:\n\t* {UNKNOWN_POD}\n\n"));
    assert!(is_unknown_pod(&upstream));
    assert_eq!(refusal(&upstream), None);
    assert!(!is_unknown_pod(&Status::unknown(
        "datastore: pod of another kind"
    )));
}

#[test]
fn details_of_somebody_else_are_no_refusal() {
    for details in [&b""[..], b"\xff\xff\xff", b"\x08\x05"] {
        let status = Status::with_details(Code::Internal, "x", details.to_vec().into());
        assert_eq!(refusal(&status), None, "{details:?}");
    }
}
