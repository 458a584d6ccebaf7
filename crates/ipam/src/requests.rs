//! Who waits for an address, who was granted one that is not yet durable, and what they may still be told.
//!
//! Owns the queue in order of arrival. Must not: choose addresses or write (the node does, through `pool` and `commit`).

use crate::event::RequestId;
use model::pod::{PodKey, PodName};
use model::time::{Duration, Instant};
use pool::inventory::Grant;
use std::collections::{BTreeMap, BTreeSet};

/// After waiting that long it is told of, once.
const SLOW: Duration = Duration::from_secs(10);
/// A request may be seen after this many later ones at most; fences are kept that long.
const REACH: u64 = 256;

/// An ADD without an address.
#[derive(Debug, Clone)]
pub(crate) struct Waiter {
    pub(crate) key: PodKey,
    pub(crate) pod: PodName,
    pub(crate) since: Instant,
    pub(crate) deadline: Instant,
}

impl From<Granted> for Waiter {
    fn from(granted: Granted) -> Self {
        let Granted {
            key,
            pod,
            since,
            deadline,
            ..
        } = granted;
        Self {
            key,
            pod,
            since,
            deadline,
        }
    }
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

/// What callers were told of a key's address.
#[derive(Debug, Clone)]
struct Told {
    /// The only request that was answered with it; `None`: there were several, or an earlier process answered.
    only: Option<RequestId>,
    /// The request answered last; `None`: an earlier process answered.
    newest: Option<RequestId>,
    /// When the last answer left; of an earlier process: when this one began.
    at: Instant,
}

/// The requests that are not answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requests {
    waiting: BTreeMap<RequestId, Waiter>,
    /// Waiters that were told of because they wait long.
    slow: BTreeSet<RequestId>,
    granted: BTreeMap<RequestId, Granted>,
    /// Keys whose address some caller was told: such an address is given back by DEL or the sweep only.
    told: BTreeMap<PodKey, Told>,
    /// The arrival number of each key's last DEL, while an earlier ADD may not have been seen yet.
    fences: BTreeMap<PodKey, RequestId>,
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
        self.slow.remove(&id);
        self.waiting.remove(&id)
    }

    /// The container a waiter asks for.
    pub(crate) fn waiting_container(&self, id: RequestId) -> Option<String> {
        let waiter = self.waiting.get(&id)?;
        Some(waiter.key.container.clone())
    }

    /// Since when the oldest waiter waits.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.waiting.values().map(|waiter| waiter.since).min()
    }

    /// Waiters that have become slow; each is returned once.
    pub(crate) fn newly_slow(&mut self, now: Instant) -> Vec<Waiter> {
        let slow: Vec<_> = self
            .waiting
            .iter()
            .filter(|(id, waiter)| now.since(waiter.since) >= SLOW && !self.slow.contains(id))
            .map(|(id, waiter)| (*id, waiter.clone()))
            .collect();
        self.slow.extend(slow.iter().map(|(id, _)| *id));
        slow.into_iter().map(|(_, waiter)| waiter).collect()
    }

    /// A DEL of the key arrived as number `id`: ADDs of the key with a lower number are void, whenever they are seen.
    pub(crate) fn fence(&mut self, key: &PodKey, id: RequestId) {
        self.fences
            .retain(|_, number| number.0.saturating_add(REACH) > id.0);
        let number = self.fences.entry(key.clone()).or_insert(id);
        *number = id.max(*number);
    }

    /// Whether a DEL of the key that arrived later than number `id` was seen before it.
    pub(crate) fn is_fenced(&self, key: &PodKey, id: RequestId) -> bool {
        self.fences.get(key).is_some_and(|number| *number > id)
    }

    /// Whether the key was asked for by an ADD that arrived later than number `id`.
    pub(crate) fn was_asked_after(&self, key: &PodKey, id: RequestId) -> bool {
        let told = self.told.get(key).and_then(|told| told.newest);
        let open = self.waiting_for(key).into_iter();
        open.chain(self.granted_adds(key))
            .chain(told)
            .any(|other| other > id)
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

    /// Waiters of the same pod and interface with another container: of all of them the newest takes the others' place.
    pub(crate) fn other_sandboxes(&self, key: &PodKey, pod: &PodName) -> Vec<RequestId> {
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
    pub(crate) fn tell(&mut self, id: RequestId, key: PodKey, now: Instant) {
        let only = (!self.told.contains_key(&key)).then_some(id);
        let told = Told {
            only,
            newest: Some(id),
            at: now,
        };
        self.told.insert(key, told);
    }

    /// An earlier process told somebody.
    pub(crate) fn was_told(&mut self, key: PodKey) {
        let told = Told {
            only: None,
            newest: None,
            at: Instant(0),
        };
        self.told.insert(key, told);
    }

    /// This process begins: what an earlier one told counts from now on.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.told.values_mut().for_each(|told| told.at = now);
    }

    /// When the key's address was last told.
    pub(crate) fn told_at(&self, key: &PodKey) -> Option<Instant> {
        self.told.get(key).map(|told| told.at)
    }

    /// The answer to this request was not taken. Returns the key when nobody else was told of its address.
    pub(crate) fn untell(&mut self, id: RequestId) -> Option<PodKey> {
        let (key, _) = self.told.iter().find(|(_, told)| told.only == Some(id))?;
        let key = key.clone();
        self.told.remove(&key);
        Some(key)
    }

    /// The key holds nothing any more.
    pub(crate) fn forget(&mut self, key: &PodKey) {
        self.told.remove(key);
    }

    /// Whether nobody was told of the key's address and nobody asks for it any more: it may be given back at once.
    pub(crate) fn is_unwanted(&self, key: &PodKey) -> bool {
        !self.told.contains_key(key)
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

    /// Every deadline somebody waits for, and when a waiter becomes slow.
    pub(crate) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let waiting = self.waiting.values().map(|waiter| waiter.deadline);
        let told = |id| self.slow.contains(id);
        let slow = self
            .waiting
            .iter()
            .filter(move |(id, _)| !told(*id))
            .map(|(_, waiter)| waiter.since.after(SLOW));
        waiting
            .chain(slow)
            .chain(self.granted.values().map(|granted| granted.deadline))
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
            requests.other_sandboxes(&newer.key, &newer.pod),
            [RequestId(1)]
        );
        assert_eq!(
            requests.other_sandboxes(&key("old"), &newer.pod),
            [],
            "the same sandbox again joins"
        );
        assert_eq!(
            requests.other_sandboxes(&key("x"), &PodName::default()),
            [],
            "unnamed pods are never the same"
        );
    }

    #[test]
    fn an_answer_that_was_not_taken_counts_only_when_nobody_else_was_told() {
        let mut requests = Requests::default();
        requests.tell(RequestId(1), key("a"), Instant(0));
        assert_eq!(requests.untell(RequestId(2)), None);
        assert_eq!(requests.untell(RequestId(1)), Some(key("a")));
        requests.tell(RequestId(3), key("a"), Instant(0));
        requests.tell(RequestId(4), key("a"), Instant(9));
        assert_eq!(requests.untell(RequestId(4)), None, "3 knows it too");
        requests.was_told(key("b"));
        requests.tell(RequestId(5), key("b"), Instant(9));
        assert_eq!(
            requests.untell(RequestId(5)),
            None,
            "so did somebody before"
        );
    }

    #[test]
    fn a_fence_stops_earlier_adds_only_and_goes_by_itself() {
        let mut requests = Requests::default();
        requests.fence(&key("a"), RequestId(7));
        assert!(requests.is_fenced(&key("a"), RequestId(6)));
        assert!(!requests.is_fenced(&key("a"), RequestId(8)));
        assert!(!requests.is_fenced(&key("b"), RequestId(6)));
        for number in 8..2_000 {
            requests.fence(&key(&format!("c{number}")), RequestId(number));
        }
        assert!(requests.fences.len() <= usize::try_from(REACH).unwrap());
        assert!(!requests.fences.contains_key(&key("a")));
    }

    #[test]
    fn an_address_is_unwanted_only_when_nobody_was_told_and_nobody_asks() {
        let mut requests = Requests::default();
        assert!(requests.is_unwanted(&key("a")));
        requests.wait(RequestId(1), waiter("a", "web-0"));
        assert!(!requests.is_unwanted(&key("a")));
        requests.stop_waiting(RequestId(1));
        requests.tell(RequestId(1), key("a"), Instant(0));
        assert!(!requests.is_unwanted(&key("a")));
        requests.forget(&key("a"));
        assert!(requests.is_unwanted(&key("a")));
    }
}
