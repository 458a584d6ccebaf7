//! Who waits for an address, who was granted one that is not yet durable, and what they may still be told.
//!
//! Owns the queue in order of arrival. Must not: choose addresses or write (the node does, through `pool` and `commit`).

use crate::event::RequestId;
use model::pod::{PodKey, PodName};
use model::time::Instant;
use pool::inventory::Grant;
use std::collections::{BTreeMap, BTreeSet};

/// An ADD without an address.
#[derive(Debug, Clone)]
pub(crate) struct Waiter {
    pub(crate) key: PodKey,
    pub(crate) pod: PodName,
    pub(crate) since: Instant,
    pub(crate) deadline: Instant,
}

/// An answer that is held until the checkpoint is durable.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) key: PodKey,
    pub(crate) pod: PodName,
    pub(crate) since: Instant,
    pub(crate) deadline: Instant,
    pub(crate) verb: Verb,
    /// What a DEL released.
    pub(crate) released: Option<Grant>,
}

/// Which answer is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Del,
}

/// The requests that are not answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requests {
    waiting: BTreeMap<RequestId, Waiter>,
    granted: BTreeMap<RequestId, Granted>,
    /// Keys whose address some caller was told: such an address is given back by DEL or the sweep only.
    told: BTreeSet<PodKey>,
}

impl Requests {
    pub(crate) fn wait(&mut self, id: RequestId, waiter: Waiter) {
        self.waiting.insert(id, waiter);
    }

    pub(crate) fn grant(&mut self, id: RequestId, granted: Granted) {
        self.granted.insert(id, granted);
    }

    /// The waiters in order of arrival.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (RequestId, &Waiter)> {
        self.waiting.iter().map(|(id, waiter)| (*id, waiter))
    }

    pub(crate) fn waiter(&self, id: RequestId) -> Option<&Waiter> {
        self.waiting.get(&id)
    }

    pub(crate) fn waiters(&self) -> u32 {
        u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn stop_waiting(&mut self, id: RequestId) -> Option<Waiter> {
        self.waiting.remove(&id)
    }

    /// The held answer is not held any more: it left, or was taken back.
    pub(crate) fn ungrant(&mut self, id: RequestId) -> Option<Granted> {
        self.granted.remove(&id)
    }

    /// Held answers to ADDs of this key.
    pub(crate) fn granted_adds(&self, key: &PodKey) -> Vec<RequestId> {
        self.granted
            .iter()
            .filter(|(_, g)| g.verb == Verb::Add && g.key == *key)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Waiters of this key.
    pub(crate) fn waiting_for(&self, key: &PodKey) -> Vec<RequestId> {
        self.waiting
            .iter()
            .filter(|(_, waiter)| waiter.key == *key)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Waiters of the same pod and interface with another container: a newer sandbox takes their place.
    pub(crate) fn older_sandboxes(&self, key: &PodKey, pod: &PodName) -> Vec<RequestId> {
        if pod.is_unnamed() {
            return Vec::new();
        }
        let same_place = |other: &PodKey| {
            other.network == key.network
                && other.interface == key.interface
                && other.container != key.container
        };
        self.waiting
            .iter()
            .filter(|(_, waiter)| waiter.pod == *pod && same_place(&waiter.key))
            .map(|(id, _)| *id)
            .collect()
    }

    /// A caller was told that the key holds its address.
    pub(crate) fn tell(&mut self, key: PodKey) {
        self.told.insert(key);
    }

    /// The key holds nothing any more.
    pub(crate) fn forget(&mut self, key: &PodKey) {
        self.told.remove(key);
    }

    /// Whether nobody was told of the key's address and nobody asks for it any more: it may be given back at once.
    pub(crate) fn is_unwanted(&self, key: &PodKey) -> bool {
        !self.told.contains(key)
            && self.granted_adds(key).is_empty()
            && self.waiting_for(key).is_empty()
    }

    /// Requests whose deadline has come: waiters and held answers.
    pub(crate) fn expired(&self, now: Instant) -> (Vec<RequestId>, Vec<RequestId>) {
        let waiting = self
            .waiting
            .iter()
            .filter(|(_, waiter)| waiter.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        let granted = self
            .granted
            .iter()
            .filter(|(_, granted)| granted.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        (waiting, granted)
    }

    /// Every deadline somebody waits for.
    pub(crate) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let waiting = self.waiting.values().map(|waiter| waiter.deadline);
        waiting.chain(self.granted.values().map(|granted| granted.deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(container: &str) -> PodKey {
        PodKey {
            network: "aws-cni".into(),
            container: container.into(),
            interface: "eth0".into(),
        }
    }

    fn waiter(container: &str, name: &str) -> Waiter {
        let pod = PodName {
            namespace: "default".into(),
            name: name.into(),
        };
        Waiter {
            key: key(container),
            pod,
            since: Instant(0),
            deadline: Instant(90_000),
        }
    }

    #[test]
    fn only_older_waiters_of_the_same_pod_are_superseded() {
        let mut requests = Requests::default();
        requests.wait(RequestId(1), waiter("old", "web-0"));
        requests.wait(RequestId(2), waiter("other", "web-1"));
        let newer = waiter("new", "web-0");
        assert_eq!(
            requests.older_sandboxes(&newer.key, &newer.pod),
            [RequestId(1)]
        );
        assert_eq!(
            requests.older_sandboxes(&key("old"), &newer.pod),
            [],
            "the same sandbox again joins"
        );
        assert_eq!(
            requests.older_sandboxes(&key("x"), &PodName::default()),
            [],
            "unnamed pods are never the same"
        );
    }

    #[test]
    fn an_address_is_unwanted_only_when_nobody_was_told_and_nobody_asks() {
        let mut requests = Requests::default();
        assert!(requests.is_unwanted(&key("a")));
        requests.wait(RequestId(1), waiter("a", "web-0"));
        assert!(!requests.is_unwanted(&key("a")));
        requests.stop_waiting(RequestId(1));
        requests.tell(key("a"));
        assert!(!requests.is_unwanted(&key("a")));
        requests.forget(&key("a"));
        assert!(requests.is_unwanted(&key("a")));
    }
}
