//! Client tokens: a create repeated with its token makes nothing new. Must not: expire them (EC2 keeps them for a day).

use crate::eni::Interface;
use crate::error::{Code, Error, value};
use crate::request::CreateInterface;
use crate::vpc::Vpc;
use model::id::EniId;

/// What a token stands for.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    create: CreateInterface,
    eni: EniId,
    /// The first answer, given again when the ENI is gone.
    first: Interface,
}

impl Vpc {
    /// The ENI that an earlier call with the same token made.
    pub(crate) fn repeated(&self, create: &CreateInterface) -> Result<Option<Interface>, Error> {
        let Some(token) = &create.client_token else {
            return Ok(None);
        };
        if token.is_empty() || token.len() > 64 || !token.is_ascii() {
            return Err(value("The client token must be 1 to 64 ASCII characters."));
        }
        match self.tokens.get(token) {
            None => Ok(None),
            Some(earlier) if earlier.create != *create => Err(Error::new(
                Code::IdempotentParameterMismatch,
                "The client token was used before with other parameters.",
            )),
            Some(earlier) => Ok(Some(
                self.interface(&earlier.eni)
                    .unwrap_or(&earlier.first)
                    .clone(),
            )),
        }
    }

    pub(crate) fn remember(&mut self, create: CreateInterface, eni: &EniId, first: &Interface) {
        if let Some(token) = create.client_token.clone() {
            self.tokens.insert(
                token,
                Remembered {
                    create,
                    eni: eni.clone(),
                    first: first.clone(),
                },
            );
        }
    }
}
