//! Evidence out of the containers: traces, logs, what the pods were told.

use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context, Result, anyhow, bail};
use bollard::{
    Docker,
    query_parameters::{DownloadFromContainerOptions, LogsOptionsBuilder},
};
use futures::StreamExt;

use super::{lifeline, node::TRACE};
use crate::daemon::is_missing;

/// Where what a node left goes.
pub(super) struct Evidence<'a> {
    /// The node, as sentences name it.
    pub(super) name: &'a str,
    pub(super) trace: &'a Path,
    pub(super) log: &'a Path,
}

/// Copies a node's trace and log out of its container. Returns a sentence for each that is missing.
pub(super) async fn evidence(docker: &Docker, container: &str, to: &Evidence<'_>) -> Vec<String> {
    let Evidence { name, trace, log: text } = to;
    let (trace, log) =
        tokio::join!(file(docker, container, TRACE, trace), log(docker, container, text));
    let trace = match trace {
        Ok(true) => None,
        Ok(false) => Some(format!("{name} wrote no trace")),
        Err(error) => Some(format!("the trace of {name}: {}", lifeline::in_words(&error))),
    };
    let log = log.err().map(|error| format!("the log of {name}: {}", lifeline::in_words(&error)));
    trace.into_iter().chain(log).collect()
}

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
        unpack(std::io::BufReader::new(archive), &target)
    })
    .await?
    .with_context(|| format!("unpacking {container}:{path} to {}", to.display()))
}

/// Unpacks an archive's only file, whole or not at all; false where the archive is empty.
fn unpack(archive: impl Read, target: &Path) -> Result<bool> {
    let mut archive = tar::Archive::new(archive);
    let Some(entry) = archive.entries()?.next() else { return Ok(false) };
    let mut entry = entry?;
    let size = entry.size();
    let copied = std::io::copy(&mut entry, &mut fs::File::create(target)?);
    if !copied.as_ref().is_ok_and(|copied| *copied == size) {
        // Part of a trace is worse than none: it claims that what it lacks did not happen.
        fs::remove_file(target)?;
        bail!("only {} of {size} bytes arrived", copied?);
    }
    Ok(true)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_file_is_none() {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2000);
        archive.append_data(&mut header, "trace.jsonl", [b'x'; 2000].as_slice()).unwrap();
        let archive = archive.into_inner().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("n1.jsonl");
        assert!(unpack(archive.as_slice(), &target).unwrap());
        assert_eq!(fs::metadata(&target).unwrap().len(), 2000);
        assert!(!unpack(&[][..], &target).unwrap());
        let error = unpack(&archive[..1024], &target).unwrap_err().to_string();
        assert_eq!(error, "only 512 of 2000 bytes arrived");
        assert!(!target.exists());
    }
}
