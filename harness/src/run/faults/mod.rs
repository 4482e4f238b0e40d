//! Carries out the schedule of faults, and proves each: asked for, installed, seen to bite, heal
//! asked for, seen healed.
//!
//! Installing with its proof, and healing, happen one fault at a time, so that what is observed
//! can be told apart. Between the two faults overlap freely, by the rules of
//! [`crate::nemesis::overlap`].

mod kill;
mod partition;
mod pause;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::anyhow;
use checker::{
    evidence::Crash,
    fault::{Observed, Phase, Record, Version},
};
use serde_json::Value;
use tokio::{sync::watch, task::JoinSet};

use super::{bringup::Exited, record, watch::Watch};
use crate::{
    cluster::docker::Cluster,
    nemesis::{
        Cut, Fault, Injection, Link, NodeId, Unresolved, named_links, observed,
        overlap::{FaultId, Holds},
    },
    system::System,
};

/// A fault that aims at the leader waits so long for one to be known.
const LEADER_PATIENCE: Duration = Duration::from_secs(2);

/// What faults share.
pub(super) struct Nemesis {
    pub(super) cluster: Arc<Cluster>,
    pub(super) watch: Arc<Watch>,
    pub(super) record: record::Faults,
    pub(super) start: Instant,
    /// Faults are recorded and not carried out: to test that the lack of proof is noticed.
    pub(super) inert: bool,
    holds: Mutex<Holds>,
    active: Mutex<BTreeMap<FaultId, String>>,
    system: System,
    crashes: Mutex<Vec<Crash>>,
    /// Held while a fault is installed or healed.
    hand: tokio::sync::Mutex<()>,
}

/// Why a fault is not in force.
pub(super) enum Miss {
    /// There was nothing to do.
    Skipped(String),
    /// It was not done, or not seen.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Miss {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// A fault in force.
enum Active {
    Kill(kill::Kill),
    Pause(pause::Pause),
    Partition(partition::Partition),
}

impl Nemesis {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        watch: Arc<Watch>,
        record: record::Faults,
        start: Instant,
        inert: bool,
        system: System,
    ) -> Self {
        Self {
            cluster,
            watch,
            record,
            start,
            inert,
            holds: Mutex::default(),
            active: Mutex::default(),
            system,
            crashes: Mutex::default(),
            hand: tokio::sync::Mutex::default(),
        }
    }

    /// Carries out a schedule. When `end` says so, what is in force is healed and the rest is left.
    ///
    /// # Errors
    /// A fault's task panicked.
    pub(super) async fn run(
        self: Arc<Self>,
        schedule: Vec<Injection>,
        mut end: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        for (id, injection) in schedule.into_iter().enumerate() {
            tokio::select! {
                () = tokio::time::sleep_until((self.start + injection.at).into()) => {}
                _ = end.wait_for(|end| *end) => break,
            }
            tasks.spawn(Arc::clone(&self).one(id, injection, end.clone()));
        }
        while let Some(task) = tasks.join_next().await {
            task.map_err(|error| anyhow!("a fault's task panicked: {error}"))?;
        }
        Ok(())
    }

    /// The faults in force, in words.
    pub(super) fn active(&self) -> Vec<String> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The nodes that are down or paused by a fault.
    pub(super) fn disturbed(&self) -> BTreeSet<NodeId> {
        self.with_holds(|holds| holds.disturbed())
    }

