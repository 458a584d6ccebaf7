//! L1, second half: with faults off the pool reaches its warm targets without a restart, unless the node's or the
//! subnet's limit says why not. The arithmetic is upstream's (ipamd.md §4.1–4.3), written again: the node's may be wrong.

use super::{Check, Invariant, violated};
use model::settings::WarmTargets;

/// What EC2 has for the node, and what could still come.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// What is wanted.
    pub targets: WarmTargets,
    /// Secondary addresses that EC2 routes to the node.
    pub total: u32,
    /// Of these, held by pods.
    pub held: u32,
    /// Addresses that the node can have.
    pub capacity: u32,
    /// Secondary addresses of one ENI.
    pub slots_per_eni: u32,
    /// Addresses that the subnet has left.
    pub left_in_subnet: u32,
}

/// At rest.
pub fn check(pool: &Pool) -> Check {
    let wanted = wanted(pool).min(pool.capacity);
    let missing = wanted.saturating_sub(pool.total);
    // An ENI more takes an address for itself, and what is left may lie on one that cannot take more.
    if missing == 0 || pool.left_in_subnet < missing + 2 {
        return Ok(());
    }
    violated(
        Invariant::Satisfied,
        format!(
            "the pool has {} addresses, {} of them held; {wanted} are wanted and {} fit",
            pool.total, pool.held, pool.capacity
        ),
    )
}

fn wanted(pool: &Pool) -> u32 {
    let targets = &pool.targets;
    if targets.warm_ip > 0 || targets.minimum_ip > 0 {
        return (pool.held + targets.warm_ip).max(targets.minimum_ip);
    }
    pool.held + (targets.warm_eni * pool.slots_per_eni).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(warm_eni: u32, warm_ip: u32, total: u32, held: u32) -> Pool {
        let targets = WarmTargets {
            warm_eni,
            warm_ip,
            minimum_ip: 0,
            ..WarmTargets::default()
        };
        Pool {
            targets,
            total,
            held,
            capacity: 27,
            slots_per_eni: 9,
            left_in_subnet: 200,
        }
    }

    #[test]
    fn a_short_pool_is_excused_only_by_the_limits() {
        assert!(check(&pool(1, 0, 9, 0)).is_ok());
        assert!(check(&pool(1, 0, 9, 1)).is_err());
        assert!(check(&pool(1, 0, 27, 27)).is_ok(), "nothing more fits");
        assert!(check(&pool(0, 3, 5, 2)).is_ok());
        assert!(check(&pool(0, 3, 4, 2)).is_err());
        let full = Pool {
            left_in_subnet: 2,
            ..pool(0, 3, 4, 2)
        };
        assert!(check(&full).is_ok(), "the subnet is full");
    }
}
