//! The addresses of one ENI with their states, lowest first. Must not: decide a state (the inventory derives it).
//!
//! A list and not a tree: an ENI has at most 49 addresses, every plan walks over all of them, few change.

use crate::address::AddressState;
use std::net::Ipv4Addr;

/// Addresses in order, each with its state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Addresses(Vec<(Ipv4Addr, AddressState)>);

impl Addresses {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, lowest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (Ipv4Addr, &AddressState)> {
        self.0.iter().map(|(address, state)| (*address, state))
    }

    /// Their states, in the order of the addresses.
    pub(crate) fn states(&self) -> impl Iterator<Item = &AddressState> {
        self.0.iter().map(|(_, state)| state)
    }

    /// The state of one; `None`: it is not here.
    pub(crate) fn get(&self, address: Ipv4Addr) -> Option<AddressState> {
        self.place(address).ok().map(|place| self.0[place].1)
    }

    /// Adds one, or changes its state.
    pub(crate) fn insert(&mut self, address: Ipv4Addr, state: AddressState) {
        match self.place(address) {
            Ok(place) => self.0[place].1 = state,
            Err(place) => self.0.insert(place, (address, state)),
        }
    }

    /// Takes one away.
    pub(crate) fn remove(&mut self, address: Ipv4Addr) {
        if let Ok(place) = self.place(address) {
            self.0.remove(place);
        }
    }

    fn place(&self, address: Ipv4Addr) -> Result<usize, usize> {
        self.0.binary_search_by_key(&address, |(own, _)| *own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_order_and_there_once() {
        let address = |last| Ipv4Addr::new(10, 0, 0, last);
        let mut addresses = Addresses::default();
        for last in [9, 3, 5, 3] {
            addresses.insert(address(last), AddressState::Free);
        }
        addresses.insert(address(5), AddressState::Held);
        let order: Vec<_> = addresses.iter().map(|(address, _)| address).collect();
        assert_eq!(order, [3, 5, 9].map(address));
        assert_eq!(addresses.get(address(5)), Some(AddressState::Held));
        addresses.remove(address(5));
        addresses.remove(address(7));
        assert_eq!((addresses.len(), addresses.get(address(5))), (2, None));
    }
}
