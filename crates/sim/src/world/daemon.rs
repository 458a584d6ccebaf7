//! The daemon's process: how it starts, dies, and gets its events. Must not: carry effects out (`world::effects`).

use super::setup::millis;
use super::{Happening, Repeat, World};
use crate::disk::Torn;
use crate::invariant::deadline::Pace;
use crate::invariant::exclusive::InFlight;
use crate::invariant::ids::Ids;
use crate::invariant::reply::Replies;
use crate::invariant::stalled::{self, Progress};
use crate::invariant::{Check, Invariant};
use crate::runtime::Told;
use crate::seam::Seam;
use ipam::boot::Restored;
use ipam::effect::{Effect, HostDesired};
use ipam::event::{Event, OpId, Outcome, RequestId};
use model::allocation::BootId;
use model::time::{Duration, Instant, Now, WallTime};

/// 2024-06-10T17:20:00Z
const EPOCH_SECS: i64 = 1_718_040_000;

/// One process.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) seam: Seam,
    /// When the boot clock was zero.
    booted: Instant,
    pub(super) served: bool,
    /// It was told to stop.
    stopping: bool,
    /// The host is not yet as the newest desired state says: it is tried again from outside.
    pub(super) host_pending: bool,
    /// Looks at links that have changed, on their way.
    pub(super) looks_pending: u32,
    /// The newest desired state of the host.
    pub(super) host: Option<(u64, HostDesired)>,
    pub(super) replies: Replies,
    pub(super) in_flight: InFlight,
    pub(super) ids: Ids,
    pub(super) pace: Pace,
}

impl Daemon {
    /// When a timer is due, in virtual time.
    pub(super) fn timer_at(&self) -> Option<Instant> {
        self.seam.deadline().map(|at| Instant(at.0 + self.booted.0))
    }

    /// What could still come for whoever waits.
    fn progress(&self) -> Progress {
        Progress {
            served: self.served && !self.stopping,
            first_due: self.replies.first_add_due(),
            in_flight: self.in_flight.count(),
            host_pending: self.host_pending || self.looks_pending > 0,
        }
    }
}

