//! What the runtime is told when no address came: the daemon's reason in its words, under the right CNI code.
//! Must not: look at texts to decide (the typed reason and the status code do).

use crate::ask::AskError;
use cni::error::{CniError, Code};
use rpc::convert::BadReply;
use rpc::reason::{NO_ADDRESS, refusal};
use rpc::wire::RefusalKind;
use std::error::Error;
use tonic::Status;

/// The error of an ADD whose question failed.
pub fn of_question(error: &AskError) -> CniError {
    match error {
        AskError::Status(status) => of_status(status),
        AskError::Runtime(_) | AskError::Absent { .. } => {
            CniError::new(Code::TryAgain, no_address(&chain(error)))
        }
        AskError::Connect(_) => CniError::new(Code::Refused, no_address(&chain(error))),
    }
}

/// The error of an ADD whose answer is of no use. Upstream's daemon says `Success=false` when it has no address left.
pub fn of_reply(error: &BadReply) -> CniError {
    let code = match error {
        BadReply::Failure => Code::TryAgain,
        BadReply::Count(_)
        | BadReply::Address(_)
        | BadReply::Place { .. }
        | BadReply::Unsupported(_) => Code::BadAnswer,
    };
    CniError::new(code, no_address(&error.to_string()))
}

/// An error and its causes on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // The transport repeats its cause in its own text.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

fn of_status(status: &Status) -> CniError {
    match refusal(status) {
        Some(refusal) => {
            let code = match (refusal.kind(), refusal.retryable) {
                (_, true) => Code::TryAgain,
                (RefusalKind::NodeLimit, false) => Code::NodeLimit,
                (RefusalKind::ProvisioningOff, false) => Code::ProvisioningOff,
                (RefusalKind::EniLimit, false) => Code::EniLimit,
                (RefusalKind::AddressLimit, false) => Code::AddressLimit,
                (RefusalKind::Denied, false) => Code::Denied,
                (RefusalKind::Deleted, false) => Code::Deleted,
                (RefusalKind::Superseded, false) => Code::Superseded,
                (_, false) => Code::Refused,
            };
            CniError::new(code, no_address(&refusal.text))
                .with_details(refusal.kind().as_str_name())
        }
        None if rpc::client::is_broken_connection(status) => {
            let cause = status.source().map(chain).unwrap_or_default();
            CniError::new(
                Code::TryAgain,
                no_address(&format!("the connection to the node daemon broke: {cause}")),
            )
        }
        None => CniError::new(
            code_of_untyped(status),
            no_address(&AskError::Status(status.clone()).to_string()),
        ),
    }
}

/// Upstream's daemon, or a limit of time that passed: the status code is all there is.
fn code_of_untyped(status: &Status) -> Code {
    use tonic::Code::{Aborted, Cancelled, DeadlineExceeded, ResourceExhausted, Unavailable};
    let is_passing = matches!(
        status.code(),
        Aborted | Cancelled | DeadlineExceeded | ResourceExhausted | Unavailable
    );
    if is_passing {
        Code::TryAgain
    } else {
        Code::Refused
    }
}

fn no_address(reason: &str) -> String {
    if reason.contains(NO_ADDRESS) {
        reason.to_owned()
    } else {
        format!("{NO_ADDRESS}: {reason}")
    }
}
