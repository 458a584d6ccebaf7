//! What a seed stands for: settings, instance type, which faults are on, and the steps with their times.
//! Must not: depend on what the node does; a run is a function of the plan, so a plan with fewer steps still runs.
//! Driven by: `main`, the tests, `shrink`.

mod swarm;
mod timetable;

pub use swarm::{Flag, Swarm};

use crate::fate::Fate;
use crate::random::Random;
use crate::sweep::Blow;
use model::limits::InstanceLimits;
use model::settings::{NodeSettings, WarmTargets};
use model::time::{Duration, Instant};

/// When the first daemon starts; the node has booted [`Plan::UPTIME`] before.
pub const START: Instant = Instant(100_000);

/// Everything about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where it comes from; also seeds the draws during the run.
    pub seed: u64,
    /// For example `m5.large`.
    pub instance_type: &'static str,
    /// What the machine is configured with.
    pub settings: NodeSettings,
    /// Which faults are on.
    pub faults: Swarm,
    /// What becomes of certain calls; goes before what is drawn.
    pub fates: Vec<Fate>,
    /// Where the process dies besides.
    pub blow: Option<Blow>,
    /// Prefix length of the node's subnet.
    pub subnet_prefix: u8,
    /// How many pods there are names for.
    pub pods: u32,
    /// What happens, in order of time.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Instant,
    /// What.
    pub action: Action,
    /// Chooses among what is there when the step is taken.
    pub pick: u32,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Some pods are wanted that were not.
    AddPods(u32),
    /// Some pods are not wanted any more.
    RemovePods(u32),
    /// A pod's sandbox is replaced by a new one; the old one's DEL comes before or after.
    ReplaceSandbox,
    /// A pod's namespace goes, and no DEL is ever sent.
    VanishPod,
    /// A plugin that waits is killed.
    KillClient,
    /// A plugin that waits is asked again with the same key.
    AskAgain,
    /// A pod is deleted while its ADD waits: plugin killed and DEL sent, in either order.
    DeleteWaiting,
    /// The daemon is killed and comes back after these milliseconds.
    Kill(u32),
    /// The daemon gets SIGTERM, is killed 3 s later and comes back.
    Terminate(u32),
    /// The node reboots.
    Reboot,
    /// The daemon's files cannot be written for these milliseconds.
    DiskFails(u32),
    /// The checkpoint alone cannot be written for these milliseconds.
    CheckpointFails(u32),
    /// The wall clock steps by these seconds.
    WallStep(i32),
    /// IMDS tells a lie for these milliseconds; which one is chosen when the step is taken.
    ImdsLies(u32),
    /// IMDS refuses for these milliseconds; what and how is chosen when the step is taken.
    ImdsRefuses(u32),
    /// Others take all of the subnet's addresses but these.
    CrowdSubnet(u32),
    /// Others give back what they took.
    EmptySubnet,
    /// The Region's quota of ENIs is used up for these milliseconds.
    QuotaUsed(u32),
    /// Somebody unassigns an address of the node.
    OperatorUnassigns,
    /// Somebody detaches an ENI of the node.
    OperatorDetaches,
    /// Nothing: time passes.
    Rest,
}

impl Plan {
    /// Whether nothing goes wrong in it: no fault, no fate, no death, only pods that come and go.
    pub fn is_faultless(&self) -> bool {
        let peaceful = |step: &Step| {
            matches!(
                step.action,
                Action::AddPods(_)
                    | Action::RemovePods(_)
                    | Action::ReplaceSandbox
                    | Action::AskAgain
                    | Action::Rest
            )
        };
        self.faults.is_quiet()
            && self.fates.is_empty()
            && self.blow.is_none()
            && self.steps.iter().all(peaceful)
    }

    /// How long the node has been up when the first daemon starts.
    pub const UPTIME: Duration = Duration::from_secs(20);

    /// The plan of a seed with this many steps.
    pub fn of(seed: u64, steps: u32) -> Self {
        let mut random = Random::new(seed, "faults");
        let faults = if random.chance(125) {
            Swarm::default()
        } else {
            Swarm::draw(&mut random)
        };
        Self::with(seed, steps, faults)
    }

    /// The same with these faults.
    pub fn with(seed: u64, steps: u32, faults: Swarm) -> Self {
        let mut random = Random::new(seed, "plan");
        let instance_type = random.pick(&[
            "t3.small",
            "t3.medium",
            "t3.medium",
            "m5.large",
            "m5.large",
            "m5.xlarge",
            "c5n.9xlarge",
            "p4d.24xlarge",
        ]);
        let limits = InstanceLimits::of(instance_type).expect("the types here are in the table");
        let settings = settings(&mut random, limits.enis());
        let room =
            settings.max_enis.unwrap_or(u32::MAX).min(limits.enis()) * limits.slots_per_eni();
        let pods = u32::try_from(random.between(3, u64::from(room.min(40)) * 6 / 5 + 2))
            .expect("at most fifty");
        let subnet_prefix = random.pick(&[20, 22, 24, 24, 26, 27, 28]);
        let steps = timetable::of(&mut random, steps, &faults);
        Self {
            seed,
            instance_type,
            settings,
            faults,
            fates: Vec::new(),
            blow: None,
            subnet_prefix,
            pods,
            steps,
        }
    }
}

impl Plan {
    /// What a daemon may be configured with after a restart: other targets and limits, provisioning off now and then.
    pub(crate) fn other_settings(&self, random: &mut Random) -> NodeSettings {
        let limits =
            InstanceLimits::of(self.instance_type).expect("the types here are in the table");
        NodeSettings {
            cooldown: self.settings.cooldown,
            manage_untagged: self.settings.manage_untagged,
            provisioning: !random.chance(150),
            ..settings(random, limits.enis())
        }
    }
}

fn settings(random: &mut Random, enis: u32) -> NodeSettings {
    let mut small = |high| u32::try_from(random.between(0, high)).expect("small");
    let targets = match small(3) {
        0 => WarmTargets {
            warm_eni: small(2),
            ..WarmTargets::default()
        },
        1 => WarmTargets {
            warm_ip: small(6),
            minimum_ip: small(12),
            ..WarmTargets::default()
        },
        2 => WarmTargets {
            warm_ip: 1,
            ..WarmTargets::default()
        },
        _ => WarmTargets::default(),
    };
    let max_enis = (small(4) == 0).then(|| small(u64::from(enis)).max(1));
    let manage_untagged = small(1) == 0;
    let cooldown = Duration::from_secs(random.pick(&[1, 5, 30, 30, 30, 60]));
    NodeSettings {
        targets,
        max_enis,
        cooldown,
        manage_untagged,
        cluster_name: "sim".into(),
        ..NodeSettings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_plan_and_steps_are_in_order() {
        let plan = Plan::of(42, 200);
        assert_eq!(plan, Plan::of(42, 200));
        assert_ne!(plan.steps, Plan::of(43, 200).steps);
        assert_eq!(plan.steps.len(), 200);
        assert!(plan.steps.windows(2).all(|pair| pair[0].at <= pair[1].at));
    }

    #[test]
    fn faults_that_are_off_have_no_steps() {
        let quiet = (0..500)
            .map(|seed| Plan::of(seed, 200))
            .filter(|plan| !plan.faults.kills);
        let kills = |plan: &Plan| {
            plan.steps
                .iter()
                .filter(|step| matches!(step.action, Action::Kill(_)))
                .count()
        };
        assert_eq!(quiet.map(|plan| kills(&plan)).sum::<usize>(), 0);
    }
}
