//! What this machine can do, and what to do about what it cannot: `harness doctor`.
//!
//! Nothing is guessed from version numbers. The kernel's features are tried in a pod like those
//! of a cluster, so what works here works in a run.

mod host;
mod pod;

use std::fmt;

use bollard::Docker;

use crate::{
    cluster::docker::abandoned,
    daemon,
    images::{self, Kind, Source},
};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It works.
    Ok,
    /// Something optional is not there.
    Warn,
    /// No test can run like this.
    Fail,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What was looked at.
    pub name: &'static str,
    /// How bad it is.
    pub status: Status,
    /// What was found; unless it is well, also what to do.
    pub text: String,
}

impl Line {
    fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, text: text.into() }
    }

    fn warn(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, status: Status::Warn, text: text.into() }
    }

    fn fail(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, status: Status::Fail, text: text.into() }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self.status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        write!(f, "{status:<5} {:<17} {}", self.name, self.text)
    }
}

/// Looks at everything and hands each finding to `found` as it is made. The worst status tells
/// whether tests can run: they can unless it is [`Status::Fail`].
///
/// Builds the pod image when it is missing, and removes the container it tries things in.
pub async fn doctor(found: &mut (dyn FnMut(&Line) + Send)) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut note = |line: Line| {
        found(&line);
        lines.push(line);
    };
    match daemon::connect().await {
        Err(error) => note(Line::fail("Docker daemon", format!("{error:#}"))),
        Ok(docker) => {
            for line in daemon(&docker).await {
                note(line);
            }
            for line in image_state(&docker).await {
                note(line);
            }
            let pod = images::ensure_one(&docker, Kind::Pod, Source::Auto, &|text| {
                tracing::info!("{text}")
            })
            .await;
            match pod {
                Ok((image, how)) => {
                    note(Line::ok("pod image", how));
                    for line in pod::examine(&docker, &image).await {
                        note(line);
                    }
                }
                Err(error) => note(Line::fail("pod image", format!("{error:#}"))),
            }
        }
    }
    for line in host::examine().await {
        note(line);
    }
    lines
}

async fn daemon(docker: &Docker) -> Vec<Line> {
    let mut lines = Vec::new();
    match docker.version().await {
        Ok(version) => lines.push(Line::ok(
            "Docker daemon",
            format!(
                "engine {}, API {} (speaking {}), kernel {}",
                version.version.unwrap_or_default(),
                version.api_version.unwrap_or_default(),
                docker.client_version(),
                version.kernel_version.unwrap_or_default(),
            ),
        )),
        Err(error) => lines.push(Line::fail("Docker daemon", error.to_string())),
    }
    match docker.info().await {
        Ok(info) => {
            let memory = u64::try_from(info.mem_total.unwrap_or_default()).unwrap_or_default();
            let text = format!(
                "{} CPUs, {:.1} GiB of memory, storage driver {}",
                info.ncpu.unwrap_or_default(),
                memory as f64 / f64::from(1 << 30),
                info.driver.unwrap_or_default(),
            );
            lines.push(if memory < 1 << 30 {
                Line::warn("machine", format!("{text}; five nodes want 1 GiB"))
            } else {
                Line::ok("machine", text)
            });
            if let Some(root) = info.docker_root_dir {
                lines.push(host::free_space("space for Docker", root.as_ref()).await);
            }
        }
        Err(error) => lines.push(Line::fail("machine", error.to_string())),
    }
    lines.push(match abandoned(docker).await {
        Ok(runs) if runs.is_empty() => Line::ok("leftovers", "none of dead harnesses"),
        Ok(runs) => Line::warn(
            "leftovers",
            format!("of {} (the next start, or `harness gc`, removes them)", runs.join(", ")),
        ),
        Err(error) => Line::warn("leftovers", format!("{error:#}")),
    });
    lines
}

async fn image_state(docker: &Docker) -> Vec<Line> {
    match images::status(docker).await {
        Ok(images) => images
            .into_iter()
            .map(|(image, exists)| {
                let state =
                    if exists { "is built and current" } else { "will be built when needed" };
                Line::ok("images", format!("{image} {state}"))
            })
            .collect(),
        Err(error) => vec![Line::fail("images", format!("{error:#}"))],
    }
}
