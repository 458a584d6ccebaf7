//! What the machine wants done is begun here, and ends some time later with exactly one completion: files, metadata,
//! the host. Calls are `world::calls`, answers `world::answers`. Must not: let an effect change anything before its time.

use super::{Happening, Repeat, World};
use crate::invariant::Check;
use crate::kernel::Kernel;
use ipam::effect::{Effect, File, FileContent};
use ipam::event::{Event, OpId, Outcome};
use ipam::notice::Notice;

impl World<'_> {
    pub(super) fn begin(&mut self, effect: Effect) -> Check {
        match effect {
            Effect::Reply(request, answer) => self.reply(request, answer),
            Effect::Write(op, content) => self.write(op, content),
            Effect::Call(op, call, limit) => self.call(op, call, limit),
            Effect::ReadImds(op) => {
                if let Some(daemon) = &mut self.daemon {
                    daemon.ids.issued(op)?;
                    daemon.in_flight.reads(op)?;
                }
                let process = self.process;
                self.soon((5, 400), Happening::ImdsRead(process, op));
                Ok(())
            }
            Effect::Host(version, desired) => {
                if let Some(daemon) = &mut self.daemon {
                    daemon.host = Some((version, desired));
                    daemon.host_pending = true;
                }
                let process = self.process;
                self.soon((1, 80), Happening::HostApply(process));
                Ok(())
            }
            Effect::Note(notice) => {
                if let Notice::AddressLost { address, .. } = notice {
                    self.reached.mark("lost address reported");
                    self.oracle.reported(address);
                }
                Ok(())
            }
        }
    }

    fn write(&mut self, op: OpId, content: FileContent) -> Check {
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        daemon.ids.issued(op)?;
        let file = content.file();
        daemon.in_flight.writes(op, file)?;
        self.disk.begin(op, content);
        let slow = self.strikes(self.plan.faults.slow_writes, 150);
        if slow {
            self.reached.mark("write slow");
        }
        let process = self.process;
        self.soon(
            if slow { (50, 4_000) } else { (1, 6) },
            Happening::Written(process, op, file),
        );
        Ok(())
    }

    pub(super) fn written(&mut self, process: u64, op: OpId, file: File) -> Check {
        if process != self.process || self.daemon.is_none() {
            return Ok(());
        }
        let full = self.now < self.disk_fails_until
            || (file == File::Checkpoint && self.now < self.checkpoint_fails_until);
        let fails = self.strikes(self.plan.faults.write_errors, 10) || full;
        if file == File::Journal && !fails && self.now < self.checkpoint_fails_until {
            self.reached
                .mark("checkpoint not writable while the journal was");
        }
        let result = if fails {
            self.reached.mark("write failed");
            self.disk.fail(file);
            Err("/var/run/aws-node: no space left on device".to_owned())
        } else {
            self.disk.finish(file);
            Ok(())
        };
        self.done(process, op, Outcome::Written(result))
    }

    pub(super) fn imds_read(&mut self, process: u64, op: OpId) -> Check {
        let fails = self.strikes(self.plan.faults.imds_errors, 200);
        let read = match self.vpc.read_metadata(self.now, &self.instance) {
            Ok(_) if fails => Err("mac: 503".to_owned()),
            Ok(metadata) => Ok(Box::new(metadata)),
            Err(error) => Err(error),
        };
        match &read {
            Ok(_) if self.vpc.lies(self.now) => self.reached.mark("IMDS lied at a start"),
            Ok(_) => {}
            Err(_) => self.reached.mark("IMDS refused"),
        }
        self.done(process, op, Outcome::Imds(read))
    }

    /// The hand that makes the kernel equal to the newest desired state; it tries again while something fails.
    pub(super) fn host_apply(&mut self, process: u64) -> Check {
        let broken = self.strikes(self.plan.faults.host_errors, 200);
        let links = self.links();
        let Some(daemon) = self.daemon.as_ref().filter(|_| process == self.process) else {
            return Ok(());
        };
        let Some((version, desired)) = daemon.host.clone() else {
            return Ok(());
        };
        let report = Kernel::apply(&desired, &links, broken);
        if let Some(daemon) = &mut self.daemon {
            daemon.host_pending = !report.failed.is_empty();
        }
        if broken && !report.failed.is_empty() {
            self.soon((200, 5_000), Happening::HostApply(process));
        }
        self.deliver(Event::HostState(version, report))
    }

    pub(super) fn look(&mut self, process: u64, repeat: Repeat) -> Check {
        if process != self.process || self.daemon.is_none() {
            return Ok(());
        }
        if repeat == Repeat::Forever {
            self.soon((5_000, 30_000), Happening::Look(process, repeat));
        }
        if repeat == Repeat::Once
            && let Some(daemon) = &mut self.daemon
        {
            daemon.looks_pending = daemon.looks_pending.saturating_sub(1);
        }
        let view = self.kernel.look(&self.links());
        self.deliver(Event::Links(view))
    }
}
