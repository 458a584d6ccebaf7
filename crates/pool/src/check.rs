//! The inventory's consistency with itself, for debug assertions and property tests. Must not: repair anything.

use crate::address::AddressState;
use crate::inventory::Inventory;

impl Inventory {
    /// Whether all parts agree.
    ///
    /// # Errors
    /// The first contradiction, in words.
    pub fn check(&self) -> Result<(), String> {
        self.check_places()?;
        self.check_holders()?;
        self.check_facts()
    }

    fn check_places(&self) -> Result<(), String> {
        for (id, slots) in &self.enis {
            ensure(slots.eni.id == *id, || {
                format!("{id} is stored as {}", slots.eni.id)
            })?;
            for (address, state) in slots.addresses.iter() {
                ensure(address != slots.eni.primary, || {
                    format!("{address} is the primary address of {id}")
                })?;
                ensure(self.located.get(&address) == Some(id), || {
                    format!("{address} is on {id} but located elsewhere")
                })?;
                let derived = self.derived(address);
                ensure(*state == derived, || {
                    format!("{address} is {state:?} but should be {derived:?}")
                })?;
            }
        }
        let owned: usize = self.enis.values().map(|slots| slots.addresses.len()).sum();
        ensure(owned == self.located.len(), || {
            format!("{owned} addresses on ENIs, {} located", self.located.len())
        })
    }

    fn check_holders(&self) -> Result<(), String> {
        for (key, allocation) in &self.allocations {
            let address = allocation.address;
            ensure(allocation.key == *key, || {
                format!("{key} is stored with {}", allocation.key)
            })?;
            ensure(self.holders.get(&address) == Some(key), || {
                format!("{key} holds {address}, its holder is another")
            })?;
        }
        ensure(self.holders.len() == self.allocations.len(), || {
            "holders without allocations".to_owned()
        })
    }

    fn check_facts(&self) -> Result<(), String> {
        for address in self.holders.keys() {
            let also = self.cooling.contains_key(address)
                || self.linked.contains(address)
                || self.leaving.contains(address);
            ensure(!also, || {
                format!("{address} is held, and also cools, leaves or is held by a link")
            })?;
        }
        for address in self.leaving.iter().chain(&self.lost) {
            ensure(self.located.contains_key(address), || {
                format!("{address} leaves or is lost, but is on no ENI")
            })?;
        }
        for address in &self.lost {
            let state = self.derived(*address);
            ensure(state == AddressState::Lost, || {
                format!("{address} is lost but {state:?}")
            })?;
        }
        Ok(())
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
