//! Requests to stop: Ctrl-C, SIGTERM, SIGHUP.
//!
//! The first ends the load at once and asks for an orderly end: heal, collect, check, clean up. The
//! second ends the process within seconds, and leaves what it cannot remove to `harness gc`.

use anyhow::Context;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::progress::print;

/// Tells how often a stop was asked for.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: watch::Receiver<Option<&'static str>>,
    again: watch::Receiver<bool>,
}

impl Stop {
    /// Listens for signals from now on, in place of their usual effect.
    ///
    /// # Errors
    /// The handlers could not be installed.
    pub fn listen() -> anyhow::Result<Self> {
        let handler = |kind| signal(kind).context("could not install a signal handler");
        let mut interrupt = handler(SignalKind::interrupt())?;
        let mut terminate = handler(SignalKind::terminate())?;
        let mut hangup = handler(SignalKind::hangup())?;
        let (asked, asked_receiver) = watch::channel(None);
        let (again, again_receiver) = watch::channel(false);
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = interrupt.recv() => "Ctrl-C",
                    _ = terminate.recv() => "SIGTERM",
                    _ = hangup.recv() => "SIGHUP",
                }
            };
            let signal = next().await;
            print(&format!("{signal}: stopping; a second signal leaves at once"));
            asked.send_replace(Some(signal));
            next().await;
            print("leaving at once");
            again.send_replace(true);
            // Keeps the channels open, and later signals without effect: clean-up is under way.
            loop {
                next().await;
            }
        });
        Ok(Self { asked: asked_receiver, again: again_receiver })
    }

    /// The name of the first request, if there was one.
    pub fn asked(&self) -> Option<&'static str> {
        *self.asked.borrow()
    }

    /// Waits for the first request.
    pub async fn first(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the second request.
    pub async fn second(&self) {
        let mut again = self.again.clone();
        if again.wait_for(|again| *again).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
