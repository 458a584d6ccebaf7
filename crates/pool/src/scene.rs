//! Small pools for the tests of this crate. Must not: be used outside tests.

use crate::eni::{Eni, EniState};
use crate::inventory::{Inventory, PoolLimits};
use model::card::{DeviceIndex, NetworkCard};
use model::eni::EniKind;
use model::id::EniId;
use model::mac::Mac;
use model::pod::{PodKey, PodName};
use model::time::{Duration, Instant, Now, WallTime};
use std::net::Ipv4Addr;

/// Old enough for an ENI that entered at 0 to be freed.
pub(crate) const LATER: Instant = Instant(3_600_000);

pub(crate) fn now(millis: u64) -> Now {
    Now {
        boot: Instant(millis),
        wall: WallTime(i64::try_from(millis).unwrap() * 1_000_000),
    }
}

pub(crate) fn id(number: u8) -> EniId {
    format!("eni-{number}").parse().unwrap()
}

pub(crate) fn key(number: u32) -> PodKey {
    PodKey {
        network: "aws-cni".to_owned(),
        container: format!("c{number}"),
        interface: "eth0".to_owned(),
    }
}

pub(crate) fn pod(number: u32) -> PodName {
    PodName {
        namespace: "default".to_owned(),
        name: format!("pod-{number}"),
    }
}

/// The `number`-th secondary address of an ENI of [`inventory`], counted from 1.
pub(crate) fn address(eni: u8, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, eni, number)
}

pub(crate) fn eni(number: u8) -> Eni {
    Eni {
        id: id(number),
        mac: Mac([2, 0, 0, 0, 0, number]),
        primary: Ipv4Addr::new(10, 1, 0, number),
        index: DeviceIndex(number),
        card: NetworkCard(0),
        is_primary: number == 0,
        kind: EniKind::Standard,
        managed: true,
        state: EniState::Usable,
        since: Instant(0),
        incoming: 0,
    }
}

/// A pool with usable ENIs that hold so many free addresses each.
pub(crate) fn inventory(max_enis: u32, slots_per_eni: u32, enis: &[(u8, u8)]) -> Inventory {
    let cooldown = Duration::from_secs(30);
    let mut pool = Inventory::new(PoolLimits {
        max_enis,
        slots_per_eni,
        max_pods: 110,
        cooldown,
    });
    for (number, addresses) in enis {
        pool.insert_eni(eni(*number));
        for last in 1..=*addresses {
            pool.add_address(&id(*number), address(*number, last));
        }
    }
    pool
}

/// Gives pod `number` an address.
pub(crate) fn grant(pool: &mut Inventory, number: u32) -> Ipv4Addr {
    pool.assign(now(0), &key(number), &pod(number))
        .expect("an address is free")
        .address
}
