//! `demo`: two nodes, 40 pods, real packets, on this machine alone. Must not: contain more than the command line.

use clap::Parser;
use e2e::demo::sabotage::Break;
use std::process::ExitCode;

/// A VPC with two nodes on this machine; every pod pings every other and the Internet. Needs root.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Break one thing behind everybody's back: the demo must notice, name it and exit 1.
    #[arg(long = "break", value_enum)]
    broken: Option<Break>,
}

fn main() -> ExitCode {
    match e2e::demo::run(Arguments::parse().broken) {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
