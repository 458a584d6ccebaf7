//! Kills a program before an exact system call, by strace's fault injection, and records which calls there are: what is
//! cut is what the real program does, without a line of it made for tests. Driven by `chaos`.
//! Must not: know what the calls are for, or what should hold after a kill.
//!
//! strace counts the calls of each thread on its own, and of those only the ones that match the path.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

/// Calls by which a process changes files. A question mark: some architectures lack it.
pub const FILES: &str = "?open,openat,?creat,write,writev,pwrite64,pwritev,?rename,renameat,renameat2,fsync,fdatasync,\
    ftruncate,?unlink,unlinkat,?link,linkat,?mkdir,mkdirat";
/// Calls by which a process speaks to others, the kernel's network included.
pub const SOCKETS: &str = "connect,sendto,sendmsg,sendmmsg,write,writev";

/// Calls of one name, on one path or on any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The system call.
    pub call: String,
    /// The file, as the program sees it.
    pub path: Option<String>,
}

/// A place in a program's life: just before a thread's n-th call (from 1) of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Of which kind.
    pub kind: Kind,
    /// Which of them.
    pub nth: usize,
}

impl Cut {
    /// The command that starts a program which dies at this place; the program's own line follows.
    pub fn command(&self, log: &Path) -> Vec<String> {
        // Without `--seccomp-bpf`, with which strace 6.1 finds the first call and no later one.
        let mut command = begin(log);
        command.extend(self.filters());
        command
    }

    /// The command that makes a running process die at this place, counted from now.
    pub fn attach(&self, pid: u32, log: &Path) -> Vec<String> {
        let mut command = follow(pid, log);
        command.extend(self.filters());
        command
    }

    fn filters(&self) -> Vec<String> {
        let Kind { call, path } = &self.kind;
        let mut filters = vec![
            "-e".to_owned(),
            format!("trace={call}"),
            "-e".to_owned(),
            format!("inject={call}:signal=SIGKILL:when={}", self.nth),
        ];
        filters.extend(path.iter().flat_map(|path| only(path)));
        filters
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.kind.call, self.nth)?;
        self.kind
            .path
            .iter()
            .try_for_each(|path| write!(f, " on {path}"))
    }
}

/// The command that starts a program whose calls on these paths (none: all) are written down.
pub fn record(calls: &str, paths: &[&str], log: &Path) -> Vec<String> {
    let mut command = begin(log);
    command.extend(["-e".to_owned(), format!("trace={calls}")]);
    command.extend(paths.iter().flat_map(|path| only(path)));
    command
}

/// The command that writes down what a running process does from now on.
pub fn record_running(calls: &str, pid: u32, log: &Path) -> Vec<String> {
    let mut command = follow(pid, log);
    command.extend(["-e".to_owned(), format!("trace={calls}")]);
    command
}

