//! Plays a scenario on containers or in simulation, and keeps the evidence in a run directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, SystemTime},
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
    machine::{Account, Play, StepAccount},
    table, verdict,
};
use crate::{
    cluster::{
        docker::{self, Cluster, Collected, driver::Driver},
        in_process, sim,
    },
    daemon,
    exercise::Machine,
    images,
    nemesis::{Menu, NodeId},
    plan::{self, ClusterKind, Load, Plan, Storage, Timings, World},
    report,
    run::{directory, environment, files::Files, simulation},
    system::System,
    workload::{Workload, register},
};

/// What to play, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The scenario.
    pub scenario: Scenario,
    /// Where the nodes live.
    pub cluster: ClusterKind,
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
    match settings.cluster {
        ClusterKind::Docker => in_containers(settings, dir, say).await?,
        // On a thread that belongs to no runtime: whole servers bring their own.
        ClusterKind::Sim | ClusterKind::InProcess => std::thread::scope(|scope| {
            let played = scope.spawn(|| in_simulation(settings, dir, say)).join();
            played.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?,
    }
    let verdict = check(dir)?;
    let record = load(dir)?;
    let page = report::write(dir).map_err(|error| format!("{error:#}"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let table = table::render(&settings.scenario, &record.account.steps, colours);
    Ok(Finished { directory: dir.to_owned(), table, verdict, page })
}

async fn in_containers(settings: &Settings, dir: &Path, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let scenario = &settings.scenario;
    let docker = daemon::connect().await?;
    let system = System::raft_node();
    let images = images::ensure(&docker, images::Source::Auto, &system, false, say).await?;
    say(&format!("Creating {} nodes, none of them started", scenario.nodes));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let options = docker::Options {
        run_id: format!("{:x}-{:x}-scenario", now.as_secs(), std::process::id()),
        system,
        directory: None,
        nodes: usize::try_from(scenario.nodes)?,
        base_port: settings.base_port,
        election_timeout: settings.election_timeout,
        heartbeat_interval: settings.heartbeat_interval,
        limits: plan::Limits::default(),
        seed: settings.seed,
        storage: Storage::Durable,
        mutants: BTreeMap::new(),
    };
    let cluster = Arc::new(Cluster::create(&docker, &images, &options).await?);
    let outcome = async {
        let mut files = Files::new(dir);
        let made = environment::Made { run: None, command: &settings.command, ignored: None };
        environment::write(&mut files, &docker, &images, &made).await?;
        on_cluster(settings, files, &cluster, say).await
    }
    .await;
    match (outcome, cluster.destroy().await) {
        (Ok(()), Ok(())) => Ok(()),
        (Ok(()), Err(left)) => Err(left.context("cleaning up failed")),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(left)) => Err(error.context(format!("and cleaning up failed: {left:#}"))),
    }
}

async fn on_cluster(
    settings: &Settings,
    mut files: Files,
    cluster: &Arc<Cluster>,
    say: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut play = Play::new(&settings.scenario, settings.election_timeout);
    // No client takes part.
    let mut driver = Driver::new(cluster, Duration::from_secs(1));
    let mut duration = Duration::ZERO;
    while !play.is_over() {
        let what = driver.next().await;
        (duration, _) = driver.take(&mut play, what);
        play.take_lines().iter().for_each(|line| say(line));
    }
    let Collected { missing, sums } = cluster.collect(files.dir()).await;
    files.add(sums);
    let started = u64::try_from(epoch.as_nanos()).unwrap_or(u64::MAX);
    keep(settings, files, play, Run { started, duration: nanoseconds(duration), ..begun(missing) })
}

fn in_simulation(settings: &Settings, dir: &Path, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let plan = Plan::generate(plan::Options {
        system: System::raft_node(),
        cluster: settings.cluster,
        nodes: settings.scenario.nodes,
        seed: settings.seed,
        time: Duration::from_secs(1),
        interval: None,
        menu: Menu::default(),
        // No client takes part.
        workload: Workload::Register(register::Options::new(1)),
        load: Load::steady(1, 0, Duration::from_secs(1)),
        timings: Timings {
            election_timeout: settings.election_timeout,
            heartbeat_interval: settings.heartbeat_interval,
        },
        storage: Storage::Durable,
        world: World::default(),
    })?;
    let mut play = Play::new(&settings.scenario, settings.election_timeout);
    let stop = AtomicBool::new(false);
    let simulation = match settings.cluster {
        ClusterKind::InProcess => in_process::simulate_led(&plan, &mut play, &stop),
        ClusterKind::Sim | ClusterKind::Docker => sim::simulate_led(&plan, &mut play, &stop),
    };
    play.take_lines().iter().for_each(|line| say(line));
    let mut files = Files::new(dir);
    for (name, bytes) in simulation::files(&simulation.evidence)? {
        files.write(&name, &bytes)?;
    }
    let Run { incomplete, crashes, simulated, .. } = simulation.evidence.run;
    let duration = nanoseconds(simulation.virtual_time);
    keep(settings, files, play, Run { duration, crashes, simulated, ..begun(incomplete) })
}

/// A run of a system that writes traces.
fn begun(incomplete: Vec<String>) -> Run {
    Run { traced: true, incomplete, ..Run::default() }
}

/// Writes what a scenario leaves beside the nodes' traces.
fn keep(settings: &Settings, mut files: Files, play: Play<'_>, mut run: Run) -> Result<()> {
    let (account, error) = play.into_account();
    run.incomplete
        .extend(error.as_ref().map(|error| format!("the scenario was cut short: {error}")));
    let started: BTreeSet<NodeId> =
        account.steps.iter().filter(|step| !step.crashed).map(|step| step.node).collect();
    run.nodes = usize::try_from(settings.scenario.nodes)?;
    run.never_started =
        (1..=settings.scenario.nodes).filter(|node| !started.contains(node)).collect();
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
    files.json("scenario.json", &record)?;
    files.write("faults.jsonl", &faults)?;
    // No clients took part, which is not the same as a history that was lost.
    files.write("history.jsonl", b"")?;
    files.seal(&run)?;
    match error {
        Some(error) => Err(anyhow!(error)),
        None => Ok(()),
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
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
/// The evidence is damaged.
pub fn check(dir: &Path) -> Result<Verdict> {
    let record = load(dir)?;
    let evidence = evidence::load(dir)?;
    let verdict = verdict::of(&record, &evidence);
    crate::run::save_verdict(dir, &verdict);
    Ok(verdict)
}

/// The crashes in the words of `faults.jsonl`. A node that a later step starts again is healed.
fn crashes(steps: &[StepAccount]) -> Vec<fault::Record> {
    use fault::Phase::{Applied, Confirmed, HealRequested, Healed, Requested};
    let mut records = Vec::new();
    for (number, crash) in steps.iter().filter(|step| step.crashed).enumerate() {
        let again = steps[crash.number..].iter().find(|s| !s.crashed && s.node == crash.node);
        let times = [(Requested, crash.began), (Applied, crash.acted), (Confirmed, crash.acted)];
        let heal = again.into_iter().flat_map(|s| [(HealRequested, s.began), (Healed, s.acted)]);
        records.extend(times.into_iter().chain(heal).map(|(phase, time)| fault::Record {
            fault: number,
            time,
            phase,
            version: checker::version::Version,
            kind: fault::Kind::Kill,
            what: format!("in step {}", crash.number),
            nodes: vec![format!("n{}", crash.node)],
            links: Vec::new(),
            leader: None,
            severs_leader: false,
            observed: match phase {
                Confirmed | Healed => {
                    fault::Observed { nodes: vec![format!("n{}", crash.node)], links: Vec::new() }
                }
                _ => fault::Observed::default(),
            },
            detail: None,
        }));
    }
    records.sort_by_key(|record| (record.time, record.phase));
    records
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
        use fault::Phase::{Applied, Confirmed, HealRequested, Healed, Requested};
        let steps = [step(1, 1, false), step(2, 1, true), step(3, 2, true), step(4, 1, false)];
        let phases: Vec<_> = crashes(&steps).iter().map(|r| (r.fault, r.time, r.phase)).collect();
        assert_eq!(
            phases,
            [
                (0, 200, Requested),
                (0, 210, Applied),
                (0, 210, Confirmed),
                (1, 300, Requested),
                (1, 310, Applied),
                (1, 310, Confirmed),
                (0, 400, HealRequested),
                (0, 410, Healed),
            ]
        );
    }
}
