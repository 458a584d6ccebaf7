//! The intent journal in memory: announced mutations, settled or not. Must not: send anything or touch a file.
//!
//! What took something away (unassign, delete) stays in the journal for [`LINGER`] after it was done: EC2's describe may
//! still list it for a while, and a restarted machine would otherwise hand it out. When one of its tries had an unknown outcome, that
//! try may still be carried out: an address that EC2 assigns to us again meanwhile is not used before the time is up.

use model::call::Call;
use model::id::EniId;
use model::intent::Intent;
use model::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Longer than any describe was seen to lag (peers-and-ec2.md §10.6: 30 s).
pub(crate) const LINGER: Duration = Duration::from_secs(60);

/// How an announced call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was carried out, or what it takes away is not there.
    Done,
    /// It was refused and is not tried again.
    Refused,
    /// It was refused and is tried again.
    Repeated,
}

/// The announced mutations by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Intents {
    next: u64,
    open: BTreeMap<u64, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    call: Call,
    /// An earlier try of the call may yet be carried out.
    doubt: bool,
    /// Set once the call is done: the entry only reminds of addresses that describe may still show.
    lingers_until: Option<Instant>,
}

impl Intents {
    /// Starts with what the journal of an earlier process held.
    pub(crate) fn restore(journal: Vec<Intent>) -> Self {
        let open: BTreeMap<_, _> = journal
            .into_iter()
            .map(|intent| {
                (
                    intent.number,
                    Entry {
                        call: intent.call,
                        doubt: true,
                        lingers_until: None,
                    },
                )
            })
            .collect();
        Self {
            next: open.keys().next_back().map_or(0, |last| last + 1),
            open,
        }
    }

    /// Announces a call; an equal one that is still open keeps its number. True when the journal has changed.
    pub(crate) fn announce(&mut self, call: &Call) -> (u64, bool) {
        if let Some((number, _)) = self
            .open
            .iter()
            .find(|(_, entry)| entry.lingers_until.is_none() && entry.call == *call)
        {
            return (*number, false);
        }
        let number = self.next;
        self.next += 1;
        self.open.insert(
            number,
            Entry {
                call: call.clone(),
                doubt: false,
                lingers_until: None,
            },
        );
        (number, true)
    }

    /// A try of the call has an unknown outcome: it may be carried out later.
    pub(crate) fn doubt(&mut self, number: u64) {
        if let Some(entry) = self.open.get_mut(&number) {
            entry.doubt = true;
        }
    }

    /// The outcome of the call is known. What took something away lingers when it was done, and when it was refused for
    /// good though an earlier try may yet be carried out; such a call that is to be repeated stays open.
    pub(crate) fn settle(&mut self, number: u64, now: Instant, ending: Ending) {
        let Some(entry) = self.open.get_mut(&number) else {
            return;
        };
        let takes_away = matches!(
            entry.call,
            Call::UnassignAddresses { .. } | Call::DeleteInterface { .. }
        );
        let doubtful = entry.doubt && takes_away;
        match ending {
            Ending::Repeated if takes_away => {}
            Ending::Done if takes_away => entry.lingers_until = Some(now.after(LINGER)),
            Ending::Refused if doubtful => entry.lingers_until = Some(now.after(LINGER)),
            Ending::Done | Ending::Refused | Ending::Repeated => {
                self.open.remove(&number);
            }
        }
    }

