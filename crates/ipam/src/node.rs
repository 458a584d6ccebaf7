//! The machine itself: what happened goes in, what to do comes out.
//!
//! Owns the order of things: an event is applied, then everything that has become due is done (`advance`), then the
//! next deadline is computed. Must not: hold logic of its own; each arm delegates.

use crate::boot::{Boot, Restored};
use crate::budget::{Budget, Random};
use crate::commit::Commit;
use crate::effect::{Effect, File, FileContent};
use crate::event::{Event, LinkView, OpId, Outcome};
use crate::hint::Hint;
use crate::host::HostDesk;
use crate::intents::Intents;
use crate::lifecycle::Lifecycle;
use crate::notice::Notice;
use crate::operations::{Operation, Operations};
use crate::pace::Pace;
use crate::requests::Requests;
use crate::sweep::Sweep;
use crate::truth::Truth;
use model::allocation::{BootId, Checkpoint, Extension};
use model::call::Call;
use model::error::CallError;
use model::settings::NodeSettings;
use model::time::{Duration, Instant, Now};
use pool::inventory::Inventory;

/// More than any chain of things that enable each other within one event.
const ROUNDS: usize = 8;

/// How long an EC2 call may take before its outcome is unknown.
pub const CALL_DEADLINE: Duration = Duration::from_secs(15);

/// One node's machine. `handle` is total: no order of events panics.
#[derive(Debug, Clone)]
pub struct Node {
    pub(crate) settings: NodeSettings,
    pub(crate) boot_id: BootId,
    pub(crate) random: Random,
    /// `Some` until start-up has finished.
    pub(crate) boot: Option<Boot>,
    pub(crate) world: crate::boot::World,
    pub(crate) stopping: bool,
    pub(crate) pool: Inventory,
    pub(crate) requests: Requests,
    pub(crate) ops: Operations,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) commit: Commit,
    pub(crate) intents: Intents,
    pub(crate) budget: Budget,
    pub(crate) truth: Truth,
    pub(crate) sweep: Sweep,
    pub(crate) links: Option<LinkView>,
    pub(crate) hint: Hint,
    pub(crate) host: HostDesk,
    pub(crate) pace: Pace,
    next: Option<Instant>,
}

/// Where effects go, and the time they are emitted at.
pub(crate) struct Out<'a> {
    pub(crate) now: Now,
    pub(crate) effects: &'a mut Vec<Effect>,
}

impl Out<'_> {
    pub(crate) fn boot(&self) -> Instant {
        self.now.boot
    }

    pub(crate) fn note(&mut self, notice: Notice) {
        self.effects.push(Effect::Note(notice));
    }
}

impl Node {
    /// A machine that takes over what an earlier process left on disk. `seed` feeds jitter and client tokens.
    pub fn new(settings: NodeSettings, restored: Restored, seed: u64) -> Self {
        let Restored {
            checkpoint,
            journal,
            boot_id,
        } = restored;
        let mut node = Self {
            pool: crate::boot::empty_pool(&settings),
            settings,
            boot_id,
            random: Random::new(seed),
            boot: Some(Boot::default()),
            world: crate::boot::World::default(),
            stopping: false,
            requests: Requests::default(),
            ops: Operations::default(),
            lifecycle: Lifecycle::default(),
            commit: Commit::default(),
            intents: Intents::restore(journal),
            budget: Budget::default(),
            truth: Truth::default(),
            sweep: Sweep::default(),
            links: None,
            hint: Hint::default(),
            host: HostDesk::default(),
            pace: Pace::default(),
            next: None,
        };
        if let Some(checkpoint) = checkpoint {
            node.restore(checkpoint);
        }
        node
    }

    /// Begins start-up.
    pub fn start(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let mut out = Out { now, effects };
        self.requests.begin(now.boot);
        for notice in self
            .boot
            .as_mut()
            .map(|boot| std::mem::take(&mut boot.notices))
            .unwrap_or_default()
        {
            out.note(notice);
        }
        self.advance(&mut out);
    }

