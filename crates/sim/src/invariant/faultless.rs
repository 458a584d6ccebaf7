//! P9: when nothing goes wrong, EC2 never answers that a limit is exceeded, that something doesn't exist, or that a
//! parameter is wrong: the node knew. A full subnet is not the node's doing.

use super::{Check, Invariant, violated};
use model::call::{Call, Reply};
use model::error::{CallError, Class};

/// At every answer of a run without faults.
pub fn check_answer(call: &Call, answer: Option<&Result<Reply, CallError>>) -> Check {
    let Some(Err(CallError::Refused(refusal))) = answer else {
        return Ok(());
    };
    match refusal.class {
        Class::EniLimit
        | Class::AddressLimit
        | Class::AddressesAboveType
        | Class::Quota
        | Class::NotFound
        | Class::AlreadyAssigned
        | Class::TokenMismatch
        | Class::Invalid => violated(
            Invariant::Faultless,
            format!("nothing went wrong, and EC2 refuses {call}: {refusal}"),
        ),
        Class::Throttled
        | Class::SubnetFull
        | Class::SubnetFragmented
        | Class::ConfigurationMissing
        | Class::Denied
        | Class::Expired
        | Class::InUse
        | Class::WrongState
        | Class::Transient => Ok(()),
    }
}
