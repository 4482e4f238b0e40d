//! Plays a scenario on containers, and keeps the evidence in a run directory.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, anyhow};
use checker::{
    evidence::{self, Run},
    fault,
    verdict::Verdict,
};
use serde::{Deserialize, Serialize};

use super::{
    data::Scenario,
    drive::{Account, Nodes, StepAccount, drive},
    judge::{Role, Status},
    table, verdict,
};
use crate::{
    cluster::docker::{self, Cluster},
    images,
    nemesis::NodeId,
    plan::Storage,
    report,
    run::{directory, environment},
    system,
};

/// What to play, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The scenario.
    pub scenario: Scenario,
    /// The run directory; none: one below `results/`.
    pub out: Option<PathBuf>,
    /// First of the ports of 127.0.0.1 at which the nodes are reached; none: free ones.
    pub base_port: Option<u16>,
    /// Shortest election timeout of the nodes.
    pub election_timeout: Duration,
    /// Time between a leader's heartbeats.
    pub heartbeat_interval: Duration,
    /// Seed of the nodes' election timeouts.
    pub seed: u64,
    /// The command line, for `environment.json`.
    pub command: Vec<String>,
}

/// What became of a scenario that was judged.
#[derive(Debug)]
pub struct Finished {
    /// The run directory.
    pub directory: PathBuf,
    /// One row a step, for the terminal.
    pub table: String,
    /// The verdict on the steps, and on Raft's safety in the nodes' traces.
    pub verdict: Verdict,
    /// The page, or why there is none.
    pub page: Result<PathBuf, String>,
}

/// `scenario.json`: what was to be seen and what was.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// The scenario.
    pub scenario: Scenario,
    /// The nodes' shortest election timeout.
    #[serde(with = "humantime_serde")]
    pub election_timeout: Duration,
    /// Seed of the nodes' election timeouts.
    pub seed: u64,
    /// What became of each step.
    pub account: Account,
}

/// Plays a scenario, telling `say` a line when something begins or ends.
///
/// # Errors
/// The environment failed, or a signal ended it. The cluster is gone nevertheless, unless the error
/// says otherwise.
pub async fn play(settings: &Settings, say: &(dyn Fn(&str) + Sync)) -> Result<Finished> {
    let dir = directory::create(settings.out.as_deref(), &settings.scenario.name, settings.seed)?;
    let finished = tokio::select! {
        finished = uninterrupted(settings, &dir, say) => finished,
        // Dropping the other branch drops the cluster, which removes it.
        signal = docker::interrupted() => Err(match signal {
            Ok(signal) => anyhow!("stopped by {signal} before the scenario ended"),
            Err(error) => error,
        }),
    };
    if finished.is_err() {
        // Of no use while nothing is in it; with something in it, it stays.
        let _ = fs::remove_dir(&dir);
    }
    finished
}

