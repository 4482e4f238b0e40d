//! Removal: of one run, of what dead harnesses left, of all that carries our label.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bollard::{
    Docker,
    errors::Error,
    query_parameters::{
        ListContainersOptions, ListNetworksOptions, ListVolumesOptions, RemoveContainerOptions,
        RemoveVolumeOptions,
    },
};
use futures::future::join_all;

use super::{label, rescue};
use crate::daemon::{is_conflict, is_missing};

/// Attempts at removing a run, a tenth of a second apart.
const ATTEMPTS: usize = 100;

/// Names of what was removed, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Containers.
    pub containers: Vec<String>,
    /// Networks.
    pub networks: Vec<String>,
    /// Volumes.
    pub volumes: Vec<String>,
    /// Directories of killed runs into which traces and logs were copied first.
    pub saved: Vec<PathBuf>,
}

impl Removed {
    /// Whether there was nothing to remove.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

impl std::fmt::Display for Removed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        write!(
            f,
            "{}, {} and {}",
            plural(self.containers.len(), "container"),
            plural(self.networks.len(), "network"),
            plural(self.volumes.len(), "volume")
        )?;
        for directory in &self.saved {
            write!(f, "; traces and logs of a killed run are now in {}", directory.display())?;
        }
        Ok(())
    }
}

/// Removes what harnesses left behind that have certainly ended (on this machine, by process id,
/// start time and boot). Runs of living ones, in this process or another, are left alone.
///
/// # Errors
///
/// The daemon fails, or something could not be removed.
pub async fn gc(docker: &Docker) -> Result<Removed> {
    collect_garbage(docker, label::owner_is_dead).await
}

/// Removes everything that carries our label, runs in progress included.
///
/// # Errors
///
/// The daemon fails, or something could not be removed.
pub async fn gc_all(docker: &Docker) -> Result<Removed> {
    collect_garbage(docker, |_| true).await
}

/// Ids of the runs that [`gc()`] would remove, ascending.
///
/// # Errors
///
/// The daemon fails.
pub async fn abandoned(docker: &Docker) -> Result<Vec<String>> {
    runs(docker, label::owner_is_dead).await
}

async fn runs(
    docker: &Docker,
    doomed: impl Fn(&HashMap<String, String>) -> bool,
) -> Result<Vec<String>> {
    let belongings = list(docker, None).await?;
    let runs: BTreeSet<&String> = belongings
        .all()
        .filter(|(_, labels)| doomed(labels))
        .filter_map(|(_, labels)| labels.get(label::RUN))
        .collect();
    Ok(runs.into_iter().cloned().collect())
}

async fn collect_garbage(
    docker: &Docker,
    doomed: impl Fn(&HashMap<String, String>) -> bool,
) -> Result<Removed> {
    let mut removed = Removed::default();
    for run in runs(docker, doomed).await? {
        removed.saved.extend(rescue::rescue(docker, &run).await);
        let more = remove(docker, &run).await?;
        removed.containers.extend(more.containers);
        removed.networks.extend(more.networks);
        removed.volumes.extend(more.volumes);
    }
    Ok(removed)
}

/// Names and labels of things that carry our label.
struct Belongings {
    containers: BTreeMap<String, HashMap<String, String>>,
    networks: BTreeMap<String, HashMap<String, String>>,
    volumes: BTreeMap<String, HashMap<String, String>>,
}

impl Belongings {
    fn all(&self) -> impl Iterator<Item = (&String, &HashMap<String, String>)> {
        self.containers.iter().chain(&self.networks).chain(&self.volumes)
    }
}

async fn list(docker: &Docker, run: Option<&str>) -> Result<Belongings> {
    let filters = Some(label::filter(run));
    let (containers, networks, volumes) = tokio::try_join!(
        docker.list_containers(Some(ListContainersOptions {
            all: true,
            filters: filters.clone(),
            ..Default::default()
        })),
        docker.list_networks(Some(ListNetworksOptions { filters: filters.clone() })),
        docker.list_volumes(Some(ListVolumesOptions { filters })),
    )
    .context("asking the Docker daemon what carries our label")?;
    let name = |names: Option<Vec<String>>, id: Option<String>| {
        names
            .and_then(|names| names.into_iter().next())
            .map(|name| name.trim_start_matches('/').to_owned())
            .or(id)
    };
    Ok(Belongings {
        containers: containers
            .into_iter()
            .filter_map(|c| Some((name(c.names, c.id)?, c.labels.unwrap_or_default())))
            .collect(),
        networks: networks
            .into_iter()
            .filter_map(|n| Some((n.name?, n.labels.unwrap_or_default())))
            .collect(),
        volumes: volumes
            .volumes
            .unwrap_or_default()
            .into_iter()
            .map(|v| (v.name, v.labels))
            .collect(),
    })
}

/// Removes everything of one run, in parallel. Done twice or by two at once, it does no harm.
///
/// # Errors
///
/// The daemon fails, or something is still there after several attempts.
pub(super) async fn remove(docker: &Docker, run: &str) -> Result<Removed> {
    let mut removed = Removed::default();
    let mut trouble = Vec::new();
    // A container that another process is removing, or a network whose last endpoint is just
    // leaving, is a conflict that passes.
    for attempt in 0..ATTEMPTS {
        let belongings = list(docker, Some(run)).await?;
        if belongings.all().next().is_none() {
            removed.containers.sort();
            return Ok(removed);
        }
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        trouble.clear();
        let outcomes = join_all(belongings.containers.into_keys().map(|name| async move {
            // Removes anonymous volumes too; SIGKILL, as nothing is to be saved.
            let options = RemoveContainerOptions { v: true, force: true, ..Default::default() };
            let outcome = docker.remove_container(&name, Some(options)).await;
            (name, outcome)
        }))
        .await;
        note(outcomes, &mut removed.containers, &mut trouble);
        let (networks, volumes) = tokio::join!(
            join_all(belongings.networks.into_keys().map(|name| async move {
                let outcome = docker.remove_network(&name).await;
                (name, outcome)
            })),
            join_all(belongings.volumes.into_keys().map(|name| async move {
                let options = RemoveVolumeOptions { force: true };
                let outcome = docker.remove_volume(&name, Some(options)).await;
                (name, outcome)
            })),
        );
        note(networks, &mut removed.networks, &mut trouble);
        note(volumes, &mut removed.volumes, &mut trouble);
    }
    bail!(
        "could not remove all of run {run}: {}. Run `harness gc --all` later, or remove what \
         `docker ps -a --filter label={}={run}` lists by hand",
        trouble.join("; "),
        label::RUN
    )
}

fn note(
    outcomes: Vec<(String, Result<(), Error>)>,
    removed: &mut Vec<String>,
    trouble: &mut Vec<String>,
) {
    for (name, outcome) in outcomes {
        match outcome {
            Ok(()) => removed.push(name),
            Err(error) if is_missing(&error) => {}
            Err(error) => {
                if !is_conflict(&error) {
                    tracing::debug!("removing {name}: {error}");
                }
                trouble.push(format!("{name}: {error}"));
            }
        }
    }
}
