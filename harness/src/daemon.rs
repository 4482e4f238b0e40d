//! The way to the Docker daemon.

use std::{path::PathBuf, time::Duration};

use bollard::{API_DEFAULT_VERSION, Docker};

/// A daemon on this machine answers within milliseconds; one that is starting may take seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest wait for the beginning of an answer.
const REQUEST_TIMEOUT_S: u64 = 10;

/// The same, for requests that make or remove an image: a busy disk is slow.
pub(crate) const IMAGE_TIMEOUT: Duration = Duration::from_secs(120);

/// No Docker daemon can be used. The harness ends with code 3.
#[derive(Debug, thiserror::Error)]
#[error(
    "no Docker daemon answers at {host} ({reason}). Start one (`sudo systemctl start docker`); if \
     one runs but refuses this user, join its group (`sudo usermod -aG docker $USER`, then log in \
     again); if it listens elsewhere, set DOCKER_HOST"
)]
pub struct NoDaemon {
    /// Where one was looked for.
    pub host: String,
    /// Why it could not be used.
    pub reason: String,
}

/// Connects to the daemon that `DOCKER_HOST` names, else to the one at the usual sockets, and
/// agrees on the newest API version that both sides speak.
///
/// # Errors
///
/// [`NoDaemon`] when none answers within five seconds, recognisable by `downcast_ref`.
pub async fn connect() -> anyhow::Result<Docker> {
    connect_to(&host()).await
}

async fn connect_to(host: &str) -> anyhow::Result<Docker> {
    let refused = |reason: String| NoDaemon { host: host.to_owned(), reason };
    let docker = if host.starts_with("unix://") {
        Docker::connect_with_unix(host, REQUEST_TIMEOUT_S, API_DEFAULT_VERSION)
    } else {
        Docker::connect_with_host(host)
            .map(|docker| docker.with_timeout(Duration::from_secs(REQUEST_TIMEOUT_S)))
    }
    .map_err(|error| refused(chain(&error)))?;
    match tokio::time::timeout(PATIENCE, docker.negotiate_version()).await {
        Ok(Ok(docker)) => Ok(docker),
        Ok(Err(error)) => Err(refused(chain(&error)).into()),
        Err(_) => Err(refused(format!("no answer within {} s", PATIENCE.as_secs())).into()),
    }
}

/// The daemon's address: `DOCKER_HOST`, the system's socket, or that of a rootless daemon.
fn host() -> String {
    if let Ok(host) = std::env::var("DOCKER_HOST")
        && !host.is_empty()
    {
        return host;
    }
    const SYSTEM: &str = "/var/run/docker.sock";
    let rootless = std::env::var_os("XDG_RUNTIME_DIR")
        .map(|directory| PathBuf::from(directory).join("docker.sock"))
        .filter(|socket| socket.exists() && !std::path::Path::new(SYSTEM).exists());
    format!("unix://{}", rootless.unwrap_or_else(|| SYSTEM.into()).display())
}

/// An error with its causes: the outermost alone ("client error (Connect)") helps nobody.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text = format!("{text}: {inner}");
        }
        cause = error.source();
    }
    text
}

/// Whether the daemon said that the thing does not exist.
pub(crate) fn is_missing(error: &bollard::errors::Error) -> bool {
    status(error) == Some(404)
}

/// Whether the daemon said that the thing is in a state that does not allow this.
pub(crate) fn is_conflict(error: &bollard::errors::Error) -> bool {
    status(error) == Some(409)
}

fn status(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(host: &str) -> String {
        let error = connect_to(host).await.expect_err("there is no daemon");
        let typed = error.downcast_ref::<NoDaemon>().expect("callers recognise the type");
        assert_eq!(typed.host, host);
        error.to_string()
    }

    #[tokio::test]
    async fn a_missing_daemon_is_a_sentence_with_a_remedy() {
        for host in ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "carrier-pigeon://loft"] {
            let text = refusal(host).await;
            assert!(text.contains(host) && text.contains("systemctl start docker"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_daemon_that_is_silent_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let text = refusal(&format!("unix://{}", socket.display())).await;
        assert!(text.contains("no answer within 5 s"), "{text}");
    }
}
