//! What a failure of the SDK says about the outcome of a call. Must not: look at EC2's codes (`model::error` does), or
//! decide what to do. Driven by: [`crate::ec2`].
//!
//! | what happened | outcome |
//! |---|---|
//! | EC2 answered with one of its errors | what `model::error::classify` says |
//! | an answer without EC2's error document, or one that cannot be read | unknown: someone in between may have answered |
//! | no answer: deadline, connection refused, lost or reset | unknown: the SDK cannot prove that nothing was sent |
//! | no credentials | refused, [`Class::Expired`]: nothing was sent, and waiting cures it (IMDS back, role attached) |
//! | the request could not be built | refused, [`Class::Invalid`]: nothing was sent, a defect of ours |

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use model::error::{CallError, Class, Refusal, classify};
use std::error::Error;
use std::fmt::Display;

/// The code of a refusal for want of credentials; EC2 itself has none.
pub(crate) const NO_CREDENTIALS: &str = "NoCredentials";
/// The code of a refusal for a request that was never sent.
pub(crate) const NOT_BUILT: &str = "RequestNotBuilt";

/// Longest text that is kept for people, in characters.
const LONGEST: usize = 300;

/// The outcome of a call that the SDK reports as failed.
pub(crate) fn outcome<E>(error: SdkError<E, HttpResponse>) -> CallError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match &error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            match answer.err().code().filter(|code| !code.is_empty()) {
                Some(code) => classify(code, answer.err().message().unwrap_or_default(), status),
                None => CallError::Unknown(cut(format!(
                    "answer with status {status} and no EC2 error: {}",
                    chain(&error)
                ))),
            }
        }
        _ if lacks_credentials(&error) => refused(Class::Expired, NO_CREDENTIALS, chain(&error)),
        SdkError::ConstructionFailure(_) => refused(Class::Invalid, NOT_BUILT, chain(&error)),
        _ => CallError::Unknown(cut(chain(&error))),
    }
}

/// A refusal of our own making.
pub(crate) fn refused(class: Class, code: &str, message: String) -> CallError {
    CallError::Refused(Refusal {
        class,
        code: code.to_owned(),
        message: cut(message),
    })
}

/// An answer that lacks what EC2 always sends, or carries what nobody can read. The call may well have been done.
pub(crate) fn unreadable(object: &str, field: &str, problem: impl Display) -> CallError {
    CallError::Unknown(cut(format!(
        "EC2's answer is not readable: {field} of {object}: {problem}"
    )))
}

/// Credentials are looked up between building and sending, so the failure arrives as one of dispatch.
fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<CredentialsError>())
}

/// The error and everything below it, each text once: the SDK's own texts stop at "dispatch failure".
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    text
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

fn cut(text: String) -> String {
    text.chars().take(LONGEST).collect()
}
