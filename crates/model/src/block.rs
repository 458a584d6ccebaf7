//! One slot of an ENI: a single address or a delegated prefix. Must not: know who holds an address of it.

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// What one slot of an ENI can hold: a /32, a /28 (IPv4 prefix) or a /80 (IPv6 prefix).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "IpNetwork", into = "IpNetwork")]
pub struct Block(IpNetwork);

/// A network that EC2 does not delegate to an ENI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a block of an ENI: want an aligned IPv4 /32 or /28, or an IPv6 /80")]
pub struct InvalidBlock(IpNetwork);

impl Block {
    /// The block that holds exactly this secondary IPv4 address.
    pub fn single(address: Ipv4Addr) -> Self {
        Self(IpNetwork::V4(Ipv4Network::from(address)))
    }

    /// True for a delegated prefix (/28 or /80).
    pub fn is_prefix(self) -> bool {
        self.0.prefix() != 32 || self.0.is_ipv6()
    }

    /// Number of addresses pods can use, all of them: 1, 16 or 2^48 (peers-and-ec2.md §10.1).
    pub fn size(self) -> u64 {
        match self.0 {
            IpNetwork::V4(network) => u64::from(network.size()),
            IpNetwork::V6(network) => 1u64 << (128 - u32::from(network.prefix())).min(63),
        }
    }

    /// Whether the address lies in this block.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(address)
    }

    /// The addresses in order, from the network address up; pods may use the first and the last.
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> {
        let network = self.0;
        (0..self.size()).map(move |offset| match network {
            IpNetwork::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(
                v4.network().to_bits() + u32::try_from(offset).expect("a /28 has 16 addresses"),
            )),
            IpNetwork::V6(v6) => IpAddr::V6((v6.network().to_bits() + u128::from(offset)).into()),
        })
    }

    /// The network as such.
    pub fn network(self) -> IpNetwork {
        self.0
    }
}

impl TryFrom<IpNetwork> for Block {
    type Error = InvalidBlock;

    fn try_from(network: IpNetwork) -> Result<Self, InvalidBlock> {
        let aligned = match network {
            IpNetwork::V4(v4) => matches!(v4.prefix(), 28 | 32) && v4.network() == v4.ip(),
            IpNetwork::V6(v6) => is_delegated(v6),
        };
        if aligned {
            Ok(Self(network))
        } else {
            Err(InvalidBlock(network))
        }
    }
}

impl From<Block> for IpNetwork {
    fn from(block: Block) -> IpNetwork {
        block.0
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

fn is_delegated(network: Ipv6Network) -> bool {
    network.prefix() == 80 && network.network() == network.ip()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Result<Block, InvalidBlock> {
        Block::try_from(text.parse::<IpNetwork>().expect("a network"))
    }

    #[test]
    fn sizes_and_members() {
        let prefix = block("10.0.1.16/28").expect("a prefix");
        assert!(prefix.is_prefix());
        let members: Vec<_> = prefix.addresses().collect();
        assert_eq!(members.len(), 16);
        assert_eq!(members[0].to_string(), "10.0.1.16");
        assert_eq!(members[15].to_string(), "10.0.1.31");
        let single = Block::single(Ipv4Addr::new(10, 0, 1, 7));
        assert_eq!((single.is_prefix(), single.size()), (false, 1));
        assert_eq!(
            block("2001:db8:0:1:2::/80").expect("a prefix").size(),
            1 << 48
        );
    }

    #[test]
    fn other_networks_are_refused() {
        for bad in [
            "10.0.1.17/28",
            "10.0.1.0/24",
            "2001:db8::1/128",
            "2001:db8::1/80",
        ] {
            assert!(block(bad).is_err(), "{bad} was accepted");
        }
    }
}
