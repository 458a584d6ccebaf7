//! Runs `nft`: arguments and input in, what it said out, within a deadline, without a shell. Must not: know what for.

use super::NftError;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// It takes 20 ms; longer only while the kernel is busy with somebody's huge ruleset.
const DEADLINE: Duration = Duration::from_secs(5);
/// Where it may be. The environment may lack a `PATH`, and the default one has no `sbin`.
const PLACES: [&str; 4] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "nft"];
/// How much of what it said is told.
const SAID: usize = 300;

/// Where the program is looked for.
#[derive(Debug)]
pub(super) struct Program {
    places: Vec<PathBuf>,
    deadline: Duration,
}

impl Program {
    pub(super) fn of_the_system() -> Self {
        Self {
            places: PLACES.map(PathBuf::from).into(),
            deadline: DEADLINE,
        }
    }

    /// Its standard output, if it ended well.
    pub(super) fn run(&self, arguments: &[&str], input: String) -> Result<String, NftError> {
        let mut child = self.start(arguments)?;
        let said = self.converse(&mut child, input);
        if said.is_none() {
            // Its pipes close with it, so that the threads that hold them end too.
            let _ = child.kill();
        }
        let status = child.wait().map_err(NftError::Start)?;
        let what = arguments.join(" ");
        let Some([out, err]) = said else {
            return Err(NftError::Deadline {
                what,
                within: self.deadline,
            });
        };
        if status.success() {
            return out.map_err(NftError::Start);
        }
        let said = first_line(&err.unwrap_or_default()).unwrap_or_else(|| status.to_string());
        Err(NftError::Failed { what, said })
    }

    /// Feeds it and takes what it writes to its two outputs, until it has closed both; none after the deadline. Each pipe
    /// has a thread: it may block for as long as the program likes.
    fn converse(&self, child: &mut Child, input: String) -> Option<[io::Result<String>; 2]> {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends early says why.
            std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        }
        let out = child.stdout.take().map(read)?;
        let err = child.stderr.take().map(read)?;
        let out = out.recv_timeout(self.deadline).ok()?;
        Some([out, err.recv_timeout(self.deadline).ok()?])
    }

    fn start(&self, arguments: &[&str]) -> Result<Child, NftError> {
        for place in &self.places {
            let mut command = Command::new(place);
            command.args(arguments).current_dir("/");
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            match command.spawn() {
                Ok(child) => return Ok(child),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(NftError::Start(error)),
            }
        }
        Err(NftError::Missing(self.places.clone()))
    }
}

/// Everything that comes out of a pipe, when it is closed.
fn read(mut pipe: impl Read + Send + 'static) -> Receiver<io::Result<String>> {
    let (tell, heard) = channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = pipe.read_to_string(&mut text).map(|_| text);
        // Nobody listens any more after the deadline.
        let _ = tell.send(read);
    });
    heard
}

fn first_line(text: &str) -> Option<String> {
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    Some(line.trim().chars().take(SAID).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(places: &[&str], milliseconds: u64) -> Program {
        Program {
            places: places.iter().map(PathBuf::from).collect(),
            deadline: Duration::from_millis(milliseconds),
        }
    }

    #[test]
    fn the_first_place_that_has_it_is_used_and_it_is_fed() {
        let cat = at(&["/nowhere/cat", "/bin/cat"], 10_000);
        let long = "x".repeat(200_000);
        assert_eq!(cat.run(&[], long.clone()).unwrap(), long);
    }

    #[test]
    fn a_program_that_is_nowhere_is_missed_by_its_places() {
        let error = at(&["/nowhere/nft", "/else/nft"], 10_000).run(&["-j"], String::new());
        assert_eq!(
            error.unwrap_err().to_string(),
            "nft is not installed: looked for /nowhere/nft, /else/nft"
        );
    }

    #[test]
    fn a_program_that_may_not_be_run_is_told_apart_from_a_missing_one() {
        let error = at(&["/proc/self/environ"], 10_000).run(&[], String::new());
        assert!(matches!(error, Err(NftError::Start(_))), "{error:?}");
    }

    #[test]
    fn a_failure_is_told_with_its_first_words() {
        let shell = at(&["/bin/sh"], 10_000);
        let error = shell.run(
            &["-c", "echo; echo Error: no >&2; echo more >&2; exit 1"],
            String::new(),
        );
        let Err(NftError::Failed { said, .. }) = error else {
            panic!("{error:?}")
        };
        assert_eq!(said, "Error: no");
        let silent = shell.run(&["-c", "exit 7"], String::new()).unwrap_err();
        assert!(silent.to_string().ends_with("exit status: 7"), "{silent}");
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let error = at(&["/bin/sleep"], 20).run(&["1000"], String::new());
        assert!(matches!(error, Err(NftError::Deadline { .. })), "{error:?}");
    }
}
