//! A cluster of containers on this machine.
//!
//! Rules in a container's network namespace vanish when the container is killed and started
//! again: a partition would silently heal. Therefore each node is two containers:
//!
//! - the **pod** owns the network namespace. It holds `iptables`, a shell and the capability
//!   `NET_ADMIN`, sleeps, and lives as long as the cluster;
//! - the **node** joins the pod's namespace. It has no capability, no root, a read-only root file
//!   system and its data on a volume. It is killed, paused and started again at will.
//!
//! Faults are the kernel's own: SIGKILL, the freezer, and packets dropped by iptables ([`rules`]
//! says where and why). The harness steers pods through long-lived shells.
//!
//! Everything carries the run's label and is removed when the [`Cluster`] is destroyed or dropped;
//! [`gc()`] removes what a killed harness left. No root is needed, only access to the daemon.
//!
//! Caveat: the daemon must be on this machine, as clients reach nodes through ports of 127.0.0.1.

mod collect;
pub mod driver;
mod gc;
mod guard;
pub mod hands;
mod label;
mod lifeline;
mod network;
mod node;
mod options;
mod pod;
mod rescue;
mod rules;
mod sandbox;
mod shell;

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, anyhow, ensure};
use bollard::{
    Docker,
    query_parameters::{
        InspectContainerOptions, KillContainerOptions, StartContainerOptions, StopContainerOptions,
    },
};
use checker::evidence::sums::Digest;
use futures::future::{join_all, try_join_all};
use tokio::sync::Mutex;

pub use collect::Collected;
pub use gc::{Removed, abandoned, gc, gc_all};
pub use guard::interrupted;
pub use label::{OWNER, RUN};
pub use lifeline::DaemonLost;
pub use options::Options;
pub use rules::Counter;

pub(crate) use sandbox::Sandbox;

use self::{
    guard::Guard,
    lifeline::Lifeline,
    network::Subnet,
    pod::{Pod, Published},
};
use crate::{
    daemon,
    images::Images,
    nemesis::{Link, NodeId},
    system::System,
};

/// A node's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerState {
    /// Its process exists; true also while paused.
    pub running: bool,
    /// It is frozen.
    pub paused: bool,
    /// How its last process ended: 137 after SIGKILL. `None` while it runs or before its first
    /// start.
    pub exit_code: Option<i64>,
    /// The kernel killed it for lack of memory.
    pub out_of_memory: bool,
    /// When its last process was started.
    pub started_at: Option<SystemTime>,
    /// When its last process ended.
    pub finished_at: Option<SystemTime>,
}

/// What [`Cluster::install`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The dropping rules, as a person would type them, by node.
    pub rules: Vec<String>,
    /// Time between the first and the last pod's confirmation: for so long the cut was partial.
    pub skew: Duration,
}

/// A cluster of containers. Dropped, it removes everything it created.
pub struct Cluster {
    docker: Docker,
    options: Options,
    subnet: Subnet,
    pods: BTreeMap<NodeId, Pod>,
    /// Links of the cuts in force.
    cuts: Mutex<BTreeMap<u64, Vec<Link>>>,
    lifeline: Lifeline,
    guard: Guard,
}

impl Cluster {
    /// Creates network, volumes and containers. The pods run and their shells are open; the nodes
    /// are created but not started. First removes what dead harnesses left.
    ///
    /// # Errors
    ///
    /// Options out of range, a port in use (the sentence names it), or the daemon fails. Nothing
    /// is left behind.
    pub async fn create(docker: &Docker, images: &Images, options: &Options) -> Result<Self> {
        options.check()?;
        let left = gc(docker).await?;
        if !left.is_empty() {
            tracing::info!("removed what an earlier run left behind: {left}");
            for directory in &left.saved {
                let directory = directory.display();
                tracing::warn!("traces and logs of a killed run are now in {directory}");
            }
        }
        let guard = Guard::new(&options.run_id);
        match Self::build(docker, images, options).await {
            Ok((subnet, pods)) => {
                guard.created();
                Ok(Self {
                    docker: docker.clone(),
                    options: options.clone(),
                    subnet,
                    pods,
                    cuts: Mutex::default(),
                    lifeline: Lifeline::of(docker),
                    guard,
                })
            }
            Err(error) => {
                guard
                    .remove(docker)
                    .await
                    .with_context(|| format!("cleaning up after: {error:#}"))?;
                Err(error)
            }
        }
    }