    /// Applies one event. Effects are appended in no meaningful order.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        let mut out = Out { now, effects };
        match event {
            Event::Request(id, request) => self.arrive(id, request, &mut out),
            Event::Abandoned(id) => self.abandon(id, &mut out),
            Event::Done(op, outcome) => self.done(op, outcome, &mut out),
            Event::HostState(version, report) => self.host_state(version, report, &mut out),
            Event::Links(links) => self.see_links(links, &mut out),
            Event::Timer => {}
            Event::Shutdown => self.stop(&mut out),
        }
        self.advance(&mut out);
    }

    /// When [`Event::Timer`] is due: later than the last event, and present whenever somebody waits.
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Whether start-up has finished.
    pub fn is_serving(&self) -> bool {
        self.boot.is_none()
    }

    /// Does everything that is due, in the order that lets one thing enable the next, until nothing more follows: a
    /// superfluous event then changes nothing.
    fn advance(&mut self, out: &mut Out<'_>) {
        self.pool.expire(out.boot());
        for _ in 0..ROUNDS {
            let before = out.effects.len();
            self.advance_boot(out);
            self.expire(out);
            self.serve(out);
            self.advance_limits(out);
            self.advance_hint(out);
            self.advance_truth(out);
            self.advance_lifecycle(out);
            let empty_handed = self.empty_handed();
            self.plan(empty_handed.len(), out);
            self.refuse_hopeless(empty_handed, out);
            self.tell_slow(out);
            self.update_host(out);
            self.flush(out);
            if out.effects.len() == before {
                break;
            }
        }
        self.next = self.next_deadline(out.boot());
    }

    /// Starts the writes that are due.
    fn flush(&mut self, out: &mut Out<'_>) {
        if self.intents.expire(out.boot()) {
            self.commit.touch(File::Journal);
        }
        for file in self.commit.due(out.boot()) {
            let content = match file {
                File::Checkpoint => FileContent::Checkpoint(self.checkpoint(out.boot())),
                File::Journal => FileContent::Journal(self.intents.journal()),
            };
            let op = self.ops.start(Operation::Write(file));
            self.commit.began(file, op);
            out.effects.push(Effect::Write(op, content));
        }
    }

    fn checkpoint(&self, now: Instant) -> Checkpoint {
        Checkpoint {
            allocations: self.pool.allocations().cloned().collect(),
            extension: Some(Extension {
                boot_id: self.boot_id.clone(),
                cooling: self.pool.cooling(now),
            }),
        }
    }

    /// Sends an EC2 request; a mutation leaves when its intent is durable.
    pub(crate) fn call(&mut self, call: Call, out: &mut Out<'_>) {
        let began = out.boot();
        self.budget.sent(call.action(), began);
        if !call.mutating() {
            let op = self.ops.start(Operation::Call {
                call: call.clone(),
                intent: None,
                began,
            });
            out.effects.push(Effect::Call(op, call, CALL_DEADLINE));
            return;
        }
        let (number, changed) = self.intents.announce(&call);
        if changed {
            self.commit.touch(File::Journal);
        }
        let op = self.ops.start(Operation::Call {
            call: call.clone(),
            intent: Some(number),
            began,
        });
        self.commit.after(
            File::Journal,
            Effect::Call(op, call, CALL_DEADLINE),
            out.effects,
        );
    }

    fn done(&mut self, op: OpId, outcome: Outcome, out: &mut Out<'_>) {
        let Some(operation) = self.ops.end(op) else {
            out.note(Notice::UnknownCompletion);
            return;
        };
        match (operation, outcome) {
            (Operation::Write(file), outcome) => {
                let result = match outcome {
                    Outcome::Written(result) => result,
                    Outcome::Called(_) | Outcome::Imds(_) | Outcome::Unknown => {
                        Err("the write was lost".to_owned())
                    }
                };
                self.written(file, result, out);
            }
            (
                Operation::Call {
                    call,
                    intent,
                    began,
                },
                outcome,
            ) => {
                let result = match outcome {
                    Outcome::Called(result) => result,
                    Outcome::Written(_) | Outcome::Imds(_) | Outcome::Unknown => {
                        Err(CallError::Unknown("no answer".to_owned()))
                    }
                };
                self.called(
                    crate::outcome::Ended {
                        call,
                        intent,
                        began,
                    },
                    result,
                    out,
                );
            }
            (Operation::Imds, Outcome::Imds(result)) => {
                self.metadata_read(result.map(|metadata| *metadata), out)
            }
            (Operation::Imds, Outcome::Called(_) | Outcome::Written(_) | Outcome::Unknown) => {
                self.metadata_read(Err("no answer from IMDS".to_owned()), out);
            }
        }
    }

    fn written(&mut self, file: File, result: Result<(), String>, out: &mut Out<'_>) {
        let error = result.clone().err();
        let mut released = Vec::new();
        let retry = self
            .commit
            .complete(file, out.boot(), result, &mut released);
        for effect in released {
            self.emit(effect, out);
        }
        if let (Some(error), Some(retry)) = (error, retry) {
            out.note(Notice::WriteFailed { error, retry });
        }
    }

    /// The earliest time at which something is due, always later than now: what was due now has been done.
    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let boot = self.boot.as_ref().and_then(|boot| boot.retry_at);
        let cooldown = if self.requests.waiters() > 0 {
            self.pool.next_cooldown_end(now)
        } else {
            None
        };
        self.requests
            .deadlines()
            .chain(self.commit.retries())
            .chain(self.budget.retries())
            .chain(self.lifecycle.retries())
            .chain(
                [boot, cooldown, self.intents.next_expiry()]
                    .into_iter()
                    .flatten(),
            )
            .chain(self.pace.deadlines())
            .chain(self.hint.deadlines())
            .chain(self.truth.second_read_due())
            .chain(self.truth.second_look_due())
            .filter(|at| *at > now)
            .min()
    }
}
