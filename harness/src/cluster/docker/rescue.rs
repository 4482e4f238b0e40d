//! What a killed harness had not collected yet: the traces and logs of its nodes, which are in its
//! containers. They are copied into the run directory before the containers are removed.
//!
//! A label names the directory. Anybody who may use the daemon may set labels, so the directory
//! must agree: it says that it belongs to this run, and that the run has not come to its end.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::{
    Docker,
    query_parameters::{ListContainersOptions, StopContainerOptions},
};
use checker::evidence::Run;
use futures::future::join_all;
use serde_json::Value;

use super::{collect, label};

/// Longest wait for the evidence of one run.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node's container.
struct Left {
    node: String,
    container: String,
    /// Where in the container its trace is, if it writes one.
    trace: Option<String>,
    directory: PathBuf,
}

/// Saves the evidence of a run whose harness is dead; the directory, if there was something to do.
pub(super) async fn rescue(docker: &Docker, run: &str) -> Option<PathBuf> {
    let left: Vec<Left> = nodes(docker, run).await?;
    let directory = left.first()?.directory.clone();
    if !is_of(&directory, run) {
        return None;
    }
    let saved = join_all(left.iter().map(|left| save(docker, left, &directory)));
    let missing = match tokio::time::timeout(PATIENCE, saved).await {
        Ok(missing) => missing.concat(),
        Err(_) => vec![format!("not all was collected within {PATIENCE:?}")],
    };
    if let Err(error) = add(&directory, missing) {
        tracing::warn!("{}: {error:#}", directory.display());
    }
    Some(directory)
}

async fn nodes(docker: &Docker, run: &str) -> Option<Vec<Left>> {
    let filters = Some(label::filter(Some(run)));
    let options = ListContainersOptions { all: true, filters, ..Default::default() };
    let containers = docker.list_containers(Some(options)).await.ok()?;
    let left = containers.into_iter().filter_map(|container| {
        let labels = container.labels?;
        if !label::owner_is_dead(&labels) {
            return None;
        }
        let node = labels.get(label::NODE)?;
        // It becomes the name of a file.
        let number: u64 = node.strip_prefix('n')?.parse().ok()?;
        let directory = PathBuf::from(labels.get(label::DIRECTORY)?);
        let trace = labels.get(label::TRACE).cloned();
        Some(Left { node: format!("n{number}"), container: container.id?, trace, directory })
    });
    Some(left.collect())
}

/// Whether a directory is that of a run which did not come to its end.
fn is_of(directory: &Path, run: &str) -> bool {
    let unfinished = read_run(directory).is_ok_and(|run| run.unfinished);
    let environment = fs::read(directory.join("environment.json")).unwrap_or_default();
    let environment: Value = serde_json::from_slice(&environment).unwrap_or_default();
    unfinished && environment.get("run").and_then(Value::as_str) == Some(run)
}

fn read_run(directory: &Path) -> anyhow::Result<Run> {
    Ok(serde_json::from_slice(&fs::read(directory.join("run.json"))?)?)
}

/// Stops a node, as a trace that grows while it is copied contradicts others, and copies what it
/// left. Returns a sentence for each thing that is missing. Digests bind nothing here: that the run
/// was killed says its `run.json`, which lets it not be green.
async fn save(docker: &Docker, left: &Left, directory: &Path) -> Vec<String> {
    let trace = directory.join("trace").join(format!("{}.jsonl", left.node));
    let log = directory.join("logs").join(format!("{}.log", left.node));
    // The log is begun before the trace is whole.
    if if left.trace.is_some() { trace.exists() } else { log.exists() } {
        return Vec::new();
    }
    for path in [&trace, &log] {
        if let Some(parent) = path.parent()
            && let Err(error) = fs::create_dir_all(parent)
        {
            return vec![format!("cannot create {}: {error}", parent.display())];
        }
    }
    // Neither a node that is not paused nor one that has ended is an error.
    let _ = docker.unpause_container(&left.container).await;
    let options = StopContainerOptions { t: Some(5), signal: None };
    if let Err(error) = docker.stop_container(&left.container, Some(options)).await {
        tracing::debug!("stopping {}: {error}", left.node);
    }
    let trace = left.trace.as_deref();
    collect::evidence(docker, &left.container, trace, &left.node, directory).await.missing
}

/// Adds what is missing to what the run says of itself.
fn add(directory: &Path, missing: Vec<String>) -> anyhow::Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let mut run = read_run(directory)?;
    run.incomplete.extend(missing);
    let text = serde_json::to_string_pretty(&run)? + "\n";
    Ok(fs::write(directory.join("run.json"), text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_that_says_so_belongs_to_a_run() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            fs::write(directory.path().join(name), text).unwrap();
        };
        let run =
            |unfinished| serde_json::to_string(&Run { unfinished, ..Run::default() }).unwrap();
        assert!(!is_of(directory.path(), "a"), "it is empty");
        write("run.json", run(true));
        assert!(!is_of(directory.path(), "a"), "it does not say whose it is");
        write("environment.json", r#"{"run":"a"}"#.to_owned());
        assert!(is_of(directory.path(), "a"));
        assert!(!is_of(directory.path(), "b"), "it is another's");
        write("run.json", run(false));
        assert!(!is_of(directory.path(), "a"), "the run came to its end");
    }
}
