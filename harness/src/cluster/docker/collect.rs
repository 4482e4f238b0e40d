//! Evidence out of the containers: traces, logs, what the pods were told.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context, Result, anyhow};
use bollard::{
    Docker,
    query_parameters::{DownloadFromContainerOptions, LogsOptionsBuilder},
};
use futures::StreamExt;

use super::daemon::is_missing;

/// Copies one file out of a container, running, paused or stopped. Gives false when the container
/// has no such file.
pub(super) async fn file(docker: &Docker, container: &str, path: &str, to: &Path) -> Result<bool> {
    // The daemon sends a tar archive with one file in it.
    let mut archive = tempfile::tempfile().context("making a temporary file")?;
    let options = DownloadFromContainerOptions { path: path.to_owned() };
    let mut chunks = docker.download_from_container(container, Some(options));
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => archive.write_all(&chunk).context("writing to a temporary file")?,
            Err(error) if is_missing(&error) => return Ok(false),
            Err(error) => return Err(error).with_context(|| format!("copying {container}:{path}")),
        }
    }
    let target = to.to_owned();
    tokio::task::spawn_blocking(move || -> Result<bool> {
        archive.seek(SeekFrom::Start(0))?;
        let mut archive = tar::Archive::new(std::io::BufReader::new(archive));
        let Some(entry) = archive.entries()?.next() else { return Ok(false) };
        let mut target = fs::File::create(&target)?;
        std::io::copy(&mut entry?, &mut target)?;
        Ok(true)
    })
    .await?
    .with_context(|| format!("unpacking {container}:{path} to {}", to.display()))
}

/// Writes all that a container printed, each line with its time.
pub(super) async fn log(docker: &Docker, container: &str, to: &Path) -> Result<()> {
    let mut target = std::io::BufWriter::new(
        fs::File::create(to).with_context(|| format!("creating {}", to.display()))?,
    );
    let options =
        LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).tail("all").build();
    let mut lines = docker.logs(container, Some(options));
    while let Some(line) = lines.next().await {
        let line = line.with_context(|| format!("reading the log of {container}"))?;
        target.write_all(line.as_ref()).with_context(|| format!("writing {}", to.display()))?;
    }
    target.flush().map_err(|error| anyhow!("writing {}: {error}", to.display()))
}

/// The last lines that a container printed.
pub(super) async fn tail(docker: &Docker, container: &str, lines: usize) -> Result<String> {
    let options =
        LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
    let mut text = String::new();
    let mut chunks = docker.logs(container, Some(options));
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.with_context(|| format!("reading the log of {container}"))?;
        text.push_str(&String::from_utf8_lossy(chunk.as_ref()));
    }
    Ok(text)
}
