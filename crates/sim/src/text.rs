//! A plan as text, one thing a line: made for people, and read back as the same plan.
//!
//! ```text
//! seed 42
//! instance t3.medium
//! subnet /24
//! pods 7
//! cooldown 30s
//! warm-ip 2
//! fault describe_lag
//! CreateNetworkInterface #2: applied, reply lost, 0.300s there, 0s back
//! dies at effect 12, before it
//! t=100.250s add 3 pods, pick 17
//! ```
//!
//! What is not said is as [`NodeSettings::default`] has it; `#` begins a comment line. Must not: touch a file (`main`
//! and the tests do).

mod step;

use crate::fate::{End, Fate};
use crate::plan::{Plan, Swarm};
use crate::sweep::{Blow, How};
use model::limits::InstanceLimits;
use model::settings::{Mode, NodeSettings};
use model::time::Duration;
use std::fmt::{Display, Formatter};
use std::str::FromStr;

/// A line that says nothing about a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Display for Unreadable {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} of the plan: {}", self.line, self.why)
    }
}

impl std::error::Error for Unreadable {}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "instance {}", self.instance_type)?;
        writeln!(f, "subnet /{}", self.subnet_prefix)?;
        writeln!(f, "pods {}", self.pods)?;
        write_settings(&self.settings, f)?;
        for flag in Swarm::FLAGS
            .iter()
            .filter(|flag| (flag.is_on)(&self.faults))
        {
            writeln!(f, "fault {}", flag.name)?;
        }
        for fate in &self.fates {
            write_fate(fate, f)?;
        }
        if let Some(blow) = &self.blow {
            writeln!(f, "{blow}")?;
        }
        for step in &self.steps {
            writeln!(f, "{}", step::text(step))?;
        }
        Ok(())
    }
}

fn write_settings(settings: &NodeSettings, f: &mut Formatter<'_>) -> std::fmt::Result {
    let NodeSettings {
        targets,
        mode,
        max_enis,
        max_pods,
        cooldown,
        manage_untagged,
        provisioning,
        cluster_name,
        additional_tags,
    } = settings;
    writeln!(f, "cooldown {}", seconds(*cooldown))?;
    writeln!(f, "warm-eni {}", targets.warm_eni)?;
    writeln!(f, "warm-ip {}", targets.warm_ip)?;
    writeln!(f, "minimum-ip {}", targets.minimum_ip)?;
    writeln!(f, "warm-prefix {}", targets.warm_prefix)?;
    writeln!(f, "max-pods {max_pods}")?;
    if let Some(most) = max_enis {
        writeln!(f, "max-eni {most}")?;
    }
    if *mode == Mode::Prefix {
        writeln!(f, "prefix-mode")?;
    }
    if !manage_untagged {
        writeln!(f, "leave-untagged")?;
    }
    if !provisioning {
        writeln!(f, "no-provisioning")?;
    }
    if !cluster_name.is_empty() {
        writeln!(f, "cluster {cluster_name}")?;
    }
    for (key, value) in additional_tags {
        writeln!(f, "tag {key}={value}")?;
    }
    Ok(())
}

fn write_fate(fate: &Fate, f: &mut Formatter<'_>) -> std::fmt::Result {
    let words = End::WORDS
        .iter()
        .find(|(end, _)| *end == fate.end)
        .map_or("", |(_, words)| words);
    let (there, back) = (seconds(fate.there), seconds(fate.back));
    writeln!(
        f,
        "{} #{}: {words}, {there} there, {back} back",
        fate.action.name(),
        fate.ordinal
    )
}

impl FromStr for Plan {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut plan = Self {
            seed: 0,
            instance_type: "m5.large",
            settings: NodeSettings::default(),
            faults: Swarm::default(),
            fates: Vec::new(),
            blow: None,
            subnet_prefix: 24,
            pods: 1,
            steps: Vec::new(),
        };
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                read_line(&mut plan, line).map_err(|why| Unreadable {
                    line: number + 1,
                    why: format!("{line:?}: {why}"),
                })?;
            }
        }
        Ok(plan)
    }
}