async fn uninterrupted(
    settings: &Settings,
    dir: &Path,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Finished> {
    let scenario = &settings.scenario;
    let docker = docker::connect().await?;
    let images = images::ensure(&docker, images::Source::Auto, say).await?;
    say(&format!("Creating {} nodes, none of them started", scenario.nodes));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let options = docker::Options {
        run_id: format!("{:x}-{:x}-scenario", now.as_secs(), std::process::id()),
        nodes: usize::try_from(scenario.nodes)?,
        base_port: settings.base_port,
        election_timeout: settings.election_timeout,
        heartbeat_interval: settings.heartbeat_interval,
        seed: settings.seed,
        storage: Storage::Durable,
    };
    let cluster = Cluster::create(&docker, &images, &options).await?;
    let outcome = async {
        environment::write(dir, &docker, &images, &settings.command, None).await?;
        on_cluster(settings, dir, &cluster, say).await
    }
    .await;
    match (outcome, cluster.destroy().await) {
        (Ok(()), Ok(())) => {}
        (Ok(()), Err(left)) => return Err(left.context("cleaning up failed")),
        (Err(error), Ok(())) => return Err(error),
        (Err(error), Err(left)) => {
            return Err(error.context(format!("and cleaning up failed: {left:#}")));
        }
    }
    let verdict = check(dir)?;
    let record = load(dir)?;
    let page = report::write(dir).map_err(|error| format!("{error:#}"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let table = table::render(scenario, &record.account.steps, colours);
    Ok(Finished { directory: dir.to_owned(), table, verdict, page })
}

async fn on_cluster(
    settings: &Settings,
    dir: &Path,
    cluster: &Cluster,
    say: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    let nodes = Containers {
        cluster,
        nodes: cluster
            .nodes()
            .map(|node| system::Node::new(cluster.client_address(node)))
            .collect(),
    };
    let start = Instant::now();
    let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut account = Account::default();
    let driven =
        drive(&settings.scenario, &nodes, settings.election_timeout, &mut account, |_, steps| {
            if let Some(line) = steps.last().and_then(told) {
                say(&line);
            }
        })
        .await;
    let duration = start.elapsed();
    // In order, so that the traces end with a last word.
    futures::future::join_all(cluster.nodes().map(|node| async move {
        if cluster.state(node).await.is_ok_and(|state| state.running) {
            let _ = cluster.stop(node).await;
        }
    }))
    .await;
    let mut incomplete = cluster.collect(dir).await?;
    if let Err(error) = &driven {
        incomplete.push(format!("the scenario was cut short: {error:#}"));
    }
    let started: BTreeSet<NodeId> =
        account.steps.iter().filter(|step| !step.crashed).map(|step| step.node).collect();
    let mut run = Run {
        started: u64::try_from(epoch.as_nanos()).unwrap_or(u64::MAX),
        duration: u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
        nodes: usize::try_from(settings.scenario.nodes)?,
        never_started: cluster.nodes().filter(|node| !started.contains(node)).collect(),
        traced: true,
        incomplete,
        ..Run::default()
    };
    let mut faults = Vec::new();
    for record in crashes(&account.steps) {
        serde_json::to_writer(&mut faults, &record)?;
        faults.push(b'\n');
    }
    let record = Record {
        scenario: settings.scenario.clone(),
        election_timeout: settings.election_timeout,
        seed: settings.seed,
        account,
    };
    save(dir, "scenario.json", &(serde_json::to_string_pretty(&record)? + "\n"))?;
    save(dir, "faults.jsonl", &String::from_utf8_lossy(&faults))?;
    // No clients took part, which is not the same as a history that was lost.
    save(dir, "history.jsonl", "")?;
    // Last, as it lists the others.
    run.files = evidence::sizes(dir)?;
    save(dir, "run.json", &(serde_json::to_string_pretty(&run)? + "\n"))?;
    driven
}

fn save(dir: &Path, name: &str, text: &str) -> Result<()> {
    let path = dir.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn load(dir: &Path) -> Result<Record> {
    let path = dir.join("scenario.json");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

/// Whether a directory holds the evidence of a scenario.
pub fn is_scenario(dir: &Path) -> bool {
    dir.join("scenario.json").exists()
}

/// Judges the recorded evidence of a scenario (again), and writes `verdict.json`.
///
/// # Errors
/// The evidence is damaged or the verdict cannot be written.
pub fn check(dir: &Path) -> Result<Verdict> {
    let record = load(dir)?;
    let evidence = evidence::load(dir)?;
    let verdict = verdict::of(&record, &evidence);
    crate::run::save_verdict(dir, &verdict)?;
    Ok(verdict)
}

/// A line about the latest step; none while it is under way.
fn told(step: &StepAccount) -> Option<String> {
    let number = step.number;
    match (&step.failure, step.acted) {
        (Some(reason), _) => Some(format!("{number}. failed: {reason}")),
        (None, 0) => Some(format!("{number}. {} ({})", step.name, step.done)),
        (None, _) => None,
    }
}

/// The crashes in the words of `faults.jsonl`. A node that a later step starts again is healed.
fn crashes(steps: &[StepAccount]) -> Vec<fault::Record> {
    use fault::Phase::{Bitten, HealRequested, Healed, Installed, Requested};
    let mut records = Vec::new();
    for (number, crash) in steps.iter().filter(|step| step.crashed).enumerate() {
        let again = steps[crash.number..].iter().find(|s| !s.crashed && s.node == crash.node);
        let times = [(Requested, crash.began), (Installed, crash.acted), (Bitten, crash.acted)];
        let heal = again.into_iter().flat_map(|s| [(HealRequested, s.began), (Healed, s.acted)]);
        records.extend(times.into_iter().chain(heal).map(|(phase, time)| fault::Record {
            fault: number,
            time,
            phase,
            version: fault::Version,
            kind: fault::Kind::Kill,
            what: format!("in step {}", crash.number),
            nodes: vec![format!("n{}", crash.node)],
            links: Vec::new(),
            leader: None,
            severs_leader: false,
            observed: match phase {
                Bitten | Healed => {
                    fault::Observed { nodes: vec![format!("n{}", crash.node)], links: Vec::new() }
                }
                _ => fault::Observed::default(),
            },
            detail: match phase {
                Bitten => "the container is seen down".into(),
                _ => serde_json::Value::Null,
            },
        }));
    }
    records.sort_by_key(|record| (record.time, record.phase));
    records
}

/// A cluster of containers, as a scenario sees it.
struct Containers<'a> {
    cluster: &'a Cluster,
    /// n1 first.
    nodes: Vec<system::Node>,
}

impl Nodes for Containers<'_> {
    async fn start(&self, node: NodeId) -> Result<()> {
        self.cluster.start(node).await
    }

    async fn crash(&self, node: NodeId) -> Result<()> {
        self.cluster.kill(node).await
    }

    async fn status(&self, node: NodeId, patience: Duration) -> Option<Status> {
        let seen = self.nodes.get(node as usize - 1)?.inspect(patience).await.ok()?;
        let role = match seen.role {
            proto::inspect::Role::Follower => Role::Follower,
            proto::inspect::Role::Candidate => Role::Candidate,
            proto::inspect::Role::Leader => Role::Leader,
        };
        Some(Status { role, term: seen.term, leader: seen.leader })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(number: usize, node: NodeId, crashed: bool) -> StepAccount {
        StepAccount {
            number,
            name: String::new(),
            done: String::new(),
            node,
            crashed,
            began: number as u64 * 100,
            acted: number as u64 * 100 + 10,
            reached_ms: None,
            held_ms: None,
            leader: None,
            failure: None,
        }
    }

    #[test]
    fn a_crash_lasts_until_the_node_is_started_again() {
        use fault::Phase::{Bitten, HealRequested, Healed, Installed, Requested};
        let steps = [step(1, 1, false), step(2, 1, true), step(3, 2, true), step(4, 1, false)];
        let phases: Vec<_> = crashes(&steps).iter().map(|r| (r.fault, r.time, r.phase)).collect();
        assert_eq!(
            phases,
            [
                (0, 200, Requested),
                (0, 210, Installed),
                (0, 210, Bitten),
                (1, 300, Requested),
                (1, 310, Installed),
                (1, 310, Bitten),
                (0, 400, HealRequested),
                (0, 410, Healed),
            ]
        );
    }
}
