//! Upstream's numbers: rule priorities, the mark, the pod's gateway, sizes of names (datapath.md §2.1, §3.1).
//! Must not: depend on a node's settings.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use model::card::RouteTable;

use crate::value::Mark;

/// `to POD lookup main`, one per pod.
pub const TO_POD: u32 = 512;
/// `fwmark MARK lookup main`, one per node.
pub const MARKED: u32 = 1024;
/// `fwmark MARK lookup TABLE`, one per secondary ENI: answers to NodePort connections that came in by it. Not upstream's.
pub const RETURN: u32 = 1025;
/// `to RANGE lookup main`, one per range of services outside the VPC.
pub const EXTERNAL_SERVICE: u32 = 1535;
/// `from POD lookup TABLE`, one per pod that is not on the primary ENI.
pub const FROM_POD: u32 = 1536;
/// `from ENI lookup TABLE`, one per secondary ENI.
pub const FROM_ENI: u32 = 32765;

/// The bit by which packets of connections that belong to the primary ENI are known.
pub const CONNMARK: Mark = Mark {
    value: 0x80,
    mask: 0x80,
};

/// The mark of a NodePort connection that came in by the secondary ENI of this table: the ENI's position on card 0 in the
/// bits of `field`; none where it does not fit.
pub fn eni_mark(field: u32, table: RouteTable) -> Option<Mark> {
    let position = table
        .0
        .checked_sub(1)
        .filter(|_| table != RouteTable::MAIN)?;
    let most = field.checked_shr(field.trailing_zeros())?;
    (1..=most).contains(&position).then(|| Mark {
        value: position << field.trailing_zeros(),
        mask: field,
    })
}

/// The pod's default gateway. Nobody has it: a permanent neighbour entry answers for it.
pub const POD_GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// What a caller says of a pod's table when nobody knows it any more.
pub const ANY_TABLE: RouteTable = RouteTable(0);

/// `rp_filter` that accepts a packet when any link leads back to its source.
pub const LOOSE: u32 = 2;

/// `IFNAMSIZ` without the terminating zero.
pub const LINK_NAME_MAX: usize = 15;

/// The table that a pod's traffic leaves through. Upstream sends 254 for the primary ENI, once sent 1, and 0 for
/// branch ENIs, which have no table of their own here.
pub fn egress_table(table: RouteTable) -> RouteTable {
    if table.0 > 1 { table } else { RouteTable::MAIN }
}

/// The router of a VPC subnet: the address after the network's.
pub fn subnet_gateway(subnet: Ipv4Network) -> Ipv4Addr {
    Ipv4Addr::from_bits(subnet.network().to_bits().wrapping_add(1))
}

/// A single address as a network.
pub(crate) fn host(address: Ipv4Addr) -> Ipv4Network {
    Ipv4Network::new(address, 32).expect("32 is a prefix length")
}

/// Where a default route leads.
pub(crate) fn everything() -> Ipv4Network {
    Ipv4Network::new(Ipv4Addr::UNSPECIFIED, 0).expect("0 is a prefix length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn historic_table_numbers_of_the_primary_eni_mean_main() {
        for (sent, used) in [(0, 254), (1, 254), (2, 2), (254, 254), (10_101, 10_101)] {
            assert_eq!(egress_table(RouteTable(sent)), RouteTable(used));
        }
    }

    #[test]
    fn an_eni_is_marked_with_its_position_as_far_as_the_field_reaches() {
        let mark = |field, table| eni_mark(field, RouteTable(table)).map(|mark| mark.value);
        for (field, table, value) in [
            (0x78, 2, Some(0x08)),
            (0x78, 15, Some(0x70)),
            (0x78, 16, Some(0x78)),
            (0x78, 17, None),
            (0x78, 254, None),
            (0x78, 1, None),
            (0x78, 0, None),
            (0x78, 10_101, None),
            (0xf000_0000, 3, Some(0x2000_0000)),
            (u32::MAX, 3, Some(2)),
            (0, 2, None),
        ] {
            assert_eq!(mark(field, table), value, "{field:#x} {table}");
        }
    }

    #[test]
    fn the_router_has_the_first_address_whatever_host_the_subnet_is_written_with() {
        for (subnet, router) in [
            ("10.0.1.0/24", "10.0.1.1"),
            ("10.0.1.20/24", "10.0.1.1"),
            ("10.0.3.128/25", "10.0.3.129"),
        ] {
            assert_eq!(subnet_gateway(subnet.parse().unwrap()).to_string(), router);
        }
    }
}
