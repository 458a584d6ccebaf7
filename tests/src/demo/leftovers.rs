//! What is on a node that was not there before pods and daemon, and that nothing explains. Must not: remove it.
//!
//! The daemon's own set-up stays while it runs, as upstream's does: the rule for marked packets and, for each attached
//! secondary ENI, its link, its table and the rules for its own address and for answers to who asked it. Everything else is a leak.

use super::account::Eni;
use super::roster::device_of;
use anyhow::Context;
use lab::command;
use lab::node::Node;
use std::collections::BTreeSet;
use std::fs;

const MARKED: &str = "rule 1024: from all fwmark 0x80/0x80 lookup main";
/// The default of the marks' field that names an ENI.
const ENI_MARK: u32 = 0x78;
const DAEMON: &str = "process ipamd";

/// Everything of a node that can be left behind, a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    lines: BTreeSet<String>,
    links: String,
}

/// Looks at links, IPv4 rules and routes, named network namespaces and processes.
pub fn observe(node: &Node) -> anyhow::Result<Observed> {
    let look = || -> anyhow::Result<Observed> {
        let links = command::run(&["ip", "-o", "link", "show"], "")?;
        let rules = command::run(&["ip", "-4", "rule", "show"], "")?;
        let routes = command::run(&["ip", "-4", "route", "show", "table", "all"], "")?;
        let mut lines: BTreeSet<String> = links.lines().filter_map(link_line).collect();
        lines.extend(rules.lines().map(|line| normal("rule", line)));
        lines.extend(routes.lines().map(|line| normal("route", line)));
        lines.extend(names("/var/run/netns")?.map(|name| format!("namespace {name}")));
        lines.extend(processes()?);
        Ok(Observed { lines, links })
    };
    node.run(look)?
        .with_context(|| format!("look at what is on {}", node.name()))
}

/// What is there now, was not before, and is not the daemon's set-up for these ENIs.
pub fn left_over(before: &Observed, now: &Observed, enis: &[Eni]) -> Vec<String> {
    let secondary: Vec<Known> = enis
        .iter()
        .filter(|eni| eni.index.0 > 0)
        .filter_map(|eni| Known::of(eni, now))
        .collect();
    let new = now.lines.difference(&before.lines);
    let unexplained = new.filter(|line| {
        *line != MARKED && *line != DAEMON && !secondary.iter().any(|eni| eni.explains(line))
    });
    unexplained.cloned().collect()
}

/// What an attached secondary ENI explains.
struct Known {
    link: String,
    rules: [String; 2],
    device: String,
    table: String,
}

impl Known {
    fn of(eni: &Eni, now: &Observed) -> Option<Self> {
        let device = device_of(&now.links, eni.mac)?;
        Some(Self {
            link: format!("link {device}"),
            rules: [
                format!("rule 32765: from {} lookup {}", eni.primary, eni.table()),
                format!(
                    "rule 1025: from all fwmark {:#x}/{ENI_MARK:#x} lookup {}",
                    u32::from(eni.index.0) << ENI_MARK.trailing_zeros(),
                    eni.table()
                ),
            ],
            table: eni.table().to_string(),
            device,
        })
    }

    /// Routes are the ENI's when they lead out of its device, in its own table or in the kernel's table of local ones.
    fn explains(&self, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        let has = |key: &str, value: &str| words.windows(2).any(|pair| pair == [key, value]);
        let own_table = has("table", &self.table) || has("table", "local");
        let own_route = words.first() == Some(&"route") && has("dev", &self.device) && own_table;
        line == self.link || self.rules.iter().any(|rule| line == rule) || own_route
    }
}

/// `link NAME`, of a line of `ip -o link`.
fn link_line(line: &str) -> Option<String> {
    let name = line.split_whitespace().nth(1)?.trim_end_matches(':');
    Some(format!("link {}", name.split('@').next().unwrap_or(name)))
}

fn normal(kind: &str, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    format!("{kind} {}", words.join(" "))
}

fn names(directory: &str) -> anyhow::Result<impl Iterator<Item = String>> {
    let entries = fs::read_dir(directory).with_context(|| format!("list {directory}"))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())))
}

/// The programs that run, by name: process numbers would say nothing.
fn processes() -> anyhow::Result<Vec<String>> {
    let numbers = names("/proc")?.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    // One that ends meanwhile is no longer there.
    let programs = numbers.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok());
    Ok(programs
        .map(|name| format!("process {}", name.trim()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::card::DeviceIndex;
    use model::mac::Mac;
    use std::net::Ipv4Addr;

    fn observed(lines: &[&str]) -> Observed {
        Observed {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            links: "3: ens6: <UP> mtu 9001 link/ether 02:00:00:00:00:07 brd ff:ff:ff:ff:ff:ff\n"
                .to_owned(),
        }
    }

    fn eni(index: u8, last: u8) -> Eni {
        Eni {
            id: "eni-1".parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, last]),
            index: DeviceIndex(index),
            primary: Ipv4Addr::new(10, 0, 1, 77),
            secondary: Vec::new(),
        }
    }

    const SET_UP: [&str; 8] = [
        MARKED,
        DAEMON,
        "link ens6",
        "rule 32765: from 10.0.1.77 lookup 2",
        "rule 1025: from all fwmark 0x8/0x78 lookup 2",
        "route default via 10.0.1.1 dev ens6 table 2",
        "route 10.0.1.1 dev ens6 table 2 scope link",
        "route local 10.0.1.77 dev ens6 table local proto kernel scope host src 10.0.1.77",
    ];

    #[test]
    fn the_daemons_set_up_for_attached_enis_is_no_leak() {
        let (before, enis) = (observed(&["link lo"]), [eni(0, 1), eni(1, 7)]);
        assert_eq!(left_over(&before, &observed(&SET_UP), &enis), [""; 0]);
        let without_eni = left_over(&before, &observed(&SET_UP), &enis[..1]);
        assert_eq!(without_eni.len(), 6, "{without_eni:?}");
    }

    #[test]
    fn what_a_pod_leaves_behind_is_named() {
        let leaks = [
            "rule 512: from all to 10.0.1.5 lookup main",
            "rule 1536: from 10.0.1.5 lookup 2",
            "route 10.0.1.5 dev eni0761ccbeace scope link",
            "route 10.0.1.0/24 dev ens6 proto kernel scope link src 10.0.1.77",
            "link eni0761ccbeace",
            "namespace cni-1",
            "process aws-cni",
        ];
        let mut lines = SET_UP.to_vec();
        lines.extend(leaks);
        let left = left_over(&Observed::default(), &observed(&lines), &[eni(1, 7)]);
        assert_eq!(left, BTreeSet::from(leaks).into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_was_there_before_is_no_leak() {
        let lines = observed(&["link ens5", "rule 0: from all lookup local"]);
        assert_eq!(left_over(&lines, &lines, &[]), [""; 0]);
    }
}
