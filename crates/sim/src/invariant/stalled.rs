//! P7: no silent stall. Whoever waits for an address is either refused, or something is on its way for them: an
//! operation in flight, a kernel that is not ready, a pod without link whose address the sweep releases in time, or a
//! timer at which the node does more than refuse them.

use super::{Check, Invariant, violated};
use crate::seam::Seam;
use ipam::effect::Effect;
use ipam::event::Event;
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

/// After every event.
pub fn check(now: Now, seam: &Seam, progress: &Progress) -> Check {
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
    let swept = || seam.view(at).sweep_due.is_some_and(|swept| swept < due);
    if moves || !progress.served || swept() || will_act(now, seam, due.after(PATIENCE)) {
        return Ok(());
    }
    violated(
        Invariant::Stalled,
        format!("an ADD waits at {at} until {due}, and nothing is under way for it"),
    )
}

/// Whether a copy of the machine, left alone with its timers, begins anything by then.
fn will_act(now: Now, seam: &Seam, until: Instant) -> bool {
    let (mut seam, mut now) = (seam.clone(), now);
    while let Some(at) = seam.deadline().filter(|at| *at <= until) {
        now.boot = at;
        let mut effects = Vec::new();
        seam.handle(now, Event::Timer, &mut effects);
        let acts = |effect: &Effect| !matches!(effect, Effect::Reply(..) | Effect::Note(_));
        if effects.iter().any(acts) {
            return true;
        }
    }
    false
}
