//! Log lines on stderr that never make the node wait.
//!
//! Whoever reads stderr may stop reading, and then a write to it blocks. So lines go through a
//! bounded queue to a thread of their own; when the queue is full they are dropped and counted.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

const QUEUE_LINES_MAX: usize = 1024;

enum Item {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The way to stderr; clones share it.
#[derive(Clone)]
pub struct Log {
    queue: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

impl Log {
    /// Makes `tracing` log on stderr what is at least as severe as `level`.
    pub fn install(level: tracing::Level) -> Self {
        let log = Self::to(io::stderr());
        let lines = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_target(false)
            .with_ansi(false)
            .with_writer(move || lines.clone())
            .init();
        log
    }

    fn to(sink: impl Write + Send + 'static) -> Self {
        let (queue, items) = sync_channel(QUEUE_LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let count = dropped.clone();
        // Never joined: it may be stuck in a write for ever.
        thread::spawn(move || drain(items, sink, &count));
        Self { queue, dropped }
    }

    /// Waits until all lines so far are written, but no longer than `patience`.
    pub fn flush(&self, patience: Duration) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Item::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(patience);
        }
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Item::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn drain(items: Receiver<Item>, mut sink: impl Write, dropped: &AtomicU64) {
    for item in items {
        // There is nowhere left to complain to when stderr itself fails.
        match item {
            Item::Line(line) => {
                let _ = sink.write_all(&line);
            }
            Item::Flush(done) => {
                let _ = sink.flush();
                let _ = done.send(());
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(sink, "({lost} log lines were dropped: stderr was not read)");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    /// Blocks in every write until it is told to go on.
    struct Gate(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_sink_blocks_no_writer_and_says_later_what_was_lost() {
        let (open, gate) = mpsc::channel();
        let written = Arc::default();
        let mut log = Log::to(Gate(gate, Arc::clone(&written)));
        for _ in 0..QUEUE_LINES_MAX + 100 {
            log.write_all(b"line\n").unwrap();
        }
        log.flush(Duration::from_millis(1));
        drop(open);
        while log.queue.try_send(Item::Line(b"last\n".to_vec())).is_err() {
            thread::yield_now();
        }
        log.flush(Duration::from_secs(10));
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.ends_with("last\n"), "{text}");
        assert!(text.contains("log lines were dropped"), "{text}");
        assert!(text.matches("line\n").count() >= QUEUE_LINES_MAX);
    }
}
