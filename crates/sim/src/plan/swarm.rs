//! Which faults are on in a run. Must not: say how often they strike (`world` does).

use crate::random::Random;

macro_rules! swarm {
    ($($(#[$doc:meta])* $flag:ident,)*) => {
        /// Which faults are on: a random subset, since with all of them everything fails always and nothing interesting
        /// is reached.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Swarm {
            $($(#[$doc])* pub $flag: bool,)*
        }

        impl Swarm {
            /// Every fault: its name, how to read it and how to set it.
            pub const FLAGS: &[Flag] = &[
                $(Flag {
                    name: stringify!($flag),
                    is_on: |swarm| swarm.$flag,
                    set: |swarm, on| swarm.$flag = on,
                },)*
            ];
        }
    };
}

/// One fault of the swarm.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Its name.
    pub name: &'static str,
    /// Whether it is on.
    pub is_on: fn(&Swarm) -> bool,
    /// Turns it on or off.
    pub set: fn(&mut Swarm, bool),
}

swarm! {
    /// EC2 throttles now and then.
    throttle,
    /// Other callers of the account leave little of EC2's token buckets.
    crowded_account,
    /// EC2 refuses with an error that passes.
    refuse,
    /// EC2 answers 500, having carried the call out or not.
    server_error,
    /// A call is carried out and its answer lost.
    apply_and_lose,
    /// A call is lost on its way there.
    lose_unapplied,
    /// A call is carried out late, after its deadline or after a restart.
    apply_late,
    /// Calls take seconds.
    slow_calls,
    /// Describes lag behind.
    describe_lag,
    /// IMDS lags behind.
    imds_lag,
    /// Reads of IMDS fail: now and then, by path for a while, or as often as said.
    imds_errors,
    /// IMDS hides, makes up or shows old ENIs and addresses.
    imds_lies,
    /// Devices come and go late.
    link_lag,
    /// Others take the subnet's addresses and give them back.
    crowded_subnet,
    /// The Region's quota of ENIs is used up for a while.
    quota,
    /// People detach ENIs and unassign addresses of the node.
    operators,
    /// Writes fail now and then, and for a while.
    write_errors,
    /// Writes take seconds.
    slow_writes,
    /// Plugins are killed.
    client_death,
    /// The daemon is killed or stopped at some time.
    kills,
    /// The daemon is killed at an effect: before it begins, or after.
    kill_at_effects,
    /// The daemon is killed when EC2 has just carried a call out.
    kill_at_calls,
    /// The node reboots.
    reboots,
    /// The daemon is configured otherwise after a restart.
    settings_change,
    /// Completions are delivered twice.
    duplicates,
    /// The wall clock steps.
    wall_steps,
    /// Pods end without a DEL.
    no_del,
    /// The kernel refuses for a while.
    host_errors,
    /// The instance has an ENI that somebody else manages.
    foreign_enis,
}

impl Swarm {
    /// Each fault on in two of five cases.
    pub(super) fn draw(random: &mut Random) -> Self {
        let mut swarm = Self::default();
        for flag in Self::FLAGS {
            (flag.set)(&mut swarm, random.chance(400));
        }
        swarm
    }

    /// Only the faults of these names.
    pub fn only(names: &[&str]) -> Self {
        let mut swarm = Self::default();
        for flag in Self::FLAGS {
            (flag.set)(&mut swarm, names.contains(&flag.name));
        }
        swarm
    }

    /// Whether nothing goes wrong at all.
    pub fn is_quiet(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_can_be_turned_on_alone_by_its_name() {
        for flag in Swarm::FLAGS {
            let swarm = Swarm::only(&[flag.name]);
            let on = Swarm::FLAGS.iter().filter(|other| (other.is_on)(&swarm));
            assert_eq!(on.map(|f| f.name).collect::<Vec<_>>(), [flag.name]);
        }
        assert!(Swarm::only(&[]).is_quiet());
    }
}
