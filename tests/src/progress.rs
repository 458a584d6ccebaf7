//! What a person sees of a long program: progress lines with the time, waiting with a deadline, an end by signal that
//! still cleans up. Driven by `demo` and `bench`. Must not: know what they do, wait without listening for signals.

use anyhow::{Context, bail};
use std::fmt::Display;
use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The terminal and the clock of one run.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    // A signal ends the run as an error between two steps, so that everything made is dropped and thus removed.
    signals: Receiver<&'static str>,
}

impl Progress {
    /// Starts the clock and listens for SIGINT, SIGTERM and SIGHUP.
    pub fn start() -> anyhow::Result<Self> {
        let (sender, signals) = channel();
        let (ready, listening) = channel();
        let listen = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let listened = runtime.and_then(|runtime| runtime.block_on(forward(sender, &ready)));
            let _ = listened.map_err(|error| ready.send(Err(error)));
        };
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(listen)?;
        listening
            .recv()
            .context("the signal thread ended")?
            .context("listen for signals")?;
        Ok(Self {
            started: Instant::now(),
            signals,
        })
    }

    /// A progress line; fails when a signal asked for the end.
    pub fn say(&self, text: impl Display) -> anyhow::Result<()> {
        let seconds = self.started.elapsed().as_secs_f64();
        print(&format!("[{seconds:5.1} s] {text}"))?;
        self.check()
    }

    /// Fails when a signal asked for the end.
    pub fn check(&self) -> anyhow::Result<()> {
        match self.signals.try_recv() {
            Ok(name) => bail!("ended by {name}"),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Ok(()),
        }
    }

    /// Looks until there is something or `limit` has passed; fails when a signal asked for the end.
    pub fn watch<T>(
        &self,
        limit: Duration,
        mut look: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<Option<T>> {
        let began = Instant::now();
        loop {
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            if began.elapsed() >= limit {
                return Ok(None);
            }
            match self.signals.recv_timeout(LOOK) {
                Ok(name) => bail!("ended by {name}"),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the signal thread ended"),
            }
        }
    }
}

/// A line on stdout, at once.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Fails unless this process may make namespaces and links.
pub fn require_root() -> anyhow::Result<()> {
    if nix::unistd::geteuid().is_root() {
        Ok(())
    } else {
        bail!("namespaces and links are needed: run this as root")
    }
}

async fn forward(
    signals: Sender<&'static str>,
    ready: &Sender<std::io::Result<()>>,
) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let _ = ready.send(Ok(()));
    loop {
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
            _ = hangup.recv() => "SIGHUP",
        };
        if signals.send(name).is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> (Sender<&'static str>, Progress) {
        let (sender, signals) = channel();
        let started = Instant::now();
        (sender, Progress { started, signals })
    }

    #[test]
    fn watching_ends_with_what_was_looked_for_or_with_the_limit() {
        let (_sender, progress) = progress();
        let mut looks = 0;
        let found = progress.watch(Duration::from_secs(60), || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(found.unwrap(), Some(3));
        let nothing = progress.watch(Duration::ZERO, || Ok(None::<()>));
        assert_eq!(nothing.unwrap(), None);
    }

    #[test]
    fn a_signal_ends_the_run_at_the_next_step_and_while_watching() {
        let (sender, progress) = progress();
        progress.check().unwrap();
        sender.send("SIGINT").unwrap();
        assert_eq!(progress.check().unwrap_err().to_string(), "ended by SIGINT");
        sender.send("SIGTERM").unwrap();
        let watched = progress.watch(Duration::from_secs(60), || Ok(None::<()>));
        assert_eq!(watched.unwrap_err().to_string(), "ended by SIGTERM");
    }
}