    /// The nodes that were found to have ended by a defect of their own; each is told once.
    pub(super) fn take_crashes(&self) -> Vec<Crash> {
        mem::take(&mut self.crashes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn look_for_crash(&self, error: &anyhow::Error) {
        if let Some(crash) = Exited::crash(error, self.system) {
            self.crashes.lock().unwrap_or_else(PoisonError::into_inner).push(crash);
        }
    }

    async fn one(self: Arc<Self>, id: FaultId, fault: Injection, mut end: watch::Receiver<bool>) {
        let mut account = Account::new(&self, id, &fault);
        account.note(Phase::Requested, Value::Null);
        // Not with the hand held: another fault's heal may be what a leader waits for.
        self.wait_for_leader(fault.fault).await;
        let installed = {
            let _hand = self.hand.lock().await;
            self.active_insert(id, fault.fault.to_string());
            self.install(id, &fault, &mut account).await
        };
        let active = match installed {
            Ok(active) => Some(active),
            Err(Miss::Skipped(why)) => {
                account.note(Phase::Skipped, Value::String(why));
                None
            }
            Err(Miss::Failed(error)) => {
                self.look_for_crash(&error);
                account.note(Phase::Failed, Value::String(format!("{error:#}")));
                None
            }
        };
        if let Some(active) = active {
            tokio::select! {
                () = tokio::time::sleep_until((self.start + fault.at + fault.lasts).into()) => {}
                _ = end.wait_for(|end| *end) => {}
            }
            match self.heal(id, active, &mut account).await {
                Ok(proof) => account.note(Phase::Healed, proof),
                Err(error) => {
                    self.look_for_crash(&error);
                    account.note(Phase::Failed, Value::String(format!("{error:#}")));
                }
            }
        }
        self.with_holds(|holds| holds.release(id));
        self.active.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    async fn install(
        &self,
        id: FaultId,
        injection: &Injection,
        account: &mut Account<'_>,
    ) -> Result<Active, Miss> {
        let leader = self.watch.leader().map(|(leader, _)| leader);
        account.leader = leader;
        let nodes = self.watch.ids();
        let skipped = |why: Unresolved| Miss::Skipped(why.to_string());
        match injection.fault {
            Fault::Kill { target } => {
                account.nodes = target.resolve(&nodes, leader, injection.pick).map_err(skipped)?;
                kill::install(self, id, account).await.map(Active::Kill)
            }
            Fault::Pause { target } => {
                account.nodes = target.resolve(&nodes, leader, injection.pick).map_err(skipped)?;
                pause::install(self, id, account).await.map(Active::Pause)
            }
            Fault::Partition { shape, target } => {
                let Cut { nodes, links } =
                    shape.resolve(target, &nodes, leader, injection.pick).map_err(skipped)?;
                account.nodes = nodes;
                account.links = links.clone();
                partition::install(self, id, links, account).await.map(Active::Partition)
            }
            // No valid plan for containers has these.
            Fault::Network { .. } | Fault::Disk { .. } | Fault::Clock { .. } => {
                Err(anyhow!("containers cannot suffer `{}`", injection.fault).into())
            }
        }
    }

    async fn heal(
        &self,
        id: FaultId,
        active: Active,
        account: &mut Account<'_>,
    ) -> anyhow::Result<Value> {
        match active {
            Active::Kill(kill) => kill.heal(self, account).await,
            Active::Pause(pause) => pause.heal(self, id, account).await,
            Active::Partition(partition) => partition.heal(self, id, account).await,
        }
    }

    /// A fault that is aimed relative to the leader gives the cluster some time to have one.
    async fn wait_for_leader(&self, fault: Fault) {
        let deadline = Instant::now() + LEADER_PATIENCE;
        while fault.needs_leader() && self.watch.leader().is_none() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn with_holds<T>(&self, act: impl FnOnce(&mut Holds) -> T) -> T {
        act(&mut self.holds.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn active_insert(&self, id: FaultId, what: String) {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).insert(id, what);
    }
}

/// Writes the records of one fault.
pub(super) struct Account<'a> {
    nemesis: &'a Nemesis,
    id: FaultId,
    fault: Fault,
    nodes: BTreeSet<NodeId>,
    links: BTreeSet<Link>,
    leader: Option<NodeId>,
}

impl<'a> Account<'a> {
    fn new(nemesis: &'a Nemesis, id: FaultId, injection: &Injection) -> Self {
        let leader = nemesis.watch.leader().map(|(leader, _)| leader);
        Self {
            nemesis,
            id,
            fault: injection.fault,
            nodes: BTreeSet::new(),
            links: BTreeSet::new(),
            leader,
        }
    }

    fn note(&self, phase: Phase, detail: Value) {
        let record = &self.nemesis.record;
        let cluster = self.nemesis.watch.ids().len() as u64;
        record.record(&Record {
            fault: self.id,
            time: record.now(),
            phase,
            version: Version,
            kind: self.fault.class(),
            what: self.fault.what(),
            nodes: self.nodes.iter().map(|node| format!("n{node}")).collect(),
            links: named_links(&self.links),
            leader: self.leader.map(|leader| format!("n{leader}")),
            severs_leader: self.fault.severs_leader(self.leader, &self.nodes, cluster),
            observed: match phase {
                Phase::Bitten | Phase::HealRequested | Phase::Healed => observed(&detail),
                _ => Observed::default(),
            },
            detail,
        });
    }
}

/// A JSON object with an entry a node.
fn by_node(values: impl IntoIterator<Item = (NodeId, Value)>) -> Value {
    values.into_iter().map(|(node, value)| (format!("n{node}"), value)).collect()
}

/// `n1 (fault 3), n2 (fault 4)`.
fn holders(taken: &BTreeMap<NodeId, FaultId>) -> String {
    let words: Vec<_> = taken.iter().map(|(node, by)| format!("n{node} (fault {by})")).collect();
    words.join(", ")
}
