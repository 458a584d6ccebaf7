//! Short commands of the system (`ip`, `unshare`) whose failure names what they said. Must not: know why they run.

use std::io::{self, Write};
use std::process::{Command, Stdio};

/// A command that could not be run or failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started or fed.
    #[error("run {command}")]
    Run {
        /// The command line.
        command: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It ended with an error.
    #[error("{command}: {stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// What it wrote to stderr.
        stderr: String,
    },
}

/// Runs a command in the namespaces of the calling thread, `input` on its stdin; returns its stdout.
pub fn run(command: &[&str], input: &str) -> Result<String, CommandError> {
    let line = || command.join(" ");
    let attempt = || -> io::Result<std::process::Output> {
        let (program, arguments) = command.split_first().expect("a command has a name");
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // A command that fails early closes its stdin; what it says on stderr is the better message.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output()
    };
    let output = attempt().map_err(|source| CommandError::Run {
        command: line(),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(CommandError::Failed {
        command: line(),
        stderr,
    })
}

/// Runs several `ip` commands, one per line, in one process.
pub fn ip_batch(lines: &[String]) -> Result<(), CommandError> {
    match run(&["ip", "-batch", "-"], &(lines.join("\n") + "\n")) {
        Ok(_) => Ok(()),
        Err(CommandError::Failed { stderr, .. }) => Err(CommandError::Failed {
            command: format!("ip {}", lines.join("; ip ")),
            stderr,
        }),
        Err(other) => Err(other),
    }
}
