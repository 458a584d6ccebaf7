//! P7: no silent stall. Whoever waits for an address is either refused, or something is on its way for them: an
//! operation in flight, a kernel that is not ready, or a timer at which the node does more than refuse them.

use super::{Check, Invariant, violated};
use crate::seam::Seam;
use ipam::effect::Effect;
use ipam::event::{Event, LinkView};
use model::time::{Duration, Instant, Now};

/// What could still come for whoever waits.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Start-up has finished and nobody told the process to stop.
    pub served: bool,
    /// When the first answer to an ADD is due.
    pub first_due: Option<Instant>,
    /// Operations in flight.
    pub in_flight: usize,
    /// The host is not yet as wanted, or the node has not looked at it since it changed.
    pub host_pending: bool,
}

/// How long after the first deadline the node may wait before it tries again.
const PATIENCE: Duration = Duration::from_secs(60);

/// The node sees the host's links at least so often.
const LOOKS: Duration = Duration::from_secs(30);

/// After every event.
pub fn check(now: Now, seam: &Seam, progress: &Progress, look: impl FnOnce() -> LinkView) -> Check {
    let Some(due) = progress.first_due else {
        return Ok(());
    };
    let at = now.boot;
    let Some(deadline) = seam.deadline() else {
        return violated(
            Invariant::Stalled,
            format!("an ADD waits at {at} and no timer is set"),
        );
    };
    let moves = progress.in_flight > 0 || progress.host_pending || deadline < due;
    if moves || !progress.served || will_act(now, seam, due.after(PATIENCE), look()) {
        return Ok(());
    }
    violated(
        Invariant::Stalled,
        format!("an ADD waits at {at} until {due}, and nothing is under way for it"),
    )
}

/// Whether a copy of the machine, left alone with its timers and the links as they are, begins anything by then: it may
/// wait for an allocation without a link to be swept.
fn will_act(now: Now, seam: &Seam, until: Instant, links: LinkView) -> bool {
    let (mut seam, mut now, mut look_at) = (seam.clone(), now, now.boot.after(LOOKS));
    loop {
        let timer = seam.deadline().filter(|at| *at < look_at);
        now.boot = timer.unwrap_or(look_at);
        if now.boot > until {
            break;
        }
        let event = if timer.is_some() {
            Event::Timer
        } else {
            look_at = look_at.after(LOOKS);
            Event::Links(links.clone())
        };
        let mut effects = Vec::new();
        seam.handle(now, event, &mut effects);
        let acts = |effect: &Effect| !matches!(effect, Effect::Reply(..) | Effect::Note(_));
        if effects.iter().any(acts) {
            return true;
        }
    }
    false
}
