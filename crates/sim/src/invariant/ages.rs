//! L6: while the demand stays the same, no ENI is deleted within five minutes of its creation.

use super::{Check, Invariant, violated};
use model::call::Call;
use model::id::EniId;
use model::time::{Duration, Instant};
use std::collections::BTreeMap;

/// An ENI that lives shorter was made for nothing.
const SHORTEST_LIFE: Duration = Duration::from_secs(300);

/// When each ENI was created, as far as the demand has been constant since.
#[derive(Debug, Clone, Default)]
pub struct Ages {
    constant_since: Option<Instant>,
    created: BTreeMap<EniId, Instant>,
}

impl Ages {
    /// From now on the demand doesn't change.
    pub fn constant(&mut self, now: Instant) {
        self.constant_since = Some(now);
        self.created.clear();
    }

    /// EC2 made an ENI.
    pub fn created(&mut self, now: Instant, eni: &EniId) {
        if self.constant_since.is_some() {
            self.created.insert(eni.clone(), now);
        }
    }

    /// A call leaves.
    pub fn call(&mut self, now: Instant, call: &Call) -> Check {
        let Call::DeleteInterface { eni } = call else {
            return Ok(());
        };
        match self.created.get(eni).map(|created| now.since(*created)) {
            Some(age) if age < SHORTEST_LIFE => violated(
                Invariant::Flapping,
                format!(
                    "{eni} is deleted {} s after its creation though nothing changed",
                    age.as_secs()
                ),
            ),
            Some(_) | None => Ok(()),
        }
    }
}
