//! The states of one address on a known ENI. Must not: change one; the inventory derives it from what it knows.
//!
//! ```text
//!          assign                release                 time
//!   Free ─────────► Held ───────────────────► Cooling ─────────► Free
//!    │ start_leaving  │ EC2 took it     ▲ the link is gone
//!    ▼                ▼                 │
//!   Leaving ► gone   Lost ► gone    HeldByLink
//! ```

use model::time::Instant;

/// State of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressState {
    /// May be given to a pod or back to EC2.
    Free,
    /// A pod holds it.
    Held,
    /// Released; may be given to a pod from `until` on.
    Cooling {
        /// End of the cooldown; that instant is after it.
        until: Instant,
    },
    /// Being given back to EC2.
    Leaving,
    /// A link of the host routes it, though nobody is known to hold it.
    HeldByLink,
    /// EC2 took it while a pod held it; it goes when the pod lets go, and is never given out again.
    Lost,
}

impl AddressState {
    /// Whether a pod could get it at `now`.
    pub fn is_assignable(self, now: Instant) -> bool {
        match self {
            Self::Free => true,
            Self::Cooling { until } => until <= now,
            Self::Held | Self::Leaving | Self::HeldByLink | Self::Lost => false,
        }
    }
}
