//! The `ipamd` program: arguments, environment, log, runtime, exit code. Must not: do anything else.

use ipamd::console::{TERMINATION_LOG, leave_last_words};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => start(),
        Some("--version") => version(),
        Some(other) => {
            eprintln!(
                "ipamd: unknown argument {other:?}; the only one is --version, everything else is environment"
            );
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is what the caller asked for")]
fn version() -> ExitCode {
    println!("ipamd {}", env!("CARGO_PKG_VERSION"));
    ExitCode::SUCCESS
}

fn environment() -> BTreeMap<String, String> {
    // What is not Unicode is no valid value of ours either, and must be refused by name rather than overlooked.
    std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into(),
                value.to_string_lossy().into(),
            )
        })
        .collect()
}

fn start() -> ExitCode {
    let (config, fallbacks) = match config::resolve(&environment()) {
        Ok(resolved) => resolved,
        Err(refused) => {
            let lines: String = refused
                .iter()
                .map(|line| format!("ipamd: {line}\n"))
                .collect();
            eprint!("{lines}");
            leave_last_words(Path::new(TERMINATION_LOG), &lines);
            return ExitCode::FAILURE;
        }
    };
    let _flush = ipamd::log::init(&config.process);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), node = ?config.node, host = ?config.host, process = ?config.process, "starting");
    for fallback in fallbacks {
        tracing::warn!(variable = fallback.name, "{fallback}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(ipamd::app::run(config)))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(error, "giving up");
            leave_last_words(Path::new(TERMINATION_LOG), &error);
            ExitCode::FAILURE
        }
    }
}