    /// The call is not to be made (again), whatever became of it.
    pub(crate) fn strike(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// An open release names fewer addresses from now on; none left: it is struck.
    pub(crate) fn shorten(&mut self, before: &Call, after: &Call) {
        let none_left =
            matches!(after, Call::UnassignAddresses { addresses, .. } if addresses.is_empty());
        let open = |entry: &Entry| entry.lingers_until.is_none() && entry.call == *before;
        if none_left {
            self.open.retain(|_, entry| !open(entry));
        } else {
            for entry in self.open.values_mut().filter(|entry| open(entry)) {
                entry.call = after.clone();
            }
        }
    }

    /// Whether the ENI was deleted a moment ago, or is being deleted: a describe that lists it proves nothing.
    pub(crate) fn is_deleted(&self, eni: &EniId) -> bool {
        self.open.values().any(
            |entry| matches!(&entry.call, Call::DeleteInterface { eni: deleted } if deleted == eni),
        )
    }

    /// Forgets every open intent that names the ENI: it is gone, or EC2 has told where it stands. Reminders stay.
    pub(crate) fn forget_eni(&mut self, eni: &EniId) -> bool {
        let before = self.open.len();
        self.open
            .retain(|_, entry| entry.lingers_until.is_some() || entry.call.eni() != Some(eni));
        self.open.len() != before
    }

    /// An assign gave these addresses back to the same ENI: they are no longer released, unless a try of the release may
    /// yet be carried out.
    pub(crate) fn reassigned(&mut self, to: &EniId, addresses: &[Ipv4Addr]) -> bool {
        let mut changed = false;
        self.open.retain(|_, entry| {
            if entry.lingers_until.is_none() || entry.doubt {
                return true;
            }
            let Call::UnassignAddresses {
                eni,
                addresses: released,
            } = &mut entry.call
            else {
                return true;
            };
            if eni == to {
                let before = released.len();
                released.retain(|address| !addresses.contains(address));
                changed |= released.len() != before;
            }
            !released.is_empty()
        });
        changed
    }

    /// Whether the ENI released the address a moment ago, or is doing so: a describe that lists it there proves nothing.
    pub(crate) fn is_released(&self, from: &EniId, address: Ipv4Addr) -> bool {
        self.open.values().any(|entry| {
            let Call::UnassignAddresses { eni, addresses } = &entry.call else {
                return false;
            };
            eni == from && addresses.contains(&address)
        })
    }

    /// Drops reminders whose time has come; true when any was.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let before = self.open.len();
        self.open
            .retain(|_, entry| entry.lingers_until.is_none_or(|until| until > now));
        self.open.len() != before
    }

    /// When the next reminder ends.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.open
            .values()
            .filter_map(|entry| entry.lingers_until)
            .min()
    }

    /// What the file should say.
    pub(crate) fn journal(&self) -> Vec<Intent> {
        self.open
            .iter()
            .map(|(number, entry)| Intent {
                number: *number,
                call: entry.call.clone(),
            })
            .collect()
    }

    /// The open calls, oldest first.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (u64, &Call)> {
        self.open
            .iter()
            .filter(|(_, entry)| entry.lingers_until.is_none())
            .map(|(number, entry)| (*number, &entry.call))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eni() -> EniId {
        "eni-1".parse().unwrap()
    }

    fn unassign(last: u8) -> Call {
        Call::UnassignAddresses {
            eni: eni(),
            addresses: vec![Ipv4Addr::new(10, 0, 1, last)],
        }
    }

    #[test]
    fn a_repeated_call_keeps_its_intent_and_numbers_are_not_reused() {
        let mut intents = Intents::restore(vec![Intent {
            number: 7,
            call: unassign(1),
        }]);
        assert_eq!(intents.announce(&unassign(1)), (7, false));
        assert_eq!(intents.announce(&unassign(2)), (8, true));
        intents.settle(8, Instant(0), Ending::Refused);
        assert_eq!(intents.announce(&unassign(2)), (9, true));
    }

    #[test]
    fn a_done_release_lingers_until_no_describe_can_show_it() {
        let mut intents = Intents::default();
        let (number, _) = intents.announce(&unassign(1));
        intents.settle(number, Instant(1_000), Ending::Done);
        assert!(intents.is_released(&eni(), Ipv4Addr::new(10, 0, 1, 1)));
        assert_eq!(intents.calls().count(), 0, "nothing is open any more");
        assert_eq!(
            intents.journal().len(),
            1,
            "but a restart is reminded of it"
        );
        assert!(!intents.expire(Instant(60_999)));
        assert!(intents.expire(Instant(61_000)));
        assert!(!intents.is_released(&eni(), Ipv4Addr::new(10, 0, 1, 1)));
    }

    #[test]
    fn an_address_whose_release_may_yet_be_carried_out_is_not_taken_back() {
        let mut intents = Intents::default();
        let (number, _) = intents.announce(&unassign(1));
        intents.doubt(number);
        intents.settle(number, Instant(0), Ending::Done);
        assert!(!intents.reassigned(&eni(), &[Ipv4Addr::new(10, 0, 1, 1)]));
        assert!(intents.is_released(&eni(), Ipv4Addr::new(10, 0, 1, 1)));
        assert!(intents.expire(Instant(60_000)));
    }

    #[test]
    fn an_address_that_ec2_gives_back_is_not_released_any_more() {
        let mut intents = Intents::default();
        let (number, _) = intents.announce(&unassign(1));
        assert!(
            !intents.reassigned(&eni(), &[Ipv4Addr::new(10, 0, 1, 1)]),
            "still open: its own reply is to come"
        );
        intents.settle(number, Instant(0), Ending::Done);
        assert!(intents.reassigned(&eni(), &[Ipv4Addr::new(10, 0, 1, 1)]));
        assert!(!intents.is_released(&eni(), Ipv4Addr::new(10, 0, 1, 1)));
    }
}