fn read_line(plan: &mut Plan, line: &str) -> Result<(), String> {
    if line.starts_with("t=") {
        let step = step::read(line)?;
        if plan.steps.last().is_some_and(|last| last.at > step.at) {
            return Err("it lies before the step above".to_owned());
        }
        plan.steps.push(step);
        return Ok(());
    }
    if let Some(blow) = line.strip_prefix("dies at effect ") {
        plan.blow = Some(read_blow(blow)?);
        return Ok(());
    }
    if let Some((call, end)) = line.split_once(": ") {
        plan.fates.push(read_fate(call, end)?);
        return Ok(());
    }
    let (word, value) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "seed" => plan.seed = number(value)?,
        "instance" => {
            plan.instance_type = InstanceLimits::known_types()
                .find(|known| *known == value)
                .ok_or("no such instance type")?;
        }
        "subnet" => {
            let prefix = number(value.strip_prefix('/').ok_or("a subnet is written /24")?)?;
            if !(16..=28).contains(&prefix) {
                return Err("a subnet is from /16 to /28".to_owned());
            }
            plan.subnet_prefix = prefix;
        }
        "pods" => plan.pods = number(value)?,
        "fault" => {
            let flag = Swarm::FLAGS.iter().find(|flag| flag.name == value);
            (flag.ok_or("no such fault")?.set)(&mut plan.faults, true);
        }
        _ => read_setting(&mut plan.settings, word, value)?,
    }
    Ok(())
}

fn read_setting(settings: &mut NodeSettings, word: &str, value: &str) -> Result<(), String> {
    match word {
        "cooldown" => settings.cooldown = read_seconds(value)?,
        "warm-eni" => settings.targets.warm_eni = number(value)?,
        "warm-ip" => settings.targets.warm_ip = number(value)?,
        "minimum-ip" => settings.targets.minimum_ip = number(value)?,
        "warm-prefix" => settings.targets.warm_prefix = number(value)?,
        "max-pods" => settings.max_pods = number(value)?,
        "max-eni" => settings.max_enis = Some(number(value)?),
        "prefix-mode" => settings.mode = Mode::Prefix,
        "leave-untagged" => settings.manage_untagged = false,
        "no-provisioning" => settings.provisioning = false,
        "cluster" => settings.cluster_name = value.to_owned(),
        "tag" => {
            let (key, value) = value.split_once('=').ok_or("a tag is written key=value")?;
            settings
                .additional_tags
                .insert(key.to_owned(), value.to_owned());
        }
        other => return Err(format!("{other:?} is not a word of a plan")),
    }
    Ok(())
}

fn read_blow(text: &str) -> Result<Blow, String> {
    let (at, words) = text.split_once(", ").ok_or("at which effect, and how")?;
    let how = How::WORDS.iter().find(|(_, known)| *known == words);
    Ok(Blow {
        at: number(at)?,
        how: how.ok_or("no such way to die")?.0,
    })
}

fn read_fate(call: &str, end: &str) -> Result<Fate, String> {
    let (action, ordinal) = call.split_once(" #").ok_or("a call is written Action #1")?;
    let action = vpc::Action::ALL.iter().find(|known| known.name() == action);
    let (end, words) = End::WORDS
        .iter()
        .find_map(|(known, words)| Some((known, end.strip_prefix(words)?)))
        .ok_or("no such end of a call")?;
    let times = words.strip_prefix(", ").unwrap_or("0s there, 0s back");
    let (there, back) = times.split_once(", ").ok_or("two times are needed")?;
    let time = |text: &str, way: &str| read_seconds(text.strip_suffix(way).unwrap_or(text));
    Ok(Fate {
        action: *action.ok_or("no such action")?,
        ordinal: number(ordinal)?,
        end: *end,
        there: time(there, " there")?,
        back: time(back, " back")?,
    })
}

/// Seconds with as many digits as are needed, to the millisecond.
fn seconds(duration: Duration) -> String {
    let (whole, millis) = (duration.as_secs(), duration.subsec_millis());
    if millis == 0 {
        format!("{whole}s")
    } else {
        format!("{whole}.{millis:03}s")
    }
}

fn read_seconds(text: &str) -> Result<Duration, String> {
    let digits = text.strip_suffix('s').ok_or("a time is written 1.250s")?;
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    if part.is_empty() || part.len() > 3 {
        return Err(format!("{text:?} is not a time to the millisecond"));
    }
    let millis = number::<u64>(part)? * 10u64.pow(u32::try_from(3 - part.len()).unwrap_or(0));
    let whole = number::<u64>(whole)?;
    let sum = whole.checked_mul(1000).and_then(|w| w.checked_add(millis));
    Ok(Duration::from_millis(
        sum.ok_or_else(|| format!("{text:?} is too long"))?,
    ))
}

fn number<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

#[cfg(test)]
mod tests;
