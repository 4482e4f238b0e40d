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
use checker::evidence::sums::{Digest, Hashing, Sums};
use futures::StreamExt;

use super::lifeline;
use crate::daemon::is_missing;

/// What was collected from a cluster, or from one of its nodes.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// What could not be collected, in sentences.
    pub missing: Vec<String>,
    /// The digests of the files, taken while they were written.
    pub sums: Sums,
}

impl Collected {
    /// All of these.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for Self { missing, sums } in parts {
            all.missing.extend(missing);
            all.sums.0.extend(sums.0);
        }
        all
    }
}

/// Copies the log of a node (`n1`), and its trace if it writes one, out of its container into a run
/// directory, which has folders for them. A sentence for each that is missing.
pub(super) async fn evidence(
    docker: &Docker,
    container: &str,
    trace_inside: Option<&str>,
    node: &str,
    directory: &Path,
) -> Collected {
    let mut collected = Collected::default();
    let Collected { missing, sums: Sums(sums) } = &mut collected;
    let (trace, log) = (format!("trace/{node}.jsonl"), format!("logs/{node}.log"));
    let (to_trace, to_log) = (directory.join(&trace), directory.join(&log));
    let copied = async {
        match trace_inside {
            Some(path) => Some(file(docker, container, path, &to_trace).await),
            None => None,
        }
    };
    let (trace_found, log_found) = tokio::join!(copied, self::log(docker, container, &to_log));
    match trace_found {
        None => {}
        Some(Ok(Some(digest))) => drop(sums.insert(trace, digest)),
        Some(Ok(None)) => missing.push(format!("{node} wrote no trace")),
        Some(Err(error)) => {
            missing.push(format!("the trace of {node}: {}", lifeline::in_words(&error)))
        }
    }
    match log_found {
        Ok(digest) => drop(sums.insert(log, digest)),
        Err(error) => missing.push(format!("the log of {node}: {}", lifeline::in_words(&error))),
    }
    collected
}

/// Copies one file out of a container, running, paused or stopped, and gives its digest; `None` if
/// the container has no such file.
pub(super) async fn file(
    docker: &Docker,
    container: &str,
    path: &str,
    to: &Path,
) -> Result<Option<Digest>> {
    // The daemon sends a tar archive with one file in it.
    let mut archive = tempfile::tempfile().context("making a temporary file")?;
    let options = DownloadFromContainerOptions { path: path.to_owned() };
    let mut chunks = docker.download_from_container(container, Some(options));
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => archive.write_all(&chunk).context("writing to a temporary file")?,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("copying {container}:{path}")),
        }
    }
    let target = to.to_owned();
    tokio::task::spawn_blocking(move || -> Result<Option<Digest>> {
        archive.seek(SeekFrom::Start(0))?;
        unpack(std::io::BufReader::new(archive), &target)
    })
    .await?
    .with_context(|| format!("unpacking {container}:{path} to {}", to.display()))
}

/// Unpacks an archive's only file, whole or not at all; `None` if the archive is empty.
fn unpack(archive: impl Read, target: &Path) -> Result<Option<Digest>> {
    let mut archive = tar::Archive::new(archive);
    let Some(entry) = archive.entries()?.next() else { return Ok(None) };
    let mut entry = entry?;
    let size = entry.size();
    let mut file = Hashing::new(fs::File::create(target)?);
    let copied = std::io::copy(&mut entry, &mut file);
    if !copied.as_ref().is_ok_and(|copied| *copied == size) {
        // Part of a trace is worse than none: it claims that what it lacks did not happen.
        fs::remove_file(target)?;
        bail!("only {} of {size} bytes arrived", copied?);
    }
    Ok(Some(file.digest()))
}

/// Writes all that a container printed, each line with its time, and gives the file's digest.
pub(super) async fn log(docker: &Docker, container: &str, to: &Path) -> Result<Digest> {
    let file = fs::File::create(to).with_context(|| format!("creating {}", to.display()))?;
    let mut target = std::io::BufWriter::new(Hashing::new(file));
    let options =
        LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).tail("all").build();
    let mut lines = docker.logs(container, Some(options));
    while let Some(line) = lines.next().await {
        let line = line.with_context(|| format!("reading the log of {container}"))?;
        target.write_all(line.as_ref()).with_context(|| format!("writing {}", to.display()))?;
    }
    let file = target.into_inner();
    let file = file.map_err(|error| anyhow!("writing {}: {error}", to.display()))?;
    Ok(file.digest())
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
        let digest = unpack(archive.as_slice(), &target).unwrap();
        assert_eq!(digest, Some(Digest::of(&[b'x'; 2000])));
        assert_eq!(fs::metadata(&target).unwrap().len(), 2000);
        assert_eq!(unpack(&[][..], &target).unwrap(), None);
        let error = unpack(&archive[..1024], &target).unwrap_err().to_string();
        assert_eq!(error, "only 512 of 2000 bytes arrived");
        assert!(!target.exists());
    }
}
