//! The daemon's log: one JSON object a line with `level`, `ts`, `msg` and the fields.
//!
//! Owns: format, destination, and that a log which cannot be written stops nothing: lines go to a thread over a bounded
//! queue and are dropped, counted, when it is full. Must not: know who logs what, or how a file is bounded (`logfile`).
//! Driven by: `main` (once), `tracing` (each line).

mod kept;
mod line;
mod queue;

use config::process::{LogFile, LogLevel, ProcessSettings};
use std::io::{self, Write};
use tracing_subscriber::EnvFilter;

pub use queue::Flush;

/// Starts logging as configured. Keep what is returned until the end of `main`: dropping it writes what is queued.
pub fn init(settings: &ProcessSettings) -> Flush {
    let destination: Box<dyn Write + Send> = match &settings.log_file {
        LogFile::Stdout => Box::new(io::stdout()),
        LogFile::Stderr => Box::new(io::stderr()),
        LogFile::Path(path) => Box::new(kept::Kept::at(path, io::stderr())),
    };
    let (queue, flush) = queue::start(destination);
    let subscriber = tracing_subscriber::fmt()
        .event_format(line::Json)
        .with_writer(queue)
        .with_env_filter(filter(settings.log_level))
        .finish();
    // A second subscriber is a defect of `main`, and no reason to stop a node.
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        eprintln!("logging was started twice");
    }
    flush
}

/// Libraries say only what is wrong: below that they tell of every request, credentials not excepted.
fn filter(level: LogLevel) -> EnvFilter {
    let (ours, others) = match level {
        LogLevel::Debug => ("debug", "warn"),
        LogLevel::Info => ("info", "warn"),
        LogLevel::Warn => ("warn", "warn"),
        LogLevel::Error => ("error", "error"),
    };
    EnvFilter::new(format!("{others},ipamd={ours}"))
}
