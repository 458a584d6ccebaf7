//! Writes the network configuration when the node has its first address for pods, and puts it back when it is gone or
//! was changed. Must not: end the process or hold anything up because it cannot be written.

use super::NAME;
use crate::owner::Progress;
use crate::place::{self, Placed};
use crate::restore::with_causes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked whether the file is as it should be.
const LOOK: Duration = Duration::from_secs(10);
/// How soon it is tried again to write it, at first and at the latest.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The file to keep.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    text: String,
}

impl Keeper {
    /// Keeps a file of this text in the runtime's directory.
    pub fn new(folder: &Path, text: String) -> Self {
        let path = folder.join(NAME);
        Self { path, text }
    }

    /// Waits for the first address, then keeps the file until the node task is gone. `lack`: what is missing before the
    /// runtime has the file.
    pub(crate) async fn keep_forever(
        self,
        mut progress: watch::Receiver<Progress>,
        lack: watch::Sender<Option<String>>,
    ) {
        loop {
            let seen = progress.borrow_and_update().clone();
            if seen.serving && seen.lacks_address.is_none() {
                break;
            }
            lack.send_replace(seen.lacks_address.or_else(|| lack.borrow().clone()));
            if progress.changed().await.is_err() {
                return;
            }
        }
        let (keeper, mut pace) = (Arc::new(self), Pace::default());
        loop {
            let placing = Arc::clone(&keeper);
            let first = !pace.written;
            let placed = tokio::task::spawn_blocking(move || placing.place(first)).await;
            let placed = placed.unwrap_or_else(|error| Err(error.to_string()));
            let (again, news) = pace.after(placed);
            if let Some(news) = news {
                keeper.tell(news);
            }
            lack.send_replace(pace.told.clone().filter(|_| !pace.written));
            tokio::time::sleep(again).await;
        }
    }

    fn place(&self, first: bool) -> Result<Placed, String> {
        if first && let Some(folder) = self.path.parent() {
            // What cannot be removed is in nobody's way.
            let _ = place::remove_leftovers(folder);
        }
        place::ensure(&self.path, self.text.as_bytes(), 0o644).map_err(|error| with_causes(&error))
    }

    fn tell(&self, news: News) {
        let path = self.path.display();
        match news {
            News::Written => tracing::info!(file = %path, "network configuration written"),
            News::There => tracing::info!(file = %path, "network configuration is there already"),
            News::PutBack => {
                tracing::warn!(file = %path, "network configuration was gone or changed; put back");
            }
            News::Cannot(problem) => tracing::warn!(
                problem,
                "network configuration cannot be written; trying again"
            ),
            News::Again => tracing::info!(file = %path, "network configuration is as it should be"),
        }
    }
}

/// What is worth a line.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Written,
    There,
    PutBack,
    Cannot(String),
    /// The file was never away, but could not be looked after.
    Again,
}

/// What was told, and when to look again.
#[derive(Debug, Default)]
struct Pace {
    /// The file has been as it should be at least once.
    written: bool,
    /// The problem there is, as it was told.
    told: Option<String>,
    failures: u32,
}

impl Pace {
    fn after(&mut self, placed: Result<Placed, String>) -> (Duration, Option<News>) {
        let problem = match placed {
            Ok(placed) => {
                let before = std::mem::replace(&mut self.written, true);
                let trouble = self.told.take().is_some();
                self.failures = 0;
                let news = match (before, placed) {
                    (false, Placed::New) => Some(News::Written),
                    (false, Placed::Already) => Some(News::There),
                    (true, Placed::New) => Some(News::PutBack),
                    (true, Placed::Already) => trouble.then_some(News::Again),
                };
                return (LOOK, news);
            }
            Err(problem) => problem,
        };
        let again = FIRST_RETRY
            .saturating_mul(1 << self.failures.min(16))
            .min(LOOK);
        self.failures = self.failures.saturating_add(1);
        let known = self.told.as_ref() == Some(&problem);
        self.told = Some(problem.clone());
        (again, (!known).then_some(News::Cannot(problem)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds to the next look, and what is told.
    fn looks(placed: &[Result<Placed, &str>]) -> Vec<(u64, Option<News>)> {
        let mut pace = Pace::default();
        let look = |result: &Result<Placed, &str>| {
            let (again, news) = pace.after(result.map_err(str::to_owned));
            (again.as_secs(), news)
        };
        placed.iter().map(look).collect()
    }

    #[test]
    fn it_is_told_when_it_is_written_and_each_time_it_had_to_be_put_back() {
        assert_eq!(
            looks(&[
                Ok(Placed::New),
                Ok(Placed::Already),
                Ok(Placed::New),
                Ok(Placed::New)
            ]),
            [
                (10, Some(News::Written)),
                (10, None),
                (10, Some(News::PutBack)),
                (10, Some(News::PutBack))
            ]
        );
        assert_eq!(looks(&[Ok(Placed::Already)]), [(10, Some(News::There))]);
    }

    #[test]
    fn a_problem_is_told_once_and_tried_again_ever_less_often_up_to_ten_seconds() {
        let cannot = |text: &str| Some(News::Cannot(text.to_owned()));
        assert_eq!(
            looks(&[
                Err("no directory"),
                Err("no directory"),
                Err("read-only"),
                Err("read-only"),
                Err("read-only"),
                Ok(Placed::New),
                Err("read-only"),
                Ok(Placed::Already),
            ]),
            [
                (1, cannot("no directory")),
                (2, None),
                (4, cannot("read-only")),
                (8, None),
                (10, None),
                (10, Some(News::Written)),
                (1, cannot("read-only")),
                (10, Some(News::Again)),
            ]
        );
    }
}
