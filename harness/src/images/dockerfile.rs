//! Images by Dockerfile, built by the daemon from base images of a registry.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use bollard::{
    Docker, body_full,
    query_parameters::{BuildImageOptions, CreateImageOptions},
};
use futures::StreamExt;

use super::{HOW as HOW_LABEL, KIND, Kind, source::Workspace};
use crate::daemon::is_missing;

/// How these images came to be.
pub const HOW: &str = "built by Dockerfile from a registry's base images";

/// A registry that is there says something within this time; one that is not usually fails at
/// once, but a firewall may swallow packets.
const FIRST_WORD: Duration = Duration::from_secs(8);

/// Lines of a failed build's output that go into the error.
const TAIL: usize = 15;

/// The images that the Dockerfiles start from: their build arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bases {
    /// A Debian, of which both images are made.
    pub base: String,
    /// A Rust compiler whose binaries run on `base`.
    pub rust: String,
}

impl Bases {
    /// The defaults, or those in `RAFT_LAB_BASE_IMAGE` and `RAFT_LAB_RUST_IMAGE`, for who uses a
    /// mirror or has images of their own.
    pub fn from_environment() -> Self {
        let variable = |name: &str, default: &str| {
            std::env::var(name).ok().filter(|v| !v.is_empty()).unwrap_or_else(|| default.to_owned())
        };
        Self {
            base: variable("RAFT_LAB_BASE_IMAGE", "debian:bookworm-slim"),
            rust: variable("RAFT_LAB_RUST_IMAGE", "rust:1.95-bookworm"),
        }
    }

    /// Pulls what is not here.
    pub(super) async fn fetch(
        &self,
        docker: &Docker,
        kind: Kind,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<()> {
        pull(docker, &self.base, say).await?;
        if kind != Kind::Pod {
            pull(docker, &self.rust, say).await?;
        }
        Ok(())
    }
}

/// Pulls an image that is not here.
pub(super) async fn pull(docker: &Docker, image: &str, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    match docker.inspect_image(image).await {
        Ok(_) => return Ok(()),
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(error).with_context(|| format!("looking for {image}")),
    }
    let options = CreateImageOptions { from_image: Some(image.to_owned()), ..Default::default() };
    let mut events = docker.create_image(Some(options), None, None);
    let mut first = true;
    loop {
        let event = if first {
            tokio::time::timeout(FIRST_WORD, events.next()).await.map_err(|_| {
                anyhow!("no registry answered within {} s for {image}", FIRST_WORD.as_secs())
            })?
        } else {
            events.next().await
        };
        match event {
            None => return Ok(()),
            Some(event) => {
                event.with_context(|| format!("pulling {image}"))?;
            }
        }
        if first {
            say(&format!("pulling {image}"));
        }
        first = false;
    }
}

/// Builds an image by its Dockerfile and gives it the tag `image`.
///
/// # Errors
///
/// A source cannot be read, or a step of the build fails; the error ends with its output.
pub async fn build(
    docker: &Docker,
    workspace: &Workspace,
    kind: Kind,
    image: &str,
    bases: &Bases,
) -> Result<()> {
    let context = context(workspace, kind)?;
    let mut arguments = HashMap::from([("BASE".to_owned(), bases.base.clone())]);
    if kind != Kind::Pod {
        arguments.insert("RUST".into(), bases.rust.clone());
        arguments.insert("FEATURES".into(), kind.features().into());
    }
    let file = format!("docker/{}", kind.dockerfile());
    let options = BuildImageOptions { buildargs: Some(arguments), ..options(&file, image, kind) };
    run(docker, options, context).await
}

/// Builds an image from a context, by the Dockerfile in it, and gives it the tag `image`.
///
/// # Errors
///
/// As [`build`].
pub(super) async fn build_context(
    docker: &Docker,
    file: &str,
    image: &str,
    kind: Kind,
    context: Vec<u8>,
) -> Result<()> {
    run(docker, options(file, image, kind), context).await
}

fn options(file: &str, image: &str, kind: Kind) -> BuildImageOptions {
    BuildImageOptions {
        dockerfile: file.to_owned(),
        t: Some(image.to_owned()),
        rm: true,
        forcerm: true,
        labels: Some(HashMap::from([
            (KIND.to_owned(), kind.name().to_owned()),
            (HOW_LABEL.to_owned(), HOW.to_owned()),
        ])),
        ..Default::default()
    }
}

async fn run(docker: &Docker, options: BuildImageOptions, context: Vec<u8>) -> Result<()> {
    let mut output = String::new();
    let mut events = docker.build_image(options, None, Some(body_full(context.into())));
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                output.push_str(&event.stream.unwrap_or_default());
                if let Some(message) = event.error_detail.and_then(|detail| detail.message) {
                    bail!("{message}; its output ended with:\n{}", tail(&output));
                }
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("the output ended with:\n{}", tail(&output)));
            }
        }
    }
    Ok(())
}

fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// The build's context: the image's inputs and nothing else, as a tar archive.
fn context(workspace: &Workspace, kind: Kind) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in workspace.files(kind)? {
        archive
            .append_path_with_name(workspace.root().join(&file), &file)
            .with_context(|| format!("reading {}", file.display()))?;
    }
    Ok(archive.into_inner()?)
}
