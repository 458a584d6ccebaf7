//! What the program is asked to do. Must not: read the environment, which is the configuration.

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "ipamd", version)]
#[command(about = "Node daemon of VPC-native pod networking; all configuration is environment")]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
}

/// What to do instead of running the daemon.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Task {
    /// Prepare the node before the daemon starts: plugins, sysctls, what an earlier boot left (needs privileges)
    Init,
    /// Ask the running daemon how it is; exits as grpc-health-probe does
    Health(Question),
}

/// What the daemon is asked.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct Question {
    /// Health service: none or grpc.health.v1.aws-node (alive), ready (start-up has finished)
    #[arg(long, value_name = "NAME", default_value = "")]
    pub service: String,
    /// Where the daemon listens
    #[arg(long, value_name = "PATH", default_value = rpc::socket::PATH)]
    pub socket: PathBuf,
    /// How long all of it may take
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
}

/// Reads the command line: none is the daemon. What was only to be shown, and what is wrong, is shown; then this is the
/// exit code.
pub fn read() -> Result<Option<Task>, ExitCode> {
    Arguments::try_parse()
        .map(|arguments| arguments.task)
        .map_err(|error| {
            // Nobody is left to be told when this fails.
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                // Not clap's 2, which means to a prober that nobody listens.
                _ => ExitCode::FAILURE,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Task>, ErrorKind> {
        Arguments::try_parse_from(line.split(' '))
            .map(|arguments| arguments.task)
            .map_err(|error| error.kind())
    }

    fn asked(line: &str) -> Question {
        match parsed(line) {
            Ok(Some(Task::Health(question))) => question,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_argument_is_the_daemon_and_a_word_is_a_task() {
        assert_eq!(parsed("ipamd"), Ok(None));
        assert_eq!(parsed("ipamd init"), Ok(Some(Task::Init)));
        assert_eq!(parsed("ipamd --version"), Err(ErrorKind::DisplayVersion));
        for wrong in ["ipamd start", "ipamd --port", "ipamd init now"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_daemon_is_asked_on_its_socket_within_five_seconds_unless_said_otherwise() {
        let usual = Question {
            service: String::new(),
            socket: "/var/run/aws-node/ipamd.sock".into(),
            timeout: 5,
        };
        assert_eq!(asked("ipamd health"), usual);
        let other = Question {
            service: "ready".into(),
            socket: "/tmp/s".into(),
            timeout: 2,
        };
        let line = "ipamd health --service ready --socket /tmp/s --timeout 2";
        assert_eq!(asked(line), other);
        for wrong in ["0", "-1", "soon", "3601"] {
            assert!(parsed(&format!("ipamd health --timeout {wrong}")).is_err());
        }
    }
}
