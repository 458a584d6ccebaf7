//! What a person sees first: what start-up waits for, on standard output and in the container's termination message,
//! wherever the log goes.
//!
//! Owns: the wording of these lines and how often they come. Must not: block who says something (lines go to a thread of
//! their own and are dropped when it is behind), or fail. Driven by: `alone` and `daemon`, until pods are served; the pace
//! of lines also by `init`.

use crate::clock;
use crate::owner::Progress;
use config::process::{LogFile, LogLevel, ProcessSettings};
use model::time::Instant;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::watch;

/// Where kubelet looks for a container's last words.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// What is over sooner than this is not worth a line.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// Something else is waited for: told no sooner than this after the line before.
const NEWS: Duration = Duration::from_secs(5);
/// The same is still waited for: told again.
const AGAIN: Duration = Duration::from_secs(60);
/// How often it is looked whether a line is due.
const LOOK: Duration = Duration::from_secs(1);
/// Lines that wait for a standard output nobody reads.
const BEHIND: usize = 16;

/// One thing to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// This is missing.
    Waiting(String),
    /// Nothing is missing any more.
    Served,
}

/// Where lines are said, and what was said already.
#[derive(Debug)]
pub struct Console {
    lines: SyncSender<Line>,
    pace: Pace,
}

impl Console {
    /// Says lines on standard output, unless the log goes there and tells the same; and in the file that kubelet made.
    pub fn start(settings: &ProcessSettings) -> Self {
        let in_log = settings.log_file == LogFile::Stdout && settings.log_level <= LogLevel::Warn;
        let out: Box<dyn Write + Send> = if in_log {
            Box::new(io::sink())
        } else {
            Box::new(io::stdout())
        };
        let (console, lines) = Self::channel();
        let last_words = PathBuf::from(TERMINATION_LOG);
        // Without a thread nobody hears anything; the log does, and the node works all the same.
        let _ = std::thread::Builder::new()
            .name("console".into())
            .spawn(move || speak(&lines, out, &last_words));
        console
    }

    /// A console and what is said on it.
    pub(crate) fn channel() -> (Self, Receiver<Line>) {
        let (lines, said) = sync_channel(BEHIND);
        let pace = Pace::default();
        (Self { lines, pace }, said)
    }

    /// Says at once what is missing before there is a daemon, now and again while it is.
    pub(crate) fn lacks(&mut self, what: &str) {
        self.say(
            self.pace
                .clone()
                .after(clock::boot(), Some(what), Duration::ZERO),
        );
    }

