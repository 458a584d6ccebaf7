//! `bench`: how long ADD and DEL take beside the least work that could do it, and what the programs weigh.
//! Must not: contain more than the command line.

use clap::Parser;
use e2e::bench::Wanted;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures `aws-cni` and `ipamd`; prints, judges nothing. Needs root.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The plugin.
    #[arg(long)]
    plugin: PathBuf,
    /// Where `ipamd`, `vpc-lab` and `minimal_wire` are.
    #[arg(long)]
    bin_dir: PathBuf,
    /// Measured rounds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
}

fn main() -> ExitCode {
    let Arguments {
        plugin,
        bin_dir,
        runs,
    } = Arguments::parse();
    let wanted = Wanted {
        plugin,
        programs: bin_dir,
        runs: usize::from(runs),
    };
    match e2e::bench::run(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
