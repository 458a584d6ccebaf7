//! What callers were told: which pod believes it has which address, and which addresses rest since when.
//! Must not: ask the node; the node may be wrong. Driven by: `world`; read by the invariants.

mod taken;

use model::id::EniId;
use model::pod::PodKey;
use model::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use taken::Taken;

/// A caller's belief to hold an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What.
    pub address: Ipv4Addr,
    /// Since the reply left the node.
    pub since: Instant,
    /// Replies on their way to a caller that lives.
    travelling: u32,
    /// Whether some caller has read a reply.
    read: bool,
}

/// The callers' view.
#[derive(Debug, Clone)]
pub struct Oracle {
    cooldown: Duration,
    claims: BTreeMap<PodKey, Claim>,
    rested: BTreeMap<Ipv4Addr, Rest>,
    taken: Taken,
}

/// A used address after its pod ended.
#[derive(Debug, Clone)]
struct Rest {
    since: Instant,
    /// Set while the node wasn't told of the end: its own key may well be told the address again.
    unreported: Option<PodKey>,
}

impl Oracle {
    /// Nobody was told anything.
    pub fn new(cooldown: Duration) -> Self {
        Self {
            cooldown,
            claims: BTreeMap::new(),
            rested: BTreeMap::new(),
            taken: Taken::default(),
        }
    }

    /// A reply with an address left towards a caller that lives.
    pub fn told(&mut self, now: Instant, key: &PodKey, address: Ipv4Addr) {
        let fresh = Claim {
            address,
            since: now,
            travelling: 0,
            read: false,
        };
        let claim = self
            .claims
            .entry(key.clone())
            .or_insert_with(|| fresh.clone());
        if claim.address != address {
            *claim = fresh;
        }
        claim.travelling += 1;
        self.rested.remove(&address);
    }

    /// A caller read a reply.
    pub fn read(&mut self, key: &PodKey, address: Ipv4Addr) {
        if let Some(claim) = self
            .claims
            .get_mut(key)
            .filter(|claim| claim.address == address)
        {
            claim.travelling = claim.travelling.saturating_sub(1);
            claim.read = true;
        }
    }

    /// A reply never reached its caller. When no caller knows the address, nobody uses it.
    pub fn unread(&mut self, key: &PodKey, address: Ipv4Addr) {
        let Some(claim) = self
            .claims
            .get_mut(key)
            .filter(|claim| claim.address == address)
        else {
            return;
        };
        claim.travelling = claim.travelling.saturating_sub(1);
        if claim.travelling == 0 && !claim.read {
            self.claims.remove(key);
        }
    }

    /// The pod has stopped using its address: its link went, or nobody is left to wire it. The node can't know yet.
    pub fn ended(&mut self, now: Instant, key: &PodKey) {
        if let Some(claim) = self.claims.remove(key)
            && claim.read
        {
            self.rested.insert(
                claim.address,
                Rest {
                    since: now,
                    unreported: Some(key.clone()),
                },
            );
        }
    }

    /// The node gets the key's DEL.
    pub fn deleted(&mut self, now: Instant, key: &PodKey) {
        self.ended(now, key);
        for rest in self
            .rested
            .values_mut()
            .filter(|rest| rest.unreported.as_ref() == Some(key))
        {
            rest.unreported = None;
        }
    }

    /// People took the address from the node in EC2.
    pub fn taken(&mut self, now: Instant, address: Ipv4Addr, from: Option<&EniId>) {
        self.taken.take(now, address, from);
    }

    /// EC2 routes the address to the node again, by this ENI. By another one the node need not know of it yet.
    pub fn returned(&mut self, address: Ipv4Addr, to: &EniId) {
        self.taken.give_back(address, to);
    }

    /// The node says that EC2 doesn't route the address to it any more.
    pub fn reported(&mut self, address: Ipv4Addr) {
        self.taken.report(address);
    }

    /// Since when people have taken the address.
    pub fn taken_since(&self, address: Ipv4Addr) -> Option<Instant> {
        self.taken.since(address)
    }

    /// A new process starts: what the last one had noticed it must notice again.
    pub fn restarted(&mut self) {
        self.taken.forget_reports();
    }

    /// Whether the process that runs now has said so.
    pub fn is_known(&self, address: Ipv4Addr) -> bool {
        self.taken.is_known(address)
    }

    /// Whether some process has said so.
    pub fn is_reported(&self, address: Ipv4Addr) -> bool {
        self.taken.is_reported(address)
    }

    /// The node booted: no pod lives, nothing rests.
    pub fn reboot(&mut self) {
        self.claims.clear();
        self.rested.clear();
    }

    /// Every claim.
    pub fn claims(&self) -> impl Iterator<Item = (&PodKey, &Claim)> {
        self.claims.iter()
    }

    /// The claim of a key.
    pub fn claim(&self, key: &PodKey) -> Option<&Claim> {
        self.claims.get(key)
    }

    /// Who believes to hold an address.
    pub fn claimant(&self, address: Ipv4Addr) -> Option<&PodKey> {
        self.claims
            .iter()
            .find(|(_, claim)| claim.address == address)
            .map(|(key, _)| key)
    }

    /// Until when an address must not be told to this key (`None`: to nobody and not be given up).
    pub fn rests_until(
        &self,
        now: Instant,
        address: Ipv4Addr,
        key: Option<&PodKey>,
    ) -> Option<Instant> {
        let rest = self
            .rested
            .get(&address)
            .filter(|rest| key.is_none() || rest.unreported.as_ref() != key)?;
        Some(rest.since.after(self.cooldown)).filter(|until| *until > now)
    }

    /// Whether anything rests.
    pub fn anything_rests(&self, now: Instant) -> bool {
        self.rested
            .values()
            .any(|rest| rest.since.after(self.cooldown) > now)
    }

    /// Whether the address was used before and has rested since.
    pub fn was_used(&self, address: Ipv4Addr) -> bool {
        self.rested.contains_key(&address)
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

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

    #[test]
    fn an_address_rests_after_its_pod_ended() {
        let mut oracle = Oracle::new(Duration::from_secs(30));
        oracle.told(Instant(0), &key("a"), A);
        oracle.read(&key("a"), A);
        assert_eq!(oracle.claimant(A), Some(&key("a")));
        oracle.ended(Instant(1_000), &key("a"));
        assert_eq!(oracle.claimant(A), None);
        assert_eq!(
            oracle.rests_until(Instant(30_999), A, None),
            Some(Instant(31_000))
        );
        assert_eq!(oracle.rests_until(Instant(31_000), A, None), None);
        assert_eq!(
            oracle.rests_until(Instant(2_000), A, Some(&key("a"))),
            None,
            "the node doesn't know of the end"
        );
        oracle.deleted(Instant(3_000), &key("a"));
        assert_eq!(
            oracle.rests_until(Instant(4_000), A, Some(&key("a"))),
            Some(Instant(31_000))
        );
    }

    #[test]
    fn what_no_caller_read_is_nobodys_and_need_not_rest() {
        let mut oracle = Oracle::new(Duration::from_secs(30));
        oracle.told(Instant(0), &key("a"), A);
        oracle.told(Instant(1), &key("a"), A);
        oracle.unread(&key("a"), A);
        assert!(
            oracle.claim(&key("a")).is_some(),
            "the second reply is on its way"
        );
        oracle.unread(&key("a"), A);
        assert!(oracle.claim(&key("a")).is_none());
        assert_eq!(oracle.rests_until(Instant(2), A, None), None);
    }
}
