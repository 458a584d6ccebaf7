//! Lines on their way to a destination that may be slow, full or gone. Must not: block who logs, or fail.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// How long the end of the process waits for the destination.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Lines that wait for the destination; at 300 bytes a line, a few megabytes.
const CAPACITY: usize = 8192;

/// Starts the thread that writes.
pub(crate) fn start(destination: Box<dyn Write + Send>) -> (Queue, Flush) {
    let (sender, lines) = sync_channel(CAPACITY);
    let lost = Arc::new(AtomicU64::new(0));
    let queue = Queue {
        sender: sender.clone(),
        lost: Arc::clone(&lost),
    };
    // Without a thread every line is dropped; the node works all the same.
    let (end, ended) = channel();
    let _ = std::thread::Builder::new()
        .name("log".into())
        .spawn(move || {
            write(&lines, destination, &lost);
            let _ = end.send(());
        });
    (queue, Flush { sender, ended })
}

/// `None` ends the thread.
type Line = Option<Vec<u8>>;

fn write(lines: &Receiver<Line>, mut destination: Box<dyn Write + Send>, lost: &AtomicU64) {
    while let Ok(Some(line)) = lines.recv() {
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let note = format!(
                "{{\"level\":\"warn\",\"msg\":\"log lines were dropped\",\"count\":{missing}}}\n"
            );
            let _ = destination.write_all(note.as_bytes());
        }
        if destination.write_all(&line).is_err() {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }
    let _ = destination.flush();
}

/// Where a line is put.
#[derive(Clone)]
pub(crate) struct Queue {
    sender: SyncSender<Line>,
    lost: Arc<AtomicU64>,
}

impl Write for Queue {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.sender.try_send(Some(bytes.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Writes what is queued when dropped, as far as the destination takes it within a second.
pub struct Flush {
    sender: SyncSender<Line>,
    ended: Receiver<()>,
}

impl Drop for Flush {
    fn drop(&mut self) {
        if self.sender.try_send(None).is_ok() {
            let _ = self.ended.recv_timeout(LAST_WORDS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// Says when it is asked to write, and writes when told so.
    struct Gate {
        asked: Sender<()>,
        go: Receiver<()>,
        written: Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.asked.send(());
            let _ = self.go.recv();
            let _ = self
                .written
                .send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_destination_that_hangs_costs_lines_but_never_time_and_the_loss_is_told() {
        let ((asked, was_asked), (go, may_go), (written, text)) = (channel(), channel(), channel());
        let (mut queue, flush) = start(Box::new(Gate {
            asked,
            go: may_go,
            written,
        }));
        queue.write_all(b"first\n").unwrap();
        was_asked.recv().unwrap();
        // The thread hangs in the first line: the queue takes its capacity, and no more.
        for _ in 0..CAPACITY + 5 {
            queue.write_all(b"x\n").unwrap();
        }
        drop(go);
        assert_eq!(text.recv().unwrap(), "first\n");
        let note = text.recv().unwrap();
        assert!(note.contains("\"count\":5"), "{note}");
        assert_eq!(
            text.iter()
                .take(CAPACITY)
                .filter(|line| line == "x\n")
                .count(),
            CAPACITY
        );
        drop(flush);
    }

    #[test]
    fn the_end_writes_what_is_queued() {
        let ((asked, _was_asked), (go, may_go), (written, text)) =
            (channel(), channel(), channel());
        drop(go);
        let (mut queue, flush) = start(Box::new(Gate {
            asked,
            go: may_go,
            written,
        }));
        for _ in 0..100 {
            queue.write_all(b"line\n").unwrap();
        }
        drop(flush);
        assert_eq!(text.try_iter().count(), 100);
    }
}
