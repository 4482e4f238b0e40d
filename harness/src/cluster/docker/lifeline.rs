//! Whether the Docker daemon answers, asked all the time.
//!
//! A daemon may be slow, be started again, or hang. What fails meanwhile is tried again once it
//! answers. A daemon that has not answered for [`LOST`] is lost: whoever waits for it is told at
//! once, so that a run ends instead of waiting for each request in turn.

use std::time::{Duration, Instant};

use bollard::Docker;
use tokio::{sync::watch, task::JoinHandle};

/// Between two questions.
const INTERVAL: Duration = Duration::from_millis(250);
/// An answer takes a millisecond; on a busy machine, much longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// A daemon that has been silent for this long is lost. A restart of one takes less.
const LOST: Duration = Duration::from_secs(10);

/// The Docker daemon has not answered for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Docker daemon does not answer any more")]
pub struct DaemonLost {
    /// When it was first silent.
    pub since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Answers,
    Silent(Instant),
    Lost(DaemonLost),
}

/// Asks the daemon until dropped.
#[derive(Debug)]
pub(super) struct Lifeline {
    health: watch::Receiver<Health>,
    asker: JoinHandle<()>,
}

impl Lifeline {
    pub(super) fn of(docker: &Docker) -> Self {
        let (sender, health) = watch::channel(Health::Answers);
        let docker = docker.clone();
        Self { health, asker: tokio::spawn(async move { ask(&docker, &sender).await }) }
    }

    /// Whether the daemon is lost now.
    pub(super) fn lost(&self) -> Option<DaemonLost> {
        match *self.health.borrow() {
            Health::Lost(lost) => Some(lost),
            Health::Answers | Health::Silent(_) => None,
        }
    }

    /// Waits until the daemon is lost.
    pub(super) async fn until_lost(&self) -> DaemonLost {
        let mut health = self.health.clone();
        let lost = health.wait_for(|health| matches!(health, Health::Lost(_))).await;
        let lost = lost.ok().map(|health| *health);
        match lost {
            Some(Health::Lost(lost)) => lost,
            _ => std::future::pending().await,
        }
    }

    /// Waits until the daemon answers.
    ///
    /// # Errors
    /// It is lost.
    pub(super) async fn answers(&self) -> Result<(), DaemonLost> {
        let mut health = self.health.clone();
        let health = health.wait_for(|health| !matches!(health, Health::Silent(_))).await;
        match health.ok().map(|health| *health) {
            Some(Health::Lost(lost)) => Err(lost),
            _ => Ok(()),
        }
    }

    /// Does something that needs the daemon.
    ///
    /// # Errors
    /// The daemon is lost before it is done.
    pub(super) async fn while_alive<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, DaemonLost> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            lost = self.until_lost() => Err(lost),
        }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.asker.abort();
    }
}

async fn ask(docker: &Docker, health: &watch::Sender<Health>) {
    loop {
        let asked = Instant::now();
        let answered = matches!(tokio::time::timeout(PATIENCE, docker.ping()).await, Ok(Ok(_)));
        health.send_if_modified(|health| {
            let before = *health;
            *health = next(before, asked, Instant::now(), answered);
            *health != before
        });
        tokio::time::sleep(INTERVAL).await;
    }
}

fn next(before: Health, asked: Instant, now: Instant, answered: bool) -> Health {
    let since = match before {
        _ if answered => return Health::Answers,
        Health::Answers => asked,
        Health::Silent(since) => since,
        Health::Lost(lost) => return Health::Lost(lost),
    };
    match now.saturating_duration_since(since) >= LOST {
        true => Health::Lost(DaemonLost { since }),
        false => Health::Silent(since),
    }
}

/// Whether an error is one of the way to the daemon or to a pod's shell, and not what either said:
/// whatever was asked for may be tried again.
pub(super) fn is_of_the_way(error: &anyhow::Error) -> bool {
    use bollard::errors::Error;
    error.chain().any(|cause| match cause.downcast_ref::<Error>() {
        Some(Error::DockerResponseServerError { .. } | Error::JsonDataError { .. }) => false,
        Some(_) => true,
        None => cause.is::<std::io::Error>() || cause.is::<super::shell::ShellLost>(),
    })
}

/// The same, as a sentence for people: what a client library says of it helps nobody.
pub(super) fn in_words(error: &anyhow::Error) -> String {
    match is_of_the_way(error) {
        true => format!("{error}: the Docker daemon did not answer"),
        false => format!("{error:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_lost_after_a_long_silence_and_found_by_an_answer() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let silent = next(Health::Answers, at(7), at(9), false);
        assert_eq!(silent, Health::Silent(at(7)));
        assert_eq!(next(silent, at(14), at(16), false), Health::Silent(at(7)), "a long restart");
        assert_eq!(next(silent, at(14), at(16), true), Health::Answers);
        let lost = next(silent, at(15), at(17), false);
        assert_eq!(lost, Health::Lost(DaemonLost { since: at(7) }));
        assert_eq!(next(lost, at(17), at(19), false), lost);
        assert_eq!(next(lost, at(19), at(19), true), Health::Answers);
    }

    #[test]
    fn what_the_daemon_said_is_no_fault_of_the_way() {
        use bollard::errors::Error;
        let message = "no such container".to_owned();
        let said = Error::DockerResponseServerError { status_code: 404, message };
        assert!(!is_of_the_way(&anyhow::Error::new(said).context("pausing n1")));
        for lost in [
            anyhow::Error::new(Error::RequestTimeoutError),
            anyhow::Error::new(std::io::Error::from(std::io::ErrorKind::BrokenPipe)),
            anyhow::Error::new(super::super::shell::ShellLost),
        ] {
            let lost = lost.context("pausing n1");
            assert!(is_of_the_way(&lost));
            assert_eq!(in_words(&lost), "pausing n1: the Docker daemon did not answer");
        }
        assert!(!is_of_the_way(&anyhow::anyhow!("n1 still runs")));
    }
}
