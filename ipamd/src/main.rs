//! The `ipamd` program: arguments, environment, log, runtime, exit code. Must not: do anything else.

use config::{Config, Fallback};
use ipamd::arguments::{self, Task};
use ipamd::console::{TERMINATION_LOG, leave_last_words};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match arguments::read() {
        Ok(None) => configured(daemon),
        Ok(Some(Task::Init)) => configured(init),
        Ok(Some(Task::Health(question))) => ipamd::probe::run(&question),
        Err(shown) => shown,
    }
}

/// Reads the environment once; what is refused is said, all of it, and nothing begins.
fn configured(run: impl FnOnce(Config, Vec<Fallback>) -> ExitCode) -> ExitCode {
    match config::resolve(&environment()) {
        Ok((config, fallbacks)) => run(config, fallbacks),
        Err(refused) => {
            let lines: String = refused
                .iter()
                .map(|line| format!("ipamd: {line}\n"))
                .collect();
            eprint!("{lines}");
            leave_last_words(Path::new(TERMINATION_LOG), &lines);
            ExitCode::FAILURE
        }
    }
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

fn daemon(config: Config, fallbacks: Vec<Fallback>) -> ExitCode {
    let _flush = ipamd::log::init(&config.process);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), node = ?config.node, host = ?config.host, installed = ?config.installed, process = ?config.process, "starting");
    for fallback in fallbacks {
        tracing::warn!(variable = fallback.name, "{fallback}");
    }
    ended(block_on(ipamd::app::run(config)), |error| {
        tracing::error!(error, "giving up");
    })
}

fn init(config: Config, fallbacks: Vec<Fallback>) -> ExitCode {
    for fallback in fallbacks {
        ipamd::init::say(&fallback.to_string());
    }
    ended(block_on(ipamd::init::run(&config)), |error| {
        eprintln!("ipamd init: {error}");
    })
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

fn ended(result: anyhow::Result<()>, tell: impl FnOnce(&str)) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = format!("{error:#}");
            tell(&error);
            leave_last_words(Path::new(TERMINATION_LOG), &error);
            ExitCode::FAILURE
        }
    }
}