/// What a record holds: how many calls of each kind changed something. Of `paths` a call's first is its kind's; calls on
/// none of them have none.
pub fn kinds(record: &str, paths: &[&str]) -> BTreeMap<Kind, usize> {
    let mut kinds = BTreeMap::new();
    for line in record.lines() {
        // Behind the thread's number.
        let text = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim();
        let Some(call) = name_of(text) else {
            continue;
        };
        let arguments = &text[call.len()..];
        let only_looks = call.starts_with("open") && !arguments.contains("O_CREAT");
        if only_looks {
            continue;
        }
        let whole = |path: &str| {
            ['"', '>']
                .iter()
                .any(|end| arguments.contains(&format!("{path}{end}")))
        };
        let path = paths
            .iter()
            .find(|path| spellings(path).iter().any(|path| whole(path)));
        let kind = Kind {
            call: call.to_owned(),
            path: path.map(|path| (*path).to_owned()),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// Which calls of a record are meant: their name, and their number among their thread's of that name.
pub fn ordinals(record: &str, is_meant: impl Fn(&str) -> bool) -> BTreeSet<(String, usize)> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for line in record.lines() {
        let Some((thread, text)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        let Some(call) = name_of(text.trim_start()) else {
            continue;
        };
        let nth = counts.entry((thread, call)).or_default();
        *nth += 1;
        if is_meant(text) {
            found.insert((call.to_owned(), *nth));
        }
    }
    found
}

/// The call's name; none for its resumption, signals and ends.
fn name_of(text: &str) -> Option<&str> {
    let (call, _) = text.split_once('(')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    call.chars().all(is_name).then_some(call)
}

/// Whether a tracer holds every thread of the process.
pub fn is_followed(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let mut states = threads.map(|thread| status(&thread.path(), "TracerPid:"));
    states.all(|tracer| tracer.is_some_and(|tracer| tracer != "0"))
}

/// A process's number inside its own pid namespace.
pub fn inner_pid(pid: u32) -> Option<u32> {
    status(Path::new(&format!("/proc/{pid}")), "NSpid:")?
        .split_whitespace()
        .next_back()?
        .parse()
        .ok()
}

fn status(process: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(process.join("status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}

/// strace as a grandchild: the process that is started becomes the program itself.
fn begin(log: &Path) -> Vec<String> {
    let mut command = plain(log);
    command.push("-D".to_owned());
    command
}

fn follow(pid: u32, log: &Path) -> Vec<String> {
    let mut command = plain(log);
    command.extend(["-p".to_owned(), pid.to_string()]);
    command
}

fn plain(log: &Path) -> Vec<String> {
    let log = log.display().to_string();
    ["strace", "-f", "-qq", "-yy", "-o", &log]
        .map(str::to_owned)
        .into()
}

fn only(path: &str) -> Vec<String> {
    let named = |path: &String| ["-P".to_owned(), path.clone()];
    spellings(path).iter().flat_map(named).collect()
}

/// A file below /var/run is below /run to the kernel, which knows no links.
fn spellings(path: &str) -> Vec<String> {
    let short = path
        .strip_prefix("/var")
        .filter(|short| short.starts_with("/run/"));
    [Some(path), short]
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "\
13    openat(AT_FDCWD</>, \"/var/run/x/a.tmp\", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 16</run/x/a.tmp>
14    openat(AT_FDCWD</>, \"/var/run/x/b.tmp\", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600 <unfinished ...>
13    write(16</run/x/a.tmp>, \"\"..., 121) = 121
14    <... openat resumed>)             = 16</run/x/b.tmp>
13    rename(\"/var/run/x/a.tmp\", \"/var/run/x/a\") = 0
13    openat(AT_FDCWD</>, \"/var/run/x\", O_RDONLY|O_CLOEXEC) = 16</run/x>
13    fsync(16</run/x>)          = 0
13    --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=42, si_uid=0} ---
13    +++ killed by SIGKILL +++
";

    #[test]
    fn a_record_is_read_as_kinds_of_calls_that_change_something() {
        let paths = ["/var/run/x/a.tmp", "/var/run/x/b.tmp", "/var/run/x"];
        let seen: Vec<(String, usize)> = kinds(RECORD, &paths)
            .into_iter()
            .map(|(kind, count)| (Cut { kind, nth: count }.to_string(), count))
            .collect();
        let expected = [
            ("fsync #1 on /var/run/x", 1),
            ("openat #1 on /var/run/x/a.tmp", 1),
            ("openat #1 on /var/run/x/b.tmp", 1),
            ("rename #1 on /var/run/x/a.tmp", 1),
            ("write #1 on /var/run/x/a.tmp", 1),
        ];
        assert_eq!(seen, expected.map(|(text, count)| (text.to_owned(), count)));
    }

    #[test]
    fn a_call_is_counted_among_those_of_its_thread() {
        let meant = ordinals(RECORD, |text| {
            text.contains("b.tmp") || text.contains("O_RDONLY")
        });
        let expected = [("openat".to_owned(), 1), ("openat".to_owned(), 2)];
        assert_eq!(meant, expected.into());
    }

    #[test]
    fn a_cut_names_the_file_in_both_spellings() {
        let cut = Cut {
            kind: Kind {
                call: "rename".into(),
                path: Some("/var/run/x/a.tmp".into()),
            },
            nth: 3,
        };
        let command = cut.attach(7, Path::new("/tmp/log")).join(" ");
        assert_eq!(
            command,
            "strace -f -qq -yy -o /tmp/log -p 7 -e trace=rename -e inject=rename:signal=SIGKILL:when=3 \
             -P /var/run/x/a.tmp -P /run/x/a.tmp"
        );
    }
}
