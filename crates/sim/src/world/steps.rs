//! The plan's steps: what each does to the world. Must not: draw the steps (`plan` did).

use super::World;
use crate::invariant::Check;
use crate::plan::{Action, Step};
use crate::runtime::{Client, Verb};
use model::time::Duration;

impl World<'_> {
    pub(super) fn take(&mut self, step: Step) -> Check {
        self.trace
            .line(self.now, format_args!("STEP {:?}", step.action));
        match step.action {
            Action::AddPods(count) => self.add_pods(step.pick, count),
            Action::RemovePods(count) => self.remove_pods(step.pick, count),
            Action::ReplaceSandbox => self.replace_sandbox(step.pick),
            Action::VanishPod => self.vanish_pod(step.pick),
            Action::KillClient => self.kill_some_client(step.pick),
            Action::AskAgain => self.ask_again(step.pick),
            Action::DeleteWaiting => self.delete_waiting(step.pick),
            Action::Kill(down) => return self.kill(Duration::from_millis(down.into())),
            Action::Terminate(down) => return self.terminate(Duration::from_millis(down.into())),
            Action::Reboot => self.reboot(),
            Action::DiskFails(how_long) => {
                self.disk_fails_until = self.now.after(Duration::from_millis(how_long.into()))
            }
            Action::CheckpointFails(how_long) => {
                self.checkpoint_fails_until = self.now.after(Duration::from_millis(how_long.into()))
            }
            Action::WallStep(secs) => self.wall_offset_secs += i64::from(secs),
            Action::ImdsLies(_)
            | Action::ImdsRefuses(_)
            | Action::CrowdSubnet(_)
            | Action::EmptySubnet
            | Action::QuotaUsed(_)
            | Action::OperatorUnassigns
            | Action::OperatorDetaches => self.trouble(step.action, step.pick),
            Action::Rest => {}
        }
        Ok(())
    }

    fn add_pods(&mut self, pick: u32, count: u32) {
        for number in 0..count {
            if let Some(pod) = chosen(&self.runtime.pods_where(|pod| !pod.wanted), pick + number) {
                self.want(pod);
            }
        }
    }

    fn remove_pods(&mut self, pick: u32, count: u32) {
        for number in 0..count {
            if let Some(pod) = chosen(&self.runtime.pods_where(|pod| pod.wanted), pick + number) {
                self.unwant(pod);
            }
        }
    }

    fn replace_sandbox(&mut self, pick: u32) {
        let Some(pod) = chosen(
            &self
                .runtime
                .pods_where(|pod| pod.wanted && pod.sandbox.is_some()),
            pick,
        ) else {
            return;
        };
        self.reached.mark("pod's sandbox replaced");
        let wired = self.runtime.pods[pod].wired;
        let old = self.runtime.pods[pod].sandbox.clone();
        self.start_sandbox(pod);
        // An ADD that still waits is torn down when it ends; a wired sandbox now, sooner or later than the new ADD.
        if let Some(old) = old.filter(|_| wired) {
            self.tear_down(pod, &old);
        }
    }

    fn vanish_pod(&mut self, pick: u32) {
        let Some(pod) = chosen(&self.runtime.pods_where(|pod| pod.wired), pick) else {
            return;
        };
        self.reached.mark("pod gone without DEL");
        self.runtime.pods[pod].wanted = false;
        self.runtime.pods[pod].wired = false;
        if let Some(key) = self.runtime.pods[pod].sandbox.take() {
            self.vanish(&key);
        }
    }

    fn kill_some_client(&mut self, pick: u32) {
        // Those with an answer on its way are rare and worth more.
        let travelling = self
            .runtime
            .clients_where(|client| client.travelling.is_some() || client.wiring.is_some());
        let any = self.runtime.clients_where(|_| true);
        if let Some(client) = chosen(&travelling, pick).or_else(|| chosen(&any, pick)) {
            self.kill_client(client);
        }
    }

    fn ask_again(&mut self, pick: u32) {
        let Some(pod) = chosen(
            &self
                .runtime
                .pods_where(|pod| pod.wanted && pod.sandbox.is_some()),
            pick,
        ) else {
            return;
        };
        let Some(key) = self.runtime.pods[pod].sandbox.clone() else {
            return;
        };
        self.reached.mark("same key asked again");
        self.ask(pod, &key, Duration::from_secs(30));
    }

    /// The pod is deleted while its ADD waits; the abandonment and the DEL race to the daemon.
    fn delete_waiting(&mut self, pick: u32) {
        let waits = |client: &Client| {
            client.verb == Verb::Add && client.request.is_some() && client.travelling.is_none()
        };
        let Some(id) = chosen(&self.runtime.clients_where(waits), pick) else {
            return;
        };
        self.reached.mark("DEL overtook the abandonment of its ADD");
        let Some(client) = self.runtime.clients.get(&id) else {
            return;
        };
        self.runtime.pods[client.pod].wanted = false;
        self.kill_client(id);
    }
}

fn chosen<T: Copy>(among: &[T], pick: u32) -> Option<T> {
    let count = u32::try_from(among.len()).unwrap_or(u32::MAX);
    (count > 0).then(|| among[usize::try_from(pick % count).expect("an index of the list")])
}
