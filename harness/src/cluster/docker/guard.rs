//! Nothing is left behind: not after an error, a panic, Ctrl-C or SIGTERM.
//!
//! A [`Guard`] removes its run when dropped, so a panic or an early return cleans up on its way
//! out. Signals become ordinary control flow through [`interrupted`]: whoever runs a cluster
//! selects on it and returns. Only SIGKILL gets around this; for it there is
//! [`gc`](super::gc()), which every start of a cluster begins with.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bollard::Docker;

use super::gc;
use crate::daemon;

/// How long after it was given up a request may still create something, on a busy machine.
const LATE: Duration = Duration::from_secs(3);

/// Longest wait for a removal on the way out.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// Removes everything of a run when dropped.
#[derive(Debug)]
pub(super) struct Guard {
    run: String,
    armed: AtomicBool,
    /// Requests that create something may be on their way.
    creating: AtomicBool,
}

impl Guard {
    pub(super) fn new(run: &str) -> Self {
        Self { run: run.to_owned(), armed: AtomicBool::new(true), creating: AtomicBool::new(true) }
    }

    /// All is created that will ever be.
    pub(super) fn created(&self) {
        self.creating.store(false, Ordering::SeqCst);
    }

    /// Removes nothing: the daemon does not answer, or nobody wants to wait.
    pub(super) fn disarm(&self) {
        self.armed.store(false, Ordering::SeqCst);
    }

    /// Removes the run now, and reports what could not be removed.
    pub(super) async fn remove(&self, docker: &Docker) -> Result<gc::Removed> {
        let removed = gc::remove(docker, &self.run).await?;
        self.armed.store(false, Ordering::SeqCst);
        Ok(removed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.armed.load(Ordering::SeqCst) {
            return;
        }
        let run = std::mem::take(&mut self.run);
        let creating = self.creating.load(Ordering::SeqCst);
        // A runtime and a connection of its own: the one around us may be unwinding, and a thread
        // that belongs to a runtime must not block on another.
        let cleaner = std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                tokio::time::timeout(CLEAN_UP, clean_up(&run, creating))
                    .await
                    .context("the Docker daemon takes too long; run `harness gc` later")?
            })
        });
        match cleaner.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("cleaning up: {error:#}"),
            Err(_) => tracing::error!("cleaning up panicked; run `harness gc`"),
        }
    }
}

async fn clean_up(run: &str, creating: bool) -> Result<()> {
    let docker = daemon::connect().await?;
    gc::remove(&docker, run).await?;
    // The daemon carries out a request even when nobody waits for its answer any more.
    let mut quiet = Instant::now();
    while creating && quiet.elapsed() < LATE {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if !gc::remove(&docker, run).await?.is_empty() {
            quiet = Instant::now();
        }
    }
    Ok(())
}

/// Resolves when the process is asked to end, with the signal's name: SIGINT (Ctrl-C), SIGTERM
/// or SIGHUP (the terminal closed). From its first call on, these signals no longer kill the
/// process by themselves.
///
/// # Errors
///
/// The handlers cannot be installed.
pub async fn interrupted() -> Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).context("installing a signal handler");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        _ = hangup.recv() => "SIGHUP",
    })
}
