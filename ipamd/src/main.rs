//! The `ipamd` program: arguments, environment, log, runtime, exit code. Must not: do anything else.

use clap::{Parser, Subcommand};
use config::{Config, Fallback};
use ipamd::console::{TERMINATION_LOG, leave_last_words};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The node daemon of VPC-native pod networking. Everything else is environment.
#[derive(Debug, Parser)]
#[command(name = "ipamd", version)]
struct Arguments {
    /// What to do instead of running the daemon.
    #[command(subcommand)]
    instead: Option<Instead>,
}

#[derive(Debug, Subcommand)]
enum Instead {
    /// Install the plugins, set the node's sysctls, forget an earlier boot; needs privileges.
    Init,
    /// Ask the running daemon how it is. Exits with 0 when it is serving, 2 when nobody listens, 3 without an answer, 4
    /// when it is not serving.
    Health {
        /// Health service: empty for alive, `ready` for start-up finished.
        #[arg(long, default_value = "")]
        service: String,
        /// The daemon's socket.
        #[arg(long, default_value = rpc::socket::PATH)]
        socket: PathBuf,
        /// Seconds until an answer must be there.
        #[arg(long, default_value_t = 5)]
        timeout: u64,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => {
            let code = u8::from(told.use_stderr());
            // Nobody may be reading.
            let _ = told.print();
            return ExitCode::from(code);
        }
    };
    match arguments.instead {
        None => configured(|config, fallbacks| {
            let _flush = ipamd::log::init(&config.process);
            log_start(&config, &fallbacks);
            let ended = block_on(ipamd::app::run(config));
            if let Err(error) = &ended {
                tracing::error!(error = format!("{error:#}"), "giving up");
            }
            ended
        }),
        Some(Instead::Init) => configured(|config, _| {
            let ended = block_on(ipamd::init::run(&config));
            if let Err(error) = &ended {
                eprintln!("ipamd init: {error:#}");
            }
            ended
        }),
        Some(Instead::Health {
            service,
            socket,
            timeout,
        }) => health(&socket, &service, Duration::from_secs(timeout)),
    }
}

#[expect(clippy::print_stdout, reason = "it is what the caller asked for")]
fn health(socket: &Path, service: &str, within: Duration) -> ExitCode {
    let asked = async { Ok(ipamd::probe::probe(socket, service, within).await) };
    match block_on(asked) {
        Ok((code, line)) => {
            println!("{line}");
            ExitCode::from(code)
        }
        Err(error) => {
            eprintln!("ipamd health: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs with the configuration, or says at once everything that is wrong with it.
fn configured(run: impl FnOnce(Config, Vec<Fallback>) -> anyhow::Result<()>) -> ExitCode {
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
    match run(config, fallbacks) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            leave_last_words(Path::new(TERMINATION_LOG), &format!("{error:#}"));
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

fn log_start(config: &Config, fallbacks: &[Fallback]) {
    let Config {
        node,
        host,
        process,
        install,
    } = config;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        ?node,
        ?host,
        ?process,
        ?install,
        "starting"
    );
    for fallback in fallbacks {
        tracing::warn!(variable = fallback.name, "{fallback}");
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime?.block_on(work)
}