    /// Says what start-up waits for until it is over, then what the runtime's network configuration waits for (`lack`)
    /// until it is written.
    pub(crate) async fn tell_until_served(
        mut self,
        mut progress: watch::Receiver<Progress>,
        lack: watch::Receiver<Option<String>>,
    ) {
        loop {
            let seen = progress.borrow_and_update().clone();
            let missing = if seen.serving {
                lack.borrow().clone()
            } else {
                seen.waiting_for
            };
            if seen.serving || missing.is_some() {
                let missing = missing.as_deref();
                self.say(self.pace.clone().after(clock::boot(), missing, PATIENCE));
            }
            if seen.serving && missing.is_none() {
                return;
            }
            tokio::select! {
                biased;
                changed = progress.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn say(&mut self, (pace, line): (Pace, Option<Line>)) {
        self.pace = pace;
        if let Some(line) = line {
            if let Line::Waiting(what) = &line {
                tracing::warn!(waiting_for = what, "start-up still waits");
            }
            let _ = self.lines.try_send(line);
        }
    }
}

/// Leaves text where kubelet looks for it when the container has ended. Only where kubelet made the file.
pub fn leave_last_words(path: &Path, text: &str) {
    let file = File::options().write(true).truncate(true).open(path);
    let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
}

fn speak(lines: &Receiver<Line>, mut out: impl Write, last_words: &Path) {
    while let Ok(line) = lines.recv() {
        let (text, last) = match line {
            Line::Waiting(what) => {
                let text = format!("waiting for {what}");
                (text.clone(), text)
            }
            Line::Served => ("start-up finished, pods are served".into(), String::new()),
        };
        let _ = writeln!(out, "ipamd: {text}").and_then(|()| out.flush());
        leave_last_words(last_words, &last);
    }
}

/// When a line is due.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace {
    since: Option<Instant>,
    said: Option<(String, Instant)>,
}

impl Pace {
    /// What is missing now; a line when it is due, not before something was missing for `patience`.
    pub(crate) fn after(
        mut self,
        now: Instant,
        missing: Option<&str>,
        patience: Duration,
    ) -> (Self, Option<Line>) {
        let Some(what) = missing else {
            let line = self.said.is_some().then_some(Line::Served);
            return (Self::default(), line);
        };
        let since = *self.since.get_or_insert(now);
        let due = match &self.said {
            None => now >= since.after(patience),
            Some((said, at)) => now >= at.after(if said == what { AGAIN } else { NEWS }),
        };
        if !due {
            return (self, None);
        }
        self.said = Some((what.to_owned(), now));
        (self, Some(Line::Waiting(what.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    /// What is said when at these milliseconds these things are missing.
    fn said(looks: &[(u64, Option<&str>)]) -> Vec<(u64, Line)> {
        let mut pace = Pace::default();
        let mut lines = Vec::new();
        for (at, missing) in looks {
            let (next, line) = pace.after(Instant(*at), *missing, PATIENCE);
            pace = next;
            lines.extend(line.map(|line| (*at, line)));
        }
        lines
    }

    fn waiting(what: &str) -> Line {
        Line::Waiting(what.to_owned())
    }

    #[test]
    fn t16_what_is_missing_is_said_within_ten_seconds_and_only_when_it_lasts() {
        assert_eq!(
            said(&[(0, Some("IMDS")), (2_999, Some("IMDS")), (3_500, None)]),
            []
        );
        let looks: Vec<_> = (0..=70)
            .map(|second| (second * 1000, Some("IMDS")))
            .collect();
        assert_eq!(
            said(&looks),
            [(3_000, waiting("IMDS")), (63_000, waiting("IMDS"))]
        );
        // Another thing every second: each is fresh, but the oldest is not forgotten.
        let names = ["a", "b", "c"];
        let looks: Vec<_> = (0..=9_usize)
            .map(|second| (second as u64 * 1000, Some(names[second % 3])))
            .collect();
        assert_eq!(said(&looks), [(3_000, waiting("a")), (8_000, waiting("c"))]);
    }

    #[test]
    fn the_end_of_waiting_is_said_when_waiting_was() {
        let looks = [
            (0, Some("EC2")),
            (4_000, Some("EC2")),
            (5_000, None),
            (6_000, None),
        ];
        assert_eq!(
            said(&looks),
            [(4_000, waiting("EC2")), (5_000, Line::Served)]
        );
    }

    #[test]
    fn t16_lines_go_to_the_output_and_the_last_one_into_the_termination_message() {
        let folder = Folder::new();
        let message = folder.path().join("termination-log");
        let speaking = |lines: &[Line]| {
            let (console, heard) = Console::channel();
            for line in lines {
                console.lines.send(line.clone()).unwrap();
            }
            drop(console);
            let mut out = Vec::new();
            speak(&heard, &mut out, &message);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(speaking(&[waiting("IMDS")]), "ipamd: waiting for IMDS\n");
        assert!(!message.exists(), "only kubelet makes that file");
        std::fs::write(&message, "").unwrap();
        speaking(&[waiting("the instance metadata service"), waiting("EC2")]);
        assert_eq!(
            std::fs::read_to_string(&message).unwrap(),
            "waiting for EC2"
        );
        assert_eq!(
            speaking(&[waiting("EC2"), Line::Served]),
            "ipamd: waiting for EC2\nipamd: start-up finished, pods are served\n"
        );
        assert_eq!(std::fs::read_to_string(&message).unwrap(), "");
    }
}
