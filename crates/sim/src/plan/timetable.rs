//! The steps of a plan with their times. Must not: know what a step does (`world::steps`).

use super::{Action, START, Step, Swarm};
use crate::random::Random;
use model::time::Duration;

/// So many steps; a step whose fault is off is a rest.
pub(super) fn of(random: &mut Random, count: u32, faults: &Swarm) -> Vec<Step> {
    let mut at = START;
    let mut steps = Vec::new();
    for _ in 0..count {
        let pause = match random.between(0, 9) {
            0..=2 => random.between(0, 50),
            3..=6 => random.between(50, 3_000),
            7..=8 => random.between(3_000, 20_000),
            _ => random.between(20_000, 90_000),
        };
        at = at.after(Duration::from_millis(pause));
        let pick = u32::try_from(random.between(0, 9_999)).expect("below 10,000");
        steps.push(Step {
            at,
            action: action(random, faults),
            pick,
        });
    }
    steps
}

fn action(random: &mut Random, faults: &Swarm) -> Action {
    let drawn = match random.between(0, 109) {
        number @ 0..=81 => pods(random, number),
        number @ 82..=93 => process(random, number),
        number @ 94..=103 => surroundings(random, number),
        _ => Action::Rest,
    };
    if is_on(drawn, faults) {
        drawn
    } else {
        Action::Rest
    }
}

fn upto(random: &mut Random, high: u64) -> u32 {
    u32::try_from(random.between(1, high)).expect("small")
}

/// What kubelet and the runtime do.
fn pods(random: &mut Random, number: u64) -> Action {
    match number {
        0..=29 => Action::AddPods(upto(random, 4)),
        30..=33 => Action::AddPods(upto(random, 20)),
        34..=57 => Action::RemovePods(upto(random, 4)),
        58..=60 => Action::RemovePods(upto(random, 20)),
        61..=65 => Action::ReplaceSandbox,
        66..=67 => Action::VanishPod,
        68..=72 => Action::KillClient,
        73..=76 => Action::AskAgain,
        _ => Action::DeleteWaiting,
    }
}

/// What happens to the daemon, its files and its clock.
fn process(random: &mut Random, number: u64) -> Action {
    match number {
        82..=86 => Action::Kill(random.pick(&[1, 300, 2_000, 20_000])),
        87 => Action::Terminate(random.pick(&[500, 5_000])),
        88 => Action::Reboot,
        89..=90 => Action::DiskFails(random.pick(&[1_000, 10_000, 120_000])),
        91 => Action::CheckpointFails(random.pick(&[1_000, 10_000, 120_000])),
        _ => Action::WallStep(random.pick(&[-86_400, -60, 60, 86_400])),
    }
}

/// What happens to the account and the instance.
fn surroundings(random: &mut Random, number: u64) -> Action {
    match number {
        94..=95 => Action::ImdsLies(random.pick(&[5_000, 60_000, 600_000])),
        96 => Action::ImdsRefuses(random.pick(&[1_000, 18_000, 60_000])),
        97 => Action::CrowdSubnet(random.pick(&[0, 1, 3, 8])),
        98..=99 => Action::EmptySubnet,
        100 => Action::QuotaUsed(random.pick(&[5_000, 60_000])),
        101..=102 => Action::OperatorUnassigns,
        _ => Action::OperatorDetaches,
    }
}

fn is_on(action: Action, faults: &Swarm) -> bool {
    match action {
        Action::VanishPod => faults.no_del,
        Action::KillClient | Action::DeleteWaiting => faults.client_death,
        Action::Kill(_) | Action::Terminate(_) => faults.kills,
        Action::Reboot => faults.reboots,
        Action::DiskFails(_) | Action::CheckpointFails(_) => faults.write_errors,
        Action::WallStep(_) => faults.wall_steps,
        Action::ImdsLies(_) => faults.imds_lies,
        Action::ImdsRefuses(_) => faults.imds_errors,
        Action::CrowdSubnet(_) | Action::EmptySubnet => faults.crowded_subnet,
        Action::QuotaUsed(_) => faults.quota,
        Action::OperatorUnassigns | Action::OperatorDetaches => faults.operators,
        Action::AddPods(_)
        | Action::RemovePods(_)
        | Action::ReplaceSandbox
        | Action::AskAgain
        | Action::Rest => true,
    }
}