impl World<'_> {
    /// A point of virtual time on the boot clock.
    pub(super) fn on_boot_clock(&self, at: Instant) -> Instant {
        Instant(at.0.saturating_sub(self.boot.1.0))
    }

    fn clocks(&self) -> Now {
        let since_epoch = i64::try_from(self.now.0).unwrap_or(i64::MAX) / 1000
            + EPOCH_SECS
            + self.wall_offset_secs;
        Now {
            boot: self.on_boot_clock(self.now),
            wall: WallTime(since_epoch * 1_000_000_000),
        }
    }

    pub(super) fn boot(&mut self, process: u64) -> Check {
        if process != self.process || self.daemon.is_some() {
            return Ok(());
        }
        let (checkpoint, journal) = self
            .disk
            .read()
            .map_err(|text| (Invariant::Durable, text))?;
        if self.oracle.anything_rests(self.now) {
            self.reached.mark("restart inside a cooldown");
        }
        if !journal.is_empty() {
            self.reached.mark("restart with open intents");
        }
        let restored = Restored {
            checkpoint,
            journal,
            boot_id: BootId(format!("boot-{}", self.boot.0)),
        };
        self.trace.line(
            self.now,
            format_args!("process {process} starts in boot {}", self.boot.0),
        );
        self.oracle.restarted();
        let seed = self.random.draw();
        if process > 1 && self.strikes(self.plan.faults.settings_change, 400) {
            self.settings = self.plan.other_settings(&mut self.random);
            self.reached.mark("settings changed at a restart");
        }
        let seam = Seam::new(self.settings.clone(), restored, seed, self.orders.mutant);
        self.daemon = Some(Daemon {
            seam,
            booted: self.boot.1,
            served: false,
            stopping: false,
            host_pending: true,
            looks_pending: 0,
            host: None,
            replies: Replies::default(),
            in_flight: InFlight::default(),
            ids: Ids::default(),
            pace: Pace::default(),
        });
        let links = self.links();
        self.kernel.news(&links);
        self.soon((1, 50), Happening::Look(process, Repeat::Forever));
        self.turn(None)
    }

    /// The machine gets an event.
    pub(super) fn deliver(&mut self, event: Event) -> Check {
        self.turn(Some(event))
    }

    /// One turn of the machine: start-up without an event, or one event; then its effects begin.
    fn turn(&mut self, event: Option<Event>) -> Check {
        let clocks = self.clocks();
        let mut effects = Vec::new();
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        self.events += 1;
        match event {
            None => daemon.seam.start(clocks, &mut effects),
            Some(event) => {
                self.trace.event(self.now, &event);
                daemon.seam.handle(clocks, event, &mut effects);
            }
        }
        let (deadline, count) = (daemon.seam.deadline(), effects.len());
        self.checked
            .count(&[Invariant::Total, Invariant::Deadline, Invariant::Reply]);
        daemon.served |= daemon.seam.is_serving();
        Pace::check_handled(clocks.boot, deadline, count)?;
        for effect in effects {
            if matches!(effect, Effect::Note(_)) {
                self.begin(effect)?;
                continue;
            }
            self.trace.effect(self.now, &effect);
            let dies = self.strikes(self.plan.faults.kill_at_effects, 2);
            let before = dies && self.random.chance(500);
            let Some(effect) = self.endure(effect)? else {
                return Ok(());
            };
            if !before {
                self.begin(effect)?;
            }
            if dies {
                self.reached.mark("killed at an effect");
                return self.kill(Duration::from_millis(200));
            }
        }
        self.checked.count(&[Invariant::Stalled]);
        let Some(daemon) = &self.daemon else {
            return Ok(());
        };
        daemon.replies.check_overdue(clocks.boot)?;
        let look = || self.kernel.look(&self.links());
        stalled::check(clocks, &daemon.seam, &daemon.progress(), look)
    }

    pub(super) fn timer(&mut self) -> Check {
        let boot = self.clocks().boot;
        if let Some(daemon) = &mut self.daemon {
            daemon.pace.timer(boot)?;
        }
        self.deliver(Event::Timer)
    }

    pub(super) fn abandoned(&mut self, process: u64, request: RequestId) -> Check {
        if process != self.process {
            return Ok(());
        }
        if let Some(daemon) = &mut self.daemon {
            daemon.replies.abandoned(request);
        }
        self.deliver(Event::Abandoned(request))
    }

    /// An operation's outcome reaches the machine, now and then a second time.
    pub(super) fn done(&mut self, process: u64, op: OpId, outcome: Outcome) -> Check {
        let Some(daemon) = self.daemon.as_mut().filter(|_| process == self.process) else {
            return Ok(());
        };
        daemon.in_flight.ended(op);
        let again = self
            .strikes(self.plan.faults.duplicates, 10)
            .then(|| Event::Done(op, outcome.clone()));
        self.deliver(Event::Done(op, outcome))?;
        let Some(event) = again else { return Ok(()) };
        self.reached.mark("completion delivered twice");
        self.trace.line(
            self.now,
            format_args!("the completion of #{} is delivered a second time", op.0),
        );
        let clocks = self.clocks();
        let mut effects = Vec::new();
        if let Some(daemon) = &mut self.daemon {
            daemon.seam.handle(clocks, event, &mut effects);
            return Ids::check_ignored(op, &effects);
        }
        Ok(())
    }

    /// The daemon dies now, whatever it does, and another one starts later.
    pub(super) fn kill(&mut self, down: Duration) -> Check {
        let Some(daemon) = self.daemon.take() else {
            return Ok(());
        };
        self.reached.mark("killed");
        if !daemon.served {
            self.reached.mark("killed before it served");
        }
        if daemon.replies.open() > 0 {
            self.reached.mark("killed with requests waiting");
        }
        if self
            .flights
            .values()
            .any(|flight| flight.process == self.process && flight.open && flight.call.mutating())
        {
            self.reached.mark("killed with a mutating call in flight");
        }
        for torn in self.disk.crash(&mut self.random) {
            self.reached.mark(match torn {
                Torn::BecameDurable => "write in flight at the kill became durable",
                Torn::WasLost => "write in flight at the kill was lost",
            });
        }
        self.trace
            .line(self.now, format_args!("process {} is killed", self.process));
        self.reset_callers();
        self.process += 1;
        let process = self.process;
        self.after(down, Happening::Boot(process));
        Ok(())
    }

    pub(super) fn kill_if(&mut self, process: u64, down: Duration) -> Check {
        if process == self.process {
            self.kill(down)
        } else {
            Ok(())
        }
    }

    /// SIGTERM: the machine stops, the process ends within 3 s.
    pub(super) fn terminate(&mut self, down: Duration) -> Check {
        if self.daemon.is_none() {
            return Ok(());
        }
        self.reached.mark("stopped by SIGTERM");
        let process = self.process;
        self.after(Duration::from_secs(3), Happening::Kill(process, down));
        if let Some(daemon) = &mut self.daemon {
            daemon.stopping = true;
        }
        self.deliver(Event::Shutdown)
    }

    /// The node reboots: pods and files go, EC2 stays. What was unassigned before is seen by describes when the next
    /// daemon starts, and late calls of this boot have arrived: the journal is gone, so nobody could know of them.
    pub(super) fn reboot(&mut self) {
        self.reached.mark("rebooted");
        self.trace.line(self.now, format_args!("the node reboots"));
        self.daemon = None;
        self.process += 1;
        self.disk.wipe();
        self.kernel.reboot();
        self.oracle.reboot();
        self.forget_callers();
        let down = Duration::from_millis(self.random.between(30_000, 90_000));
        self.hasten_calls();
        let up = self.now.after(down);
        self.boot = (
            self.boot.0 + 1,
            Instant(up.0 - millis(Duration::from_secs(3))),
        );
        let process = self.process;
        self.after(down, Happening::Boot(process));
    }

    /// Connections end with the process: each caller asks again; an answer on its way arrives or is lost.
    fn reset_callers(&mut self) {
        for id in self
            .runtime
            .clients_where(|client| client.request.is_some())
        {
            let lost = self.random.chance(500);
            let Some(client) = self.runtime.clients.get_mut(&id) else {
                continue;
            };
            client.request = None;
            match client.travelling {
                Some(Told::Address(address)) if lost => {
                    let key = client.key.clone();
                    client.travelling = None;
                    self.oracle.unread(&key, address);
                    self.soon((50, 500), Happening::Arrive(id));
                }
                Some(_) if lost => {
                    client.travelling = None;
                    self.soon((50, 500), Happening::Arrive(id));
                }
                Some(_) => {}
                None => self.soon((50, 500), Happening::Arrive(id)),
            }
        }
    }
}
