//! What kubelet, containerd and the plugin do: ADD until its deadline, clean up after failure, try again with a new
//! sandbox, DEL one to three times. Must not: touch the machine but through requests.

use super::{Happening, World};
use crate::invariant::Check;
use crate::runtime::{ClientId, Told, Verb};
use ipam::event::{Event, Request, RequestId};
use model::pod::PodKey;
use model::time::{Duration, Instant};

/// The daemon's own bound on an ADD's wait.
const LONGEST_WAIT: Duration = Duration::from_secs(90);
/// What the daemon keeps of an ADD's time for its answer to travel.
const RESERVE_MILLIS: u64 = 2_000;
const DEL_ANSWER: Duration = Duration::from_secs(5);
/// How long a DEL tries to reach the daemon.
const DEL_CONNECT: Duration = Duration::from_secs(1);

impl World<'_> {
    pub(super) fn want(&mut self, pod: usize) {
        self.runtime.pods[pod].wanted = true;
        if self.runtime.pods[pod].sandbox.is_none() {
            self.start_sandbox(pod);
        }
    }

    /// A new sandbox becomes the pod's; an older one is the caller's business.
    pub(super) fn start_sandbox(&mut self, pod: usize) {
        let key = self.runtime.new_sandbox();
        self.runtime.pods[pod].sandbox = Some(key.clone());
        self.runtime.pods[pod].wired = false;
        let patience = self.random.between(4_000, 120_000);
        self.ask(pod, &key, Duration::from_millis(patience));
    }

    /// The plugin is run with ADD.
    pub(super) fn ask(&mut self, pod: usize, key: &PodKey, patience: Duration) {
        let client = self
            .runtime
            .spawn(pod, key, Verb::Add, self.now.after(patience));
        self.trace.line(
            self.now,
            format_args!("plugin {} ADD {} for pod-{pod}", client.0, key.container),
        );
        self.soon((1, 30), Happening::Arrive(client));
    }

    pub(super) fn unwant(&mut self, pod: usize) {
        self.runtime.pods[pod].wanted = false;
        if self.runtime.pods[pod].wired {
            self.end_sandbox(pod);
        }
    }

    /// The pod's sandbox is torn down; its ADD may still be under way.
    pub(super) fn end_sandbox(&mut self, pod: usize) {
        self.runtime.pods[pod].wired = false;
        if let Some(key) = self.runtime.pods[pod].sandbox.take() {
            self.tear_down(pod, &key);
        }
    }

    /// The plugin is run with DEL, once or more often; now and then the namespace is gone before.
    pub(super) fn tear_down(&mut self, pod: usize, key: &PodKey) {
        if self.random.chance(100) {
            self.vanish(key);
        }
        let more = u32::try_from(self.random.between(0, 2)).expect("at most two");
        self.delete(pod, key, more);
    }

    pub(super) fn delete(&mut self, pod: usize, key: &PodKey, more: u32) {
        let client = self
            .runtime
            .spawn(pod, key, Verb::Del(more), self.now.after(DEL_CONNECT));
        self.trace.line(
            self.now,
            format_args!("plugin {} DEL {}", client.0, key.container),
        );
        self.soon((1, 30), Happening::Arrive(client));
    }

    /// The sandbox's namespace goes.
    pub(super) fn vanish(&mut self, key: &PodKey) {
        self.kernel.unwire(key);
        self.oracle.ended(self.now, key);
    }

    pub(super) fn retry(&mut self, pod: usize) {
        if self.runtime.pods[pod].wanted && self.runtime.pods[pod].sandbox.is_none() {
            self.start_sandbox(pod);
        }
    }

    pub(super) fn arrive(&mut self, id: ClientId) -> Check {
        let Some(client) = self.runtime.clients.get(&id).cloned() else {
            return Ok(());
        };
        if client.request.is_some() || client.travelling.is_some() || client.wiring.is_some() {
            return Ok(());
        }
        let Some(daemon) = &mut self.daemon else {
            if self.now >= client.deadline {
                self.gave_up(id);
            } else {
                self.soon((50, 500), Happening::Arrive(id));
            }
            return Ok(());
        };
        if !daemon.served && client.verb == Verb::Add {
            self.reached.mark("ADD waited for the start-up to finish");
        }
        self.requests += 1;
        let request = RequestId(self.requests);
        let wish = self.wish(&client.key, client.pod, client.verb, client.deadline);
        if let Some(client) = self.runtime.clients.get_mut(&id) {
            (client.request, client.asked_at) = (Some(request), self.now);
        }
        let clock = self.on_boot_clock(self.now);
        if let Some(daemon) = &mut self.daemon {
            daemon.replies.arrived(clock, request, &wish);
        }
        self.deliver(Event::Request(request, wish))
    }

    fn wish(&mut self, key: &PodKey, pod: usize, verb: Verb, deadline: Instant) -> Request {
        let now = self.on_boot_clock(self.now);
        match verb {
            Verb::Add => {
                let answered_by = Instant(
                    self.on_boot_clock(deadline)
                        .0
                        .saturating_sub(RESERVE_MILLIS),
                );
                let deadline = answered_by.min(now.after(LONGEST_WAIT));
                Request::Add {
                    key: key.clone(),
                    pod: self.runtime.pods[pod].name.clone(),
                    deadline,
                }
            }
            Verb::Del(_) => {
                let waits = |c: &crate::runtime::Client| {
                    c.key == *key && c.verb == Verb::Add && c.request.is_some()
                };
                if !self.runtime.clients_where(waits).is_empty() {
                    self.reached.mark("DEL while its ADD waited");
                }
                self.oracle.deleted(self.now, key);
                Request::Del {
                    key: key.clone(),
                    deadline: now.after(DEL_ANSWER),
                }
            }
        }
    }

    /// The plugin reads its answer.
    pub(super) fn answered(&mut self, id: ClientId) -> Check {
        let Some(client) = self.runtime.clients.get_mut(&id) else {
            return Ok(());
        };
        let Some(told) = client.travelling.take() else {
            return Ok(());
        };
        client.request = None;
        let (pod, key, verb) = (client.pod, client.key.clone(), client.verb);
        match told {
            Told::Address(address) => {
                client.wiring = Some(address);
                self.oracle.read(&key, address);
                self.soon((1, 300), Happening::Wired(id));
            }
            Told::Unavailable => self.soon((50, 500), Happening::Arrive(id)),
            Told::Refused => self.failed(id),
            Told::Success => {
                self.runtime.clients.remove(&id);
                self.vanish(&key);
                if let Verb::Del(more @ 1..) = verb {
                    self.delete(pod, &key, more - 1);
                }
            }
        }
        Ok(())
    }

    pub(super) fn wired(&mut self, id: ClientId) -> Check {
        let Some(client) = self.runtime.clients.remove(&id) else {
            return Ok(());
        };
        let Some(address) = client.wiring else {
            return Ok(());
        };
        let name = self.runtime.pods[client.pod].name.clone();
        self.trace.line(
            self.now,
            format_args!("pod-{} is wired with {address}", client.pod),
        );
        if let Some(replaced) = self.kernel.wire(&client.key, &name, address) {
            self.oracle.ended(self.now, &replaced);
        }
        let pod = &mut self.runtime.pods[client.pod];
        if pod.sandbox.as_ref() != Some(&client.key) {
            self.tear_down(client.pod, &client.key);
            return Ok(());
        }
        pod.wired = true;
        if !pod.wanted {
            self.end_sandbox(client.pod);
        }
        Ok(())
    }

    /// The plugin could not reach the daemon in time.
    fn gave_up(&mut self, id: ClientId) {
        let Some(client) = self.runtime.clients.get(&id).cloned() else {
            return;
        };
        match client.verb {
            Verb::Add => self.failed(id),
            // It tears down what it finds and succeeds; the daemon frees the address by itself.
            Verb::Del(_) => {
                self.runtime.clients.remove(&id);
                self.vanish(&client.key);
            }
        }
    }

    /// An ADD failed or its plugin died: the runtime cleans up, kubelet tries again later.
    pub(super) fn failed(&mut self, id: ClientId) {
        let Some(client) = self.runtime.clients.remove(&id) else {
            return;
        };
        let pod = &mut self.runtime.pods[client.pod];
        let mine = pod.sandbox.as_ref() == Some(&client.key);
        if mine && pod.wired {
            // Only a second ADD of a wired sandbox failed.
            return;
        }
        if mine {
            pod.sandbox = None;
        }
        self.tear_down(client.pod, &client.key);
        // In the end nobody hurries: kubelet's pauses grow too.
        let pause = if self.faults_on {
            (500, 15_000)
        } else {
            (20_000, 60_000)
        };
        self.soon(pause, Happening::Retry(client.pod));
    }

    /// A plugin is killed. What it has read it had; what was on its way nobody reads.
    pub(super) fn kill_client(&mut self, id: ClientId) {
        let Some(client) = self.runtime.clients.get_mut(&id) else {
            return;
        };
        let (key, request) = (client.key.clone(), client.request.take());
        self.trace
            .line(self.now, format_args!("plugin {} is killed", id.0));
        match (client.travelling.take(), client.wiring.take()) {
            (Some(Told::Address(address)), _) => {
                self.reached.mark("client died with the answer on its way");
                self.oracle.unread(&key, address);
            }
            (None, Some(_)) => {
                self.reached.mark("client died before it wired the pod");
                let others = |c: &crate::runtime::Client| c.key == key && c.wiring.is_some();
                if !self.is_wired(&key) && self.runtime.clients_where(others).is_empty() {
                    self.oracle.ended(self.now, &key);
                }
            }
            (None, None) if request.is_some() => self.reached.mark("client died while waiting"),
            (Some(_) | None, _) => {}
        }
        if let Some(request) = request {
            let process = self.process;
            self.soon((0, 20), Happening::Abandoned(process, request));
        }
        match self.runtime.clients.get(&id).map(|client| client.verb) {
            Some(Verb::Add) => self.failed(id),
            Some(Verb::Del(more)) => {
                let pod = self
                    .runtime
                    .clients
                    .remove(&id)
                    .map_or(0, |client| client.pod);
                self.delete(pod, &key, more);
            }
            None => {}
        }
    }

    fn is_wired(&self, key: &PodKey) -> bool {
        self.runtime
            .pods
            .iter()
            .any(|pod| pod.wired && pod.sandbox.as_ref() == Some(key))
    }

    /// The node reboots: no plugin lives, every sandbox is gone, kubelet starts the wanted pods again.
    pub(super) fn forget_callers(&mut self) {
        self.runtime.clients.clear();
        for pod in 0..self.runtime.pods.len() {
            self.runtime.pods[pod].sandbox = None;
            self.runtime.pods[pod].wired = false;
            self.soon((60_000, 90_000), Happening::Retry(pod));
        }
    }
}
