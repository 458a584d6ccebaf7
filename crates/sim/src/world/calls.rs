//! EC2 calls on their way: judged, carried out in time, late or never, and ended for the machine exactly once.
//! Must not: let a call change anything before its time. A call outlives the process that made it.

use super::{Happening, World};
use crate::adapter;
use crate::fate::Fate;
use crate::invariant::managed::Node;
use crate::invariant::{self, Check, Invariant};
use ipam::event::{OpId, Outcome};
use model::call::{Call, Reply, Scope};
use model::error::{CallError, Class};
use model::time::{Duration, Instant};
use vpc::Verdict;

/// A call that takes longer to EC2 is out of the ordinary.
const ORDINARY: Duration = Duration::from_secs(1);

/// A call on its way. It outlives the process that made it.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) process: u64,
    op: OpId,
    pub(super) call: Call,
    verdict: Verdict,
    ends: Instant,
    /// The machine waits for its outcome.
    pub(super) open: bool,
    /// It has reached EC2.
    carried: bool,
}

impl World<'_> {
    pub(super) fn call(&mut self, op: OpId, call: Call, limit: Duration) -> Check {
        let now = self.on_boot_clock(self.now);
        let node = Node {
            instance: &self.instance,
            settings: &self.settings,
        };
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        daemon.ids.issued(op)?;
        self.checked.count(&[
            Invariant::Exclusive,
            Invariant::Ids,
            Invariant::Budget,
            Invariant::Flapping,
        ]);
        self.budget.call(self.now, call.action())?;
        self.ages.call(self.now, &call)?;
        if !call.mutating() {
            self.reads += 1;
        }
        let taken = call.eni().is_some_and(|eni| self.taken_enis.contains(eni));
        if call.mutating() {
            self.checked
                .count(&[Invariant::Cooled, Invariant::Announced, Invariant::Ours]);
        }
        if call.mutating() && !taken {
            let durable = (self.disk.checkpoint(), &self.oracle);
            invariant::cooled::check_call(&self.oracle, &self.vpc, self.now, &call)?;
            invariant::cooled::check_durable(durable, &self.vpc, now, &call)?;
        }
        if call.mutating() {
            invariant::announced::check_call(self.disk.journal(), &call)?;
            // An ENI that people took off a moment ago may still look attached to the node.
            let ends = matches!(
                call,
                Call::DetachInterface { .. } | Call::DeleteInterface { .. }
            );
            if !taken || ends {
                invariant::managed::check_call(&self.vpc, &node, &call)?;
            }
        }
        daemon.in_flight.called(op, &call)?;
        if let Call::CreateInterface(create) = &call
            && !self.tokens.insert(create.token.clone())
        {
            self.reached.mark("create repeated with its token");
        }
        let action = adapter::action(&call);
        let verdict = self.vpc.judge(action);
        if verdict.outcome != vpc::Outcome::Answer || verdict.before > ORDINARY {
            let ordinal = self.vpc.faults_mut().seen(action);
            self.fates.extend(Fate::of(action, ordinal, &verdict));
        }
        self.flown += 1;
        let (number, before) = (self.flown, verdict.before);
        let flight = Flight {
            process: self.process,
            op,
            call,
            verdict,
            ends: self.now.after(limit),
            open: true,
            carried: false,
        };
        self.queue.push(flight.ends, Happening::Expire(number));
        self.flights.insert(number, flight);
        self.after(before, Happening::CarryOut(number));
        Ok(())
    }

    /// The call reaches EC2: it takes place or not, and its answer sets out.
    pub(super) fn carry_out(&mut self, number: u64) -> Check {
        let Some(flight) = self
            .flights
            .get(&number)
            .filter(|flight| !flight.carried)
            .cloned()
        else {
            return Ok(());
        };
        let late = self.now >= flight.ends;
        let zombie = flight.process != self.process;
        let caller = self.caller();
        let answer = adapter::carry_out(
            &mut self.vpc,
            self.now,
            &caller,
            (&flight.call, &flight.verdict),
        );
        if self.trace.is_on() {
            let (op, call, brief) = (flight.op.0, &flight.call, brief(answer.as_ref()));
            self.trace
                .line(self.now, format_args!("EC2: #{op} {call}: {brief}"));
        }
        self.reach_call(&flight, answer.as_ref(), late, zombie);
        if self.faultless {
            self.checked.count(&[Invariant::Faultless]);
            invariant::faultless::check_answer(&flight.call, answer.as_ref())?;
        }
        let taken = flight
            .call
            .eni()
            .is_some_and(|eni| self.taken_enis.contains(eni));
        match &answer {
            Some(Ok(Reply::Created(record))) => self.ages.created(self.now, &record.id),
            Some(Ok(Reply::Assigned(addresses))) if taken => {
                // The ENI is not the node's any more, so neither are these.
                for address in addresses {
                    self.oracle.taken(self.now, *address, flight.call.eni());
                }
            }
            Some(_) | None => {}
        }
        let refused = matches!(answer, Some(Err(CallError::Refused(_))));
        if let Some(answer) = answer {
            let at = self.now.after(flight.verdict.after);
            if at < flight.ends {
                self.close(number);
                self.queue.push(
                    at,
                    Happening::Done(flight.process, flight.op, Box::new(Outcome::Called(answer))),
                );
            }
        }
        match self.flights.get_mut(&number) {
            Some(flight) if flight.open && !late => flight.carried = true,
            Some(_) | None => {
                self.flights.remove(&number);
            }
        }
        if flight.call.mutating() {
            if flight.verdict.applied && !refused {
                self.changes.push(self.now);
            }
            self.notice_returned();
            invariant::owned::check_claims(&self.vpc, &self.instance, &self.oracle)?;
            self.devices_changed();
            if !zombie && self.strikes(self.plan.faults.kill_at_calls, 15) {
                self.reached
                    .mark("killed when EC2 had just carried a call out");
                return self.kill(Duration::from_millis(200));
            }
        }
        Ok(())
    }

    /// EC2 may have given an address back that people had taken.
    fn notice_returned(&mut self) {
        let claimed: Vec<_> = self
            .oracle
            .claims()
            .map(|(_, claim)| claim.address)
            .filter(|address| self.oracle.taken_since(*address).is_some())
            .collect();
        for address in claimed {
            if let Some(eni) = invariant::owned::owner(&self.vpc, &self.instance, address) {
                self.oracle.returned(address, &eni);
            }
        }
    }

    /// Every call on its way reaches EC2 within seconds, and nobody waits for its outcome.
    pub(super) fn hasten_calls(&mut self) {
        let numbers: Vec<u64> = self.flights.keys().copied().collect();
        for number in numbers {
            self.close(number);
            self.soon((0, 4_000), Happening::CarryOut(number));
        }
    }

    fn close(&mut self, number: u64) {
        if let Some(flight) = self.flights.get_mut(&number) {
            flight.open = false;
        }
    }

    /// The call's time is up: if no answer set out in time, its outcome is unknown.
    pub(super) fn expire(&mut self, number: u64) -> Check {
        let Some(flight) = self.flights.get_mut(&number) else {
            return Ok(());
        };
        if !std::mem::replace(&mut flight.open, false) {
            return Ok(());
        }
        let (process, op, carried) = (flight.process, flight.op, flight.carried);
        if carried {
            self.flights.remove(&number);
        }
        let unknown = Outcome::Called(Err(CallError::Unknown("no answer in time".to_owned())));
        let unknown = if self.random.chance(500) {
            unknown
        } else {
            Outcome::Unknown
        };
        self.done(process, op, unknown)
    }

    fn reach_call(
        &mut self,
        flight: &Flight,
        answer: Option<&Result<Reply, CallError>>,
        late: bool,
        zombie: bool,
    ) {
        let (applied, mutating) = (flight.verdict.applied, flight.call.mutating());
        match answer {
            None if applied && mutating => self.reached.mark("call applied, answer lost"),
            None => self.reached.mark("call lost before it was applied"),
            Some(Err(CallError::Refused(refusal))) => {
                self.reached.mark("call refused");
                if refusal.class == Class::Throttled {
                    self.reached.mark("call throttled");
                }
                if refusal.class == Class::Quota {
                    self.reached.mark("quota of ENIs used up");
                }
                if refusal.class == Class::SubnetFull {
                    self.reached.mark("subnet full");
                }
            }
            Some(Ok(reply)) => self.reach_done(&flight.call, reply),
            Some(Err(CallError::Unknown(_))) => {}
        }
        if mutating && applied && late {
            self.reached.mark("call applied after its deadline");
        }
        if mutating && applied && zombie && self.daemon.is_some() {
            self.reached
                .mark("call of a dead process applied after the next one started");
        }
    }

    fn reach_done(&mut self, call: &Call, reply: &Reply) {
        match call {
            Call::CreateInterface(_) => self.reached.mark("ENI created"),
            Call::AttachInterface { .. } => self.reached.mark("ENI attached"),
            Call::DeleteInterface { .. } => self.reached.mark("ENI deleted"),
            Call::AssignAddresses { .. } => self.reached.mark("addresses assigned"),
            Call::UnassignAddresses { .. } => self.reached.mark("addresses unassigned"),
            Call::DescribeInterfaces(Scope::AttachedTo(_)) => {
                let bound = |eni: &&vpc::Interface| {
                    eni.attachment
                        .as_ref()
                        .is_some_and(|a| a.instance == self.instance)
                };
                let truth = self.vpc.interfaces().filter(bound).count();
                if matches!(reply, Reply::Interfaces(listed) if listed.len() < truth) {
                    self.reached.mark("describe missed a recent change");
                }
            }
            Call::DescribeInterfaces(_)
            | Call::DescribeSubnets { .. }
            | Call::DescribeInstanceType { .. }
            | Call::DeleteOnTermination { .. }
            | Call::DetachInterface { .. }
            | Call::CreateTags { .. } => {}
        }
    }
}

fn brief(answer: Option<&Result<Reply, CallError>>) -> String {
    match answer {
        None => "lost".to_owned(),
        Some(Ok(Reply::Interfaces(listed))) => format!("{} ENIs", listed.len()),
        Some(Ok(reply)) => format!("{reply:?}").chars().take(200).collect(),
        Some(Err(error)) => error.to_string(),
    }
}
