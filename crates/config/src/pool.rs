//! The variables of the warm pool (ipamd.md §1.2). Must not: decide how the pool grows.

use crate::variable::{Kind, UNBOUNDED, Variable};

const COUNT: Kind = Kind::Integer {
    least: 0,
    most: i64::MAX,
};

/// Spare ENIs.
pub const WARM_ENI_TARGET: Variable = Variable::row(
    "WARM_ENI_TARGET",
    COUNT,
    "1",
    "Free addresses to keep, in full ENIs. 0 keeps at least one address. Ignored while `WARM_IP_TARGET` or \
     `MINIMUM_IP_TARGET` is above 0.",
);
/// Free addresses.
pub const WARM_IP_TARGET: Variable = Variable::row(
    "WARM_IP_TARGET",
    COUNT,
    "0",
    "Free addresses to keep; 0 is off. Takes precedence over `WARM_ENI_TARGET`.",
);
/// Floor on all addresses.
pub const MINIMUM_IP_TARGET: Variable = Variable::row(
    "MINIMUM_IP_TARGET",
    COUNT,
    "0",
    "Floor on all addresses of the node, held or free; 0 is off. Alone it implies no free addresses beyond it, except \
     for pods that wait for one.",
);
/// Free prefixes.
pub const WARM_PREFIX_TARGET: Variable = Variable::row(
    "WARM_PREFIX_TARGET",
    COUNT,
    "0",
    "Free /28 prefixes to keep.",
)
.nothing("it counts in prefix delegation only, which is not built yet");
/// ENI limit.
pub const MAX_ENI: Variable = Variable::row(
    "MAX_ENI",
    Kind::Integer {
        least: 1,
        most: i64::MAX,
    },
    UNBOUNDED,
    "Upper bound on ENIs, the primary one included. The instance type's limit holds anyway.",
);
/// Rest of an address between two pods.
pub const IP_COOLDOWN_PERIOD: Variable = Variable::row(
    "IP_COOLDOWN_PERIOD",
    COUNT,
    "30",
    "Seconds before a released address is given to another pod.",
)
.refused();

/// All rows, in the order of the reference page.
pub const ROWS: &[Variable] = &[
    WARM_ENI_TARGET,
    WARM_IP_TARGET,
    MINIMUM_IP_TARGET,
    WARM_PREFIX_TARGET,
    MAX_ENI,
    IP_COOLDOWN_PERIOD,
];
