//! Text of plans: what is written is read back. Must not: run a plan.

use super::*;
use crate::plan::{Action, Step};
use model::time::Instant;

fn read(text: &str) -> Result<Plan, String> {
    text.parse::<Plan>().map_err(|error| error.to_string())
}

#[test]
fn every_seeds_plan_is_read_back_as_it_was() {
    for seed in 0..500 {
        let mut plan = Plan::of(seed, 60);
        for (number, (end, _)) in (1..).zip(End::WORDS) {
            plan.fates.push(Fate {
                action: vpc::Action::ALL[(seed + number) as usize % vpc::Action::ALL.len()],
                ordinal: number,
                end: *end,
                there: Duration::from_millis(seed * number),
                back: Duration::from_millis(seed % 7),
            });
        }
        plan.blow = (seed % 5 > 0).then(|| Blow {
            at: seed as usize,
            how: How::WORDS[seed as usize % How::WORDS.len()].0,
        });
        assert_eq!(read(&plan.to_string()), Ok(plan), "seed {seed}");
    }
}

#[test]
fn what_seeds_never_say_is_read_back_too() {
    let mut plan = Plan::of(1, 0);
    plan.settings.mode = Mode::Prefix;
    plan.settings.provisioning = false;
    plan.settings.max_pods = 17;
    plan.settings.targets.warm_prefix = 2;
    plan.settings.cluster_name = "two words".into();
    plan.settings.additional_tags = [("team".to_owned(), "a=b c".to_owned())]
        .into_iter()
        .collect();
    for flag in Swarm::FLAGS {
        (flag.set)(&mut plan.faults, true);
    }
    plan.steps = vec![Step {
        at: Instant(u64::from(u32::MAX)),
        action: Action::WallStep(-86_400),
        pick: u32::MAX,
    }];
    assert_eq!(read(&plan.to_string()), Ok(plan));
}

#[test]
fn a_plan_reads_like_a_story() {
    let text = "# why\nseed 42\ninstance t3.medium\npods 7\nwarm-ip 2\nfault describe_lag\n\
        CreateNetworkInterface #2: applied, reply lost, 0.3s there, 0s back\n\
        t=100.25s add 3 pods, pick 17\nt=101s kill the daemon for 0.300s\n";
    let plan = read(text).unwrap();
    assert_eq!((plan.seed, plan.pods), (42, 7));
    assert_eq!(plan.settings.targets.warm_ip, 2);
    assert!(plan.faults.describe_lag);
    assert_eq!(plan.fates[0].end, End::ReplyLost);
    assert_eq!(plan.fates[0].there, Duration::from_millis(300));
    assert_eq!(plan.steps[0].action, Action::AddPods(3));
    assert_eq!(
        (plan.steps[0].at, plan.steps[0].pick),
        (Instant(100_250), 17)
    );
    assert_eq!(plan.steps[1].action, Action::Kill(300));
}

#[test]
fn what_is_not_a_plan_is_refused_with_its_line() {
    for bad in [
        "sed 42",
        "seed x",
        "instance m9.huge",
        "subnet 24",
        "subnet /8",
        "fault none",
        "cooldown 30",
        "cooldown 1.2345s",
        "cooldown 99999999999999999999s",
        "tag nothing",
        "CreateNetworkInterface: lost unapplied",
        "CreateNetworkInterface #1: eaten",
        "Nothing #1: lost unapplied",
        "dies at effect 1",
        "dies at effect x, before it",
        "dies at effect 1, laughing",
        "t=5s",
        "t=5s dance",
        "t=5s add x pods",
        "t=5s kill the daemon for 99999999s",
        "t=5s rest\nt=4s rest",
    ] {
        let error = read(&format!("seed 1\n{bad}")).unwrap_err();
        assert!(error.starts_with("line "), "{bad:?}: {error}");
    }
}
