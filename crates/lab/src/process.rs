//! Which process a number means: pid and start time, read from /proc. Must not: start or wait for one.

use std::fs;

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProcessId {
    /// Number in the machine's pid namespace.
    pub pid: u32,
    /// When it started, in clock ticks since the machine booted.
    pub started: u64,
}

impl ProcessId {
    /// The process that has this number now; none when it has ended, even if nobody has waited for it.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = stat(pid)?;
        (!stat.ended).then_some(Self {
            pid,
            started: stat.started,
        })
    }

    /// Whether this very process still runs.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// The first child of a process.
pub fn child_of(parent: u32) -> Option<u32> {
    let numbers = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .into_iter()
        .find(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent))
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    ended: bool,
    parent: u32,
    started: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields 3, 4 and 22 of `/proc/PID/stat`; the name in field 2 may hold blanks and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        ended,
        parent,
        started,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_process_name_does_not_shift_the_fields() {
        let text = "7 (a) R (b) S 42 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 10 11 12";
        assert_eq!(
            parse_stat(text),
            Some(Stat {
                ended: false,
                parent: 42,
                started: 987_654
            })
        );
        assert!(parse_stat(&text.replace(" S ", " Z ")).unwrap().ended);
        assert_eq!(parse_stat("7 (a"), None);
    }

    #[test]
    fn a_process_is_itself_and_not_another_with_its_number() {
        let me = ProcessId::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        assert!(
            !ProcessId {
                started: me.started + 1,
                ..me
            }
            .is_alive()
        );
    }
}
