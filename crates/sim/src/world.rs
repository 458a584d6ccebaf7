//! One run: the machine, the account, the files, the kernel and the callers in virtual time.
//!
//! Owns what exists and the order of what happens. Must not: contain rules of EC2 (`vpc`), of the machine (`ipam`) or
//! judgements (`invariant`). Parts: `world/daemon` (the process and its events), `world/effects` (what it wants done),
//! `world/calls` (EC2), `world/answers` (replies), `world/pods` (callers), `world/steps` and `world/trouble` (the plan),
//! `world/settle` and `world/rest` (the end).

mod answers;
mod blow;
mod calls;
mod daemon;
mod effects;
mod pods;
mod rest;
mod settle;
mod setup;
mod steps;
mod trouble;

use crate::checked::Checked;
use crate::disk::Disk;
use crate::fate::Fate;
use crate::invariant::ages::Ages;
use crate::invariant::budget::Budget;
use crate::invariant::{Check, Invariant, Violation};
use crate::kernel::{Kernel, News};
use crate::mutant::Mutant;
use crate::oracle::Oracle;
use crate::plan::Plan;
use crate::queue::Queue;
use crate::random::Random;
use crate::reached::Reached;
use crate::runtime::{ClientId, Runtime};
use crate::sweep::Kind;
use crate::trace::Trace;
use calls::Flight;
use daemon::Daemon;

use ipam::event::{OpId, Outcome, RequestId};
use model::id::{ClientToken, EniId, InstanceId};
use model::settings::NodeSettings;
use model::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};
use vpc::{Caller, GuestLink, SubnetView, Vpc};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Steps of the plan that were waited for, all but the last one of a broken run certainly taken.
    pub steps: u64,
    /// Events that the machine handled.
    pub events: u64,
    /// What did not hold; the run ends with the first.
    pub violation: Option<Violation>,
    /// What was met.
    pub reached: Reached,
    /// What the machine did to the outside before the end began, in order.
    pub effects: Vec<Kind>,
    /// What was checked how often.
    pub checked: Checked,
    /// What became of the calls that were not simply answered, as far as a plan can say it.
    pub fates: Vec<Fate>,
}

/// What a run is told beside its plan.
#[derive(Debug, Clone, Copy)]
pub struct Orders {
    /// The planted bug.
    pub mutant: Option<Mutant>,
    /// After so many events no further step of the plan is taken.
    pub events: u64,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            mutant: None,
            events: u64::MAX,
        }
    }
}

/// Something that happens at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Happening {
    /// A plugin's request reaches the daemon's socket.
    Arrive(ClientId),
    /// An answer reaches its plugin.
    Answered(ClientId),
    /// A plugin is killed.
    Dies(ClientId),
    /// A plugin has wired its pod.
    Wired(ClientId),
    /// A pod is tried again.
    Retry(usize),
    /// The daemon notices that a caller is gone.
    Abandoned(u64, RequestId),
    /// EC2 carries a call out (or loses it).
    CarryOut(u64),
    /// An outcome reaches the daemon of that number.
    Done(u64, OpId, Box<Outcome>),
    /// A call's time is up.
    Expire(u64),
    /// A write ends.
    Written(u64, OpId, ipam::effect::File),
    /// An IMDS read ends.
    ImdsRead(u64, OpId),
    /// The host is made equal to the newest desired state.
    HostApply(u64),
    /// The host's links are looked at; again and again, or once.
    Look(u64, Repeat),
    /// The daemon is killed.
    Kill(u64, Duration),
    /// The daemon starts.
    Boot(u64),
    /// The Region's quota of ENIs is not used up any more.
    QuotaFree,
}

/// Whether something goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Forever,
    Once,
}

/// Everything that exists during a run.
pub struct World<'t> {
    plan: Plan,
    now: Instant,
    queue: Queue<Happening>,
    vpc: Vpc,
    instance: InstanceId,
    subnet: SubnetView,
    foreign_enis: u32,
    /// What the present daemon is configured with.
    settings: NodeSettings,
    /// ENIs with which others take the subnet's addresses.
    neighbours: Vec<EniId>,
    /// ENIs that people took off the node.
    taken_enis: BTreeSet<EniId>,
    disk: Disk,
    disk_fails_until: Instant,
    checkpoint_fails_until: Instant,
    kernel: Kernel,
    runtime: Runtime,
    oracle: Oracle,
    daemon: Option<Daemon>,
    /// Number of the newest process, started or about to start.
    process: u64,
    /// Number of the present boot and when its clock was zero.
    boot: (u64, Instant),
    wall_offset_secs: i64,
    requests: u64,
    flights: BTreeMap<u64, Flight>,
    flown: u64,
    tokens: BTreeSet<ClientToken>,
    changes: Vec<Instant>,
    reads: u64,
    budget: Budget,
    ages: Ages,
    faults_on: bool,
    steps: u64,
    events: u64,
    effects: Vec<Kind>,
    checked: Checked,
    /// The plan lets nothing go wrong.
    faultless: bool,
    fates: Vec<Fate>,
    random: Random,
    orders: Orders,
    reached: Reached,
    trace: &'t mut Trace,
}

