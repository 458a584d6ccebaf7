//! A blow: the process dies at one certain effect, which has not begun, has just happened, or happens after the next
//! start. Must not: choose the effect (`sweep` does).

use super::World;
use crate::adapter;
use crate::invariant::Invariant;
use crate::sweep::{Blow, How, Kind};
use ipam::effect::Effect;
use model::time::Duration;
use vpc::Verdict;

/// How long no process runs.
const DOWN: Duration = Duration::from_millis(300);
/// When a call of the dead process is carried out: the next one serves by then.
const LATE: Duration = Duration::from_secs(5);

impl World<'_> {
    /// Counts an effect. `None`: the process has died at it, and what else it wanted is not done.
    pub(super) fn endure(&mut self, effect: Effect) -> Result<Option<Effect>, (Invariant, String)> {
        // What happens at the end has no time to be mended.
        let Some(kind) = Kind::of(&effect).filter(|_| self.faults_on) else {
            return Ok(Some(effect));
        };
        self.effects.push(kind);
        let number = self.effects.len();
        let Some(Blow { how, .. }) = self.plan.blow.filter(|blow| blow.at == number) else {
            return Ok(Some(effect));
        };
        self.trace
            .line(self.now, format_args!("the process dies at this: {how:?}"));
        match how {
            How::Before => {}
            How::Applied | How::Reboot => self.apply_now(effect)?,
            How::Late => self.apply_late(effect)?,
        }
        match how {
            How::Reboot => self.reboot(),
            How::Before | How::Applied | How::Late => self.kill(DOWN)?,
        }
        Ok(None)
    }

    /// It happens at once and whole; nobody is left to hear of it.
    fn apply_now(&mut self, effect: Effect) -> Result<(), (Invariant, String)> {
        match effect {
            Effect::Write(op, content) => {
                let file = content.file();
                self.begin(Effect::Write(op, content))?;
                self.disk.finish(file);
                Ok(())
            }
            Effect::Call(op, call, limit) => {
                let certain = Verdict::default();
                self.vpc
                    .faults_mut()
                    .plan_next(adapter::action(&call), certain);
                self.begin(Effect::Call(op, call, limit))?;
                self.carry_out(self.flown)
            }
            Effect::Reply(request, answer) => {
                let asker = self.runtime.asker(request);
                self.begin(Effect::Reply(request, answer))?;
                asker.map_or(Ok(()), |client| self.answered(client))
            }
            Effect::ReadImds(_) | Effect::Host(..) | Effect::Note(_) => self.begin(effect),
        }
    }

    fn apply_late(&mut self, effect: Effect) -> Result<(), (Invariant, String)> {
        if let Effect::Call(_, call, _) = &effect {
            let late = Verdict {
                before: LATE,
                ..Verdict::default()
            };
            self.vpc.faults_mut().plan_next(adapter::action(call), late);
        }
        self.begin(effect)
    }
}