    async fn build(
        docker: &Docker,
        images: &Images,
        options: &Options,
    ) -> Result<(Subnet, BTreeMap<NodeId, Pod>)> {
        let network = options.network();
        let subnet = network::create(docker, &network, &options.run_id).await?;
        let (network, options) = (&network, options);
        // Waits for all, also when one fails: a request that is given up is carried out all the
        // same, and would create something after the cleaning up.
        let pods = join_all((1..=options.nodes as NodeId).map(|node| async move {
            let inside = options.system.description().node.port;
            let port = Published { inside, outside: options.client_port(node) };
            let name = options.pod(node);
            let address = subnet.node(node);
            pod::create(docker, &images.pod, &name, network, address, port, &options.run_id)
                .await?;
            // The node is created while the pod's shells open; it needs to know the pod's port.
            let client_address = pod::start(docker, &name, port).await?;
            let (pod, created) = tokio::join!(
                Pod::open(docker, &name, address, client_address),
                node::create(docker, images, options, subnet, node, client_address),
            );
            created?;
            anyhow::Ok((node, pod?))
        }))
        .await;
        Ok((subnet, pods.into_iter().collect::<Result<_>>()?))
    }

    /// The nodes, ascending.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        1..=self.options.nodes as NodeId
    }

    /// The name of the cluster's Docker network.
    pub fn network(&self) -> String {
        self.options.network()
    }

    /// What its nodes are.
    pub fn system(&self) -> &System {
        &self.options.system
    }

    /// Where clients on this machine reach a node.
    ///
    /// # Panics
    ///
    /// On a node that the cluster does not have.
    pub fn client_address(&self, node: NodeId) -> SocketAddr {
        self.pods[&node].client_address
    }

    /// Where peers reach a node.
    pub fn peer_address(&self, node: NodeId) -> Ipv4Addr {
        self.subnet.node(node)
    }

    /// Starts a node that does not run. Returns once its process exists, not once it serves.
    ///
    /// # Errors
    ///
    /// The daemon cannot start it.
    pub async fn start(&self, node: NodeId) -> Result<()> {
        self.docker
            .start_container(&self.container(node)?, None::<StartContainerOptions>)
            .await
            .with_context(|| format!("starting n{node}"))
    }

    /// Asks a node to end (SIGTERM) and waits until it has; kills it after seven seconds, before
    /// the request itself has taken too long.
    ///
    /// # Errors
    ///
    /// The daemon fails.
    pub async fn stop(&self, node: NodeId) -> Result<()> {
        let options = StopContainerOptions { t: Some(7), signal: None };
        self.docker
            .stop_container(&self.container(node)?, Some(options))
            .await
            .with_context(|| format!("stopping n{node}"))
    }

    /// Kills a node with SIGKILL, paused or not; returns once it is seen down. A node that is down
    /// already stays so.
    ///
    /// # Errors
    ///
    /// The daemon fails, or the node is still there after ten seconds.
    pub async fn kill(&self, node: NodeId) -> Result<()> {
        let options = KillContainerOptions { signal: "SIGKILL".into() };
        match self.docker.kill_container(&self.container(node)?, Some(options)).await {
            Ok(()) => {}
            Err(error) if daemon::is_conflict(&error) => {}
            Err(error) => return Err(error).with_context(|| format!("killing n{node}")),
        }
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while self.state(node).await?.running {
            ensure!(
                tokio::time::Instant::now() < deadline,
                "n{node} still runs 10 s after SIGKILL; is the disk or the daemon stuck?"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Freezes a node's processes.
    ///
    /// # Errors
    ///
    /// The node does not run or is paused already, or the kernel has no freezer.
    pub async fn pause(&self, node: NodeId) -> Result<()> {
        self.docker
            .pause_container(&self.container(node)?)
            .await
            .with_context(|| format!("pausing n{node}"))
    }

    /// Thaws a node's processes. A node that was killed while paused is not paused any more, which
    /// is no error.
    ///
    /// # Errors
    ///
    /// The daemon fails.
    pub async fn unpause(&self, node: NodeId) -> Result<()> {
        match self.docker.unpause_container(&self.container(node)?).await {
            Ok(()) => Ok(()),
            Err(_) if !self.state(node).await?.paused => Ok(()),
            Err(error) => Err(error).with_context(|| format!("thawing n{node}")),
        }
    }

    /// A node's container, as the daemon sees it.
    ///
    /// # Errors
    ///
    /// The daemon fails, or the container was removed by someone else.
    pub async fn state(&self, node: NodeId) -> Result<ContainerState> {
        let state =
            self.docker
                .inspect_container(&self.container(node)?, None::<InspectContainerOptions>)
                .await
                .map_err(|error| match daemon::is_missing(&error) {
                    true => anyhow!("n{node}'s container is gone: something else removed it"),
                    false => anyhow::Error::new(error)
                        .context(format!("asking for the state of n{node}")),
                })?
                .state
                .with_context(|| format!("the Docker daemon tells no state of n{node}"))?;
        let running = state.running.unwrap_or(false);
        // The daemon writes year 1 for "never".
        let time = |text: Option<String>| {
            humantime::parse_rfc3339(&text?).ok().filter(|time| *time > SystemTime::UNIX_EPOCH)
        };
        let started_at = time(state.started_at);
        Ok(ContainerState {
            running,
            paused: state.paused.unwrap_or(false),
            exit_code: state.exit_code.filter(|_| !running && started_at.is_some()),
            out_of_memory: state.oom_killed.unwrap_or(false),
            started_at,
            finished_at: time(state.finished_at),
        })
    }

    /// The last lines a node printed.
    ///
    /// # Errors
    ///
    /// The daemon fails.
    pub async fn logs(&self, node: NodeId, lines: usize) -> Result<String> {
        collect::tail(&self.docker, &self.container(node)?, lines).await
    }

    /// Cuts links, on all nodes at once. Cuts may overlap; `cut` names this one from now on.
    ///
    /// # Errors
    ///
    /// An id in use, a link of a node to itself or to a node that does not exist, or a pod that
    /// does not answer. Then nothing is cut.
    pub async fn install(&self, cut: u64, links: &[Link]) -> Result<Installed> {
        for link in links {
            ensure!(
                link.from != link.to && self.pods.contains_key(&link.from),
                "cut {cut}: no link n{} → n{} in a cluster of {}",
                link.from,
                link.to,
                self.options.nodes
            );
            self.pod(link.to)?;
        }
        let mut cuts = self.cuts.lock().await;
        ensure!(!cuts.contains_key(&cut), "cut {cut} is in force already");
        // Noted before it is done: should the caller give up half-way, `remove` knows of it.
        cuts.insert(cut, links.to_vec());
        let confirmed = self.at_receivers(links, |pod, sources| pod.cut(cut, sources)).await;
        let outcome: Result<Vec<_>> = confirmed.into_iter().collect();
        match outcome {
            Ok(times) => {
                let first = times.iter().min().copied();
                let last = times.iter().max().copied();
                let skew = first.zip(last).map(|(first, last)| last - first).unwrap_or_default();
                let rules = rules::by_receiver(links)
                    .into_iter()
                    .flat_map(|(node, from)| {
                        from.into_iter()
                            .map(move |from| rules::in_words(node, cut, self.subnet.node(from)))
                    })
                    .collect();
                Ok(Installed { rules, skew })
            }
            Err(error) => {
                // Pods apply all of a cut's rules or none. One that cannot be asked now may have
                // applied them: the cut can be removed later.
                let healed = self.at_receivers(links, |pod, sources| pod.heal(cut, sources)).await;
                if healed.iter().all(Result::is_ok) {
                    cuts.remove(&cut);
                }
                Err(error.context(format!("installing cut {cut}")))
            }
        }
    }

    /// Packets that a cut has held up so far, a counter a link. A cut that is not in force has
    /// none.
    ///
    /// # Errors
    ///
    /// A pod does not answer.
    pub async fn counters(&self, cut: u64) -> Result<Vec<Counter>> {
        let links = self.cuts.lock().await.get(&cut).cloned().unwrap_or_default();
        let receivers = rules::by_receiver(&links);
        let counters = try_join_all(receivers.into_keys().map(|node| async move {
            let table = self.pod(node)?.table().await?;
            anyhow::Ok(rules::counters(node, cut, &table))
        }))
        .await
        .with_context(|| format!("reading the counters of cut {cut}"))?;
        Ok(counters.into_iter().flatten().collect())
    }

    /// Ends a cut, on all nodes at once; nothing if it is not in force. Others stay in force.
    ///
    /// # Errors
    ///
    /// A pod does not answer; the cut may then be in force in part, and removing it can be tried
    /// again.
    pub async fn remove(&self, cut: u64) -> Result<()> {
        let mut cuts = self.cuts.lock().await;
        let Some(links) = cuts.get(&cut) else { return Ok(()) };
        let outcome: Result<Vec<_>> = self
            .at_receivers(links, |pod, sources| pod.heal(cut, sources))
            .await
            .into_iter()
            .collect();
        outcome.with_context(|| format!("removing cut {cut}"))?;
        cuts.remove(&cut);
        Ok(())
    }

    /// Whether a ping from one pod to another is answered within a second. It tells of the network
    /// alone: the kernel answers also where the node is dead or paused. As it goes there and back,
    /// a cut of either direction fails it.
    ///
    /// # Errors
    ///
    /// The pod does not answer.
    pub async fn probe(&self, from: NodeId, to: NodeId) -> Result<bool> {
        self.pod(from)?
            .ping(self.pod(to)?.address)
            .await
            .with_context(|| format!("pinging n{to} from n{from}"))
    }

    /// Writes `trace/n<i>.jsonl`, `logs/n<i>.log` and `logs/n<i>-pod.log` into a run directory.
    pub async fn collect(&self, directory: &Path) -> Collected {
        for folder in ["trace", "logs"].map(|name| directory.join(name)) {
            if let Err(error) = fs::create_dir_all(&folder) {
                let missing = vec![format!("creating {}: {error}", folder.display())];
                return Collected { missing, ..Collected::default() };
            }
        }
        let collected = join_all(self.pods.iter().map(|(&node, pod)| async move {
            let mut told = Collected::default();
            let (name, transcript) = (format!("logs/n{node}-pod.log"), pod.transcript());
            match fs::write(directory.join(&name), &transcript) {
                Ok(()) => drop(told.sums.0.insert(name, Digest::of(transcript.as_bytes()))),
                Err(error) => told.missing.push(format!("cannot write {name}: {error}")),
            }
            if self.state(node).await.is_ok_and(|state| state.started_at.is_none()) {
                return told;
            }
            let (container, name) = (self.options.node(node), format!("n{node}"));
            let trace = self.options.system.description().node.trace.as_deref();
            let left = collect::evidence(&self.docker, &container, trace, &name, directory).await;
            Collected::all([told, left])
        }))
        .await;
        Collected::all(collected)
    }

    /// Whether the Docker daemon is lost now: it has not answered for long.
    pub fn lost(&self) -> Option<DaemonLost> {
        self.lifeline.lost()
    }

    /// Waits until the Docker daemon is lost.
    pub async fn until_lost(&self) -> DaemonLost {
        self.lifeline.until_lost().await
    }

    /// Leaves everything where it is, for [`gc()`] to remove.
    pub fn abandon(&self) {
        self.guard.disarm();
    }

    /// Removes everything that belongs to the cluster.
    ///
    /// # Errors
    ///
    /// Something could not be removed; the sentence names it.
    pub async fn destroy(&self) -> Result<()> {
        loop {
            match self.guard.remove(&self.docker).await {
                // Tried again if the daemon comes back.
                Err(error)
                    if lifeline::is_of_the_way(&error) && self.lifeline.answers().await.is_ok() =>
                {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                removed => return removed.map(drop),
            }
        }
    }

    /// Does something about links at each of their receivers, at once.
    async fn at_receivers<T, F>(
        &self,
        links: &[Link],
        act: impl Fn(Pod, Vec<Ipv4Addr>) -> F,
    ) -> Vec<Result<T>>
    where
        F: Future<Output = Result<T>>,
    {
        join_all(rules::by_receiver(links).into_iter().map(|(to, from)| {
            let sources = from.into_iter().map(|from| self.subnet.node(from)).collect();
            let acting = self.pod(to).map(|pod| act(pod.clone(), sources));
            async move { acting?.await }
        }))
        .await
    }

    fn pod(&self, node: NodeId) -> Result<&Pod> {
        self.pods.get(&node).with_context(|| {
            format!("there is no node n{node} in a cluster of {}", self.options.nodes)
        })
    }

    fn container(&self, node: NodeId) -> Result<String> {
        self.pod(node)?;
        Ok(self.options.node(node))
    }
}
