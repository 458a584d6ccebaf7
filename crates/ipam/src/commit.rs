//! Durable before: holds effects back until the file they depend on is on disk, one write per file in flight.
//!
//! Owns the generations of both files and what waits for them. Must not: know why an effect waits, or encode anything.
//! While a write is in flight, later changes gather for the next one: that is the whole group commit.

use crate::budget::backoff;
use crate::effect::{Effect, File};
use crate::event::{OpId, RequestId};
use model::time::{Duration, Instant};

/// What waits for which generation of which file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commit {
    checkpoint: Generations,
    journal: Generations,
}

#[derive(Debug, Clone, Default)]
struct Generations {
    /// Newest content in memory.
    wanted: u64,
    /// Newest content on disk.
    durable: u64,
    writing: Option<(OpId, u64)>,
    held: Vec<(u64, Effect)>,
    failures: u32,
    retry_at: Option<Instant>,
    error: Option<String>,
}

impl Commit {
    fn file(&self, file: File) -> &Generations {
        match file {
            File::Checkpoint => &self.checkpoint,
            File::Journal => &self.journal,
        }
    }

    fn file_mut(&mut self, file: File) -> &mut Generations {
        match file {
            File::Checkpoint => &mut self.checkpoint,
            File::Journal => &mut self.journal,
        }
    }

    /// The content of the file has changed in memory.
    pub(crate) fn touch(&mut self, file: File) {
        self.file_mut(file).wanted += 1;
    }

    /// Lets the effect leave when everything that was touched so far is on disk; at once when it is.
    pub(crate) fn after(&mut self, file: File, effect: Effect, effects: &mut Vec<Effect>) {
        let state = self.file_mut(file);
        if state.durable == state.wanted {
            effects.push(effect);
        } else {
            state.held.push((state.wanted, effect));
        }
    }

    /// Whether the newest content of the file is on disk.
    pub(crate) fn is_durable(&self, file: File) -> bool {
        let state = self.file(file);
        state.durable == state.wanted
    }

    /// Takes a held answer back; false when it has left already (or never was).
    pub(crate) fn revoke(&mut self, request: RequestId) -> bool {
        let held = &mut self.checkpoint.held;
        let before = held.len();
        held.retain(|(_, effect)| !matches!(effect, Effect::Reply(id, _) if *id == request));
        held.len() != before
    }

    /// The files whose next content should be written now; the caller writes and calls [`Commit::began`].
    pub(crate) fn due(&self, now: Instant) -> Vec<File> {
        [File::Checkpoint, File::Journal]
            .into_iter()
            .filter(|file| {
                let state = self.file(*file);
                state.writing.is_none()
                    && state.durable != state.wanted
                    && state.retry_at.is_none_or(|at| at <= now)
            })
            .collect()
    }

    /// A write of the file's newest content was started.
    pub(crate) fn began(&mut self, file: File, op: OpId) {
        let state = self.file_mut(file);
        state.writing = Some((op, state.wanted));
        state.retry_at = None;
    }

    /// A write ended: lets go of what became durable. After an error everything stays held; returns when it is retried.
    pub(crate) fn complete(
        &mut self,
        file: File,
        now: Instant,
        result: Result<(), String>,
        effects: &mut Vec<Effect>,
    ) -> Option<Duration> {
        let state = self.file_mut(file);
        let (_, generation) = state.writing.take()?;
        match result {
            Ok(()) => {
                state.durable = state.durable.max(generation);
                (state.failures, state.error) = (0, None);
                let durable = state.durable;
                for (wanted, effect) in std::mem::take(&mut state.held) {
                    if wanted <= durable {
                        effects.push(effect)
                    } else {
                        state.held.push((wanted, effect))
                    }
                }
                None
            }
            Err(error) => {
                let delay = backoff(
                    Duration::from_millis(200),
                    Duration::from_secs(10),
                    state.failures,
                );
                state.failures += 1;
                state.retry_at = Some(now.after(delay));
                state.error = Some(error);
                Some(delay)
            }
        }
    }

    /// The last error of the file, until a write succeeds.
    pub(crate) fn error(&self, file: File) -> Option<&str> {
        self.file(file).error.as_deref()
    }

    /// When a failed write is retried.
    pub(crate) fn retries(&self) -> impl Iterator<Item = Instant> {
        [self.checkpoint.retry_at, self.journal.retry_at]
            .into_iter()
            .flatten()
    }

    /// Effects held back.
    pub(crate) fn held(&self) -> usize {
        self.checkpoint.held.len() + self.journal.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Answer;

    fn reply(id: u64) -> Effect {
        Effect::Reply(RequestId(id), Answer::UnknownPod)
    }

    #[test]
    fn an_effect_leaves_only_when_its_generation_is_on_disk() {
        let (mut commit, mut out) = (Commit::default(), vec![]);
        commit.after(File::Checkpoint, reply(0), &mut out);
        assert_eq!(out, [reply(0)], "nothing was touched: nothing to wait for");
        out.clear();

        commit.touch(File::Checkpoint);
        commit.after(File::Checkpoint, reply(1), &mut out);
        assert_eq!(commit.due(Instant(0)), [File::Checkpoint]);
        commit.began(File::Checkpoint, OpId(1));
        commit.touch(File::Checkpoint);
        commit.after(File::Checkpoint, reply(2), &mut out);
        assert!(
            commit.due(Instant(0)).is_empty(),
            "one write per file in flight"
        );
        commit.complete(File::Checkpoint, Instant(0), Ok(()), &mut out);
        assert_eq!(
            out,
            [reply(1)],
            "the second change came after the write had begun"
        );
        commit.began(File::Checkpoint, OpId(2));
        commit.complete(File::Checkpoint, Instant(0), Ok(()), &mut out);
        assert_eq!(out, [reply(1), reply(2)]);
        assert!(commit.due(Instant(0)).is_empty());
    }

    #[test]
    fn a_failed_write_keeps_everything_held_and_is_retried_later() {
        let (mut commit, mut out) = (Commit::default(), vec![]);
        commit.touch(File::Checkpoint);
        commit.after(File::Checkpoint, reply(1), &mut out);
        commit.began(File::Checkpoint, OpId(1));
        let delay = commit
            .complete(File::Checkpoint, Instant(0), Err("full".into()), &mut out)
            .unwrap();
        assert!(out.is_empty() && commit.due(Instant(0)).is_empty());
        assert_eq!(commit.error(File::Checkpoint), Some("full"));
        assert_eq!(commit.due(Instant(0).after(delay)), [File::Checkpoint]);
    }

    #[test]
    fn a_revoked_answer_never_leaves() {
        let (mut commit, mut out) = (Commit::default(), vec![]);
        commit.touch(File::Checkpoint);
        commit.after(File::Checkpoint, reply(1), &mut out);
        assert!(commit.revoke(RequestId(1)));
        assert!(!commit.revoke(RequestId(1)));
        commit.began(File::Checkpoint, OpId(1));
        commit.complete(File::Checkpoint, Instant(0), Ok(()), &mut out);
        assert!(out.is_empty());
    }
}
