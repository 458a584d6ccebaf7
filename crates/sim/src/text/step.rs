//! One step of a plan as a line of text, and back. Must not: know the rest of the plan.

use super::{number, read_seconds, seconds};
use crate::plan::{Action, Step};
use model::time::{Duration, Instant};

/// The line of a step.
pub(super) fn text(step: &Step) -> String {
    let at = seconds(Duration::from_millis(step.at.0));
    let pick = match step.pick {
        0 => String::new(),
        pick => format!(", pick {pick}"),
    };
    format!("t={at} {}{pick}", action_text(step.action))
}

/// The step of a line.
pub(super) fn read(line: &str) -> Result<Step, String> {
    let rest = line.strip_prefix("t=").ok_or("a step begins with t=")?;
    let (at, rest) = rest.split_once(' ').ok_or("a step has a time and a deed")?;
    let millis = u64::try_from(read_seconds(at)?.as_millis()).map_err(|e| e.to_string())?;
    let (deed, pick) = rest.split_once(", pick ").unwrap_or((rest, "0"));
    Ok(Step {
        at: Instant(millis),
        action: read_action(deed)?,
        pick: number(pick)?,
    })
}

fn action_text(action: Action) -> String {
    let lasting = |deed: &str, millis: u32| {
        let time = seconds(Duration::from_millis(millis.into()));
        format!("{deed} {time}")
    };
    match action {
        Action::AddPods(count) => format!("add {count} pods"),
        Action::RemovePods(count) => format!("remove {count} pods"),
        Action::WallStep(secs) => format!("step the wall clock by {secs} s"),
        Action::Kill(down) => lasting("kill the daemon for", down),
        Action::Terminate(down) => lasting("stop the daemon for", down),
        Action::DiskFails(long) => lasting("files fail for", long),
        Action::CheckpointFails(long) => lasting("the checkpoint fails for", long),
        Action::ImdsLies(long) => lasting("IMDS lies for", long),
        Action::ImdsRefuses(long) => lasting("IMDS refuses for", long),
        Action::QuotaUsed(long) => lasting("the quota is used up for", long),
        Action::CrowdSubnet(left) => format!("leave {left} addresses in the subnet"),
        Action::ReplaceSandbox
        | Action::VanishPod
        | Action::KillClient
        | Action::AskAgain
        | Action::DeleteWaiting
        | Action::Reboot
        | Action::EmptySubnet
        | Action::OperatorUnassigns
        | Action::OperatorDetaches
        | Action::Rest => PLAIN
            .iter()
            .find(|(_, plain)| *plain == action)
            .map_or("", |(deed, _)| deed)
            .to_owned(),
    }
}

/// Deeds without a number.
const PLAIN: &[(&str, Action)] = &[
    ("replace a sandbox", Action::ReplaceSandbox),
    ("end a pod without DEL", Action::VanishPod),
    ("kill a plugin", Action::KillClient),
    ("ask again", Action::AskAgain),
    ("delete a waiting pod", Action::DeleteWaiting),
    ("reboot", Action::Reboot),
    ("others leave the subnet", Action::EmptySubnet),
    (
        "an operator unassigns an address",
        Action::OperatorUnassigns,
    ),
    ("an operator detaches an ENI", Action::OperatorDetaches),
    ("rest", Action::Rest),
];

type Lasting = fn(u32) -> Action;

/// Deeds that last.
const LASTING: &[(&str, Lasting)] = &[
    ("kill the daemon for ", Action::Kill),
    ("stop the daemon for ", Action::Terminate),
    ("files fail for ", Action::DiskFails),
    ("the checkpoint fails for ", Action::CheckpointFails),
    ("IMDS lies for ", Action::ImdsLies),
    ("IMDS refuses for ", Action::ImdsRefuses),
    ("the quota is used up for ", Action::QuotaUsed),
];

fn read_action(deed: &str) -> Result<Action, String> {
    if let Some((_, plain)) = PLAIN.iter().find(|(words, _)| *words == deed) {
        return Ok(*plain);
    }
    let inner = |before: &str, after: &str| deed.strip_prefix(before)?.strip_suffix(after);
    if let Some(count) = inner("add ", " pods") {
        return Ok(Action::AddPods(number(count)?));
    }
    if let Some(count) = inner("remove ", " pods") {
        return Ok(Action::RemovePods(number(count)?));
    }
    if let Some(left) = inner("leave ", " addresses in the subnet") {
        return Ok(Action::CrowdSubnet(number(left)?));
    }
    if let Some(secs) = inner("step the wall clock by ", " s") {
        return Ok(Action::WallStep(number(secs)?));
    }
    for (words, make) in LASTING {
        if let Some(time) = deed.strip_prefix(words) {
            let millis = read_seconds(time)?.as_millis();
            return Ok(make(u32::try_from(millis).map_err(|e| e.to_string())?));
        }
    }
    Err(format!("{deed:?} is nothing that a plan can do"))
}