/// Runs a plan to its end or first violation. A panic of the machine is a violation.
pub fn run(plan: &Plan, mutant: Option<Mutant>, trace: &mut Trace) -> Report {
    let orders = Orders {
        mutant,
        ..Orders::default()
    };
    run_with(plan, &orders, trace)
}

/// Runs a plan as ordered.
pub fn run_with(plan: &Plan, orders: &Orders, trace: &mut Trace) -> Report {
    let mut world = World::new(plan.clone(), *orders, trace);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.play()));
    let found = match outcome {
        Ok(check) => check.err(),
        Err(panic) => Some((Invariant::Total, panic_text(panic.as_ref()))),
    };
    let violation = found.map(|(invariant, text)| Violation {
        invariant,
        at: world.now,
        text,
    });
    Report {
        steps: world.steps,
        events: world.events,
        violation,
        reached: world.reached,
        effects: world.effects,
        checked: world.checked,
        fates: world.fates,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    format!("the machine panicked: {}", text.unwrap_or_default())
}

impl World<'_> {
    fn play(&mut self) -> Check {
        for step in self.plan.steps.clone() {
            if self.events >= self.orders.events {
                break;
            }
            self.steps += 1;
            self.run_until(step.at)?;
            self.take(step)?;
        }
        self.settle()
    }

    /// Lets everything happen that happens until then.
    fn run_until(&mut self, until: Instant) -> Check {
        loop {
            let queued = self.queue.next_at();
            let timer = self.daemon.as_ref().and_then(Daemon::timer_at);
            let change = self.vpc.next_event(self.now);
            let Some(next) = [queued, timer, change]
                .into_iter()
                .flatten()
                .min()
                .filter(|next| *next <= until)
            else {
                break;
            };
            self.now = self.now.max(next);
            if change == Some(next) {
                self.vpc.advance(self.now);
                self.devices_changed();
            } else if queued == Some(next) {
                if let Some((_, happening)) = self.queue.pop() {
                    self.happen(happening)?;
                }
            } else {
                self.timer()?;
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Check {
        match happening {
            Happening::Arrive(client) => self.arrive(client),
            Happening::Answered(client) => self.answered(client),
            Happening::Dies(client) => {
                self.kill_client(client);
                Ok(())
            }
            Happening::Wired(client) => self.wired(client),
            Happening::Retry(pod) => {
                self.retry(pod);
                Ok(())
            }
            Happening::Abandoned(process, request) => self.abandoned(process, request),
            Happening::CarryOut(flight) => self.carry_out(flight),
            Happening::Done(process, op, outcome) => self.done(process, op, *outcome),
            Happening::Expire(flight) => self.expire(flight),
            Happening::Written(process, op, file) => self.written(process, op, file),
            Happening::ImdsRead(process, op) => self.imds_read(process, op),
            Happening::HostApply(process) => self.host_apply(process),
            Happening::Look(process, repeat) => self.look(process, repeat),
            Happening::Kill(process, down) => self.kill_if(process, down),
            Happening::Boot(process) => self.boot(process),
            Happening::QuotaFree => {
                self.quota_free();
                Ok(())
            }
        }
    }

    fn after(&mut self, delay: Duration, happening: Happening) {
        self.queue.push(self.now.after(delay), happening);
    }

    /// After a random number of milliseconds.
    fn soon(&mut self, (low, high): (u64, u64), happening: Happening) {
        let delay = Duration::from_millis(self.random.between(low, high));
        self.after(delay, happening);
    }

    /// True in `permille` of the cases while the fault is on and faults are on at all.
    fn strikes(&mut self, on: bool, permille: u64) -> bool {
        let drawn = self.random.chance(permille);
        on && self.faults_on && drawn
    }

    fn links(&self) -> Vec<GuestLink> {
        self.vpc.links(self.now, &self.instance)
    }

    fn caller(&self) -> Caller {
        Caller::Instance(self.instance.clone())
    }

    /// The account may have changed what the guest sees: the daemon's watcher hears of it.
    fn devices_changed(&mut self) {
        let links = self.links();
        let Some(news) = self.kernel.news(&links) else {
            return;
        };
        if news == News::Came && self.plan.faults.link_lag {
            self.reached
                .mark("link appeared after its ENI was attached");
        }
        self.trace.line(
            self.now,
            format_args!("the guest has {} devices", links.len()),
        );
        let process = self.process;
        if let Some(daemon) = &mut self.daemon {
            daemon.looks_pending += 1;
        }
        self.soon((1, 200), Happening::Look(process, Repeat::Once));
        self.soon((1, 200), Happening::HostApply(process));
    }
}
