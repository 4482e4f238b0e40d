//! Runs a scenario's steps one after the other on any cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::Result;
use futures::future::join_all;
use serde::{Deserialize, Serialize};

use super::{
    data::{Action, Scenario, Target},
    judge::{Judge, Leadership, Ruling, Status, Statuses},
};
use crate::nemesis::NodeId;

/// A cluster whose nodes are all down at first.
pub trait Nodes {
    /// Starts a node; returns when its process exists.
    fn start(&self, node: NodeId) -> impl Future<Output = Result<()>> + Send;
    /// Kills a node; returns when its process is gone.
    fn crash(&self, node: NodeId) -> impl Future<Output = Result<()>> + Send;
    /// What a node says of itself; `None` when it does not answer within `patience`.
    fn status(
        &self,
        node: NodeId,
        patience: Duration,
    ) -> impl Future<Output = Option<Status>> + Send;
}

/// What became of a scenario. Times count from its start.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// Every step that was begun.
    pub steps: Vec<StepAccount>,
    /// What the nodes said, whenever it differed from what they had said before.
    pub observations: Vec<Observation>,
}

/// What became of a step.
#[derive(Debug, Serialize, Deserialize)]
pub struct StepAccount {
    /// From 1.
    pub number: usize,
    /// The step's name.
    pub name: String,
    /// What was done to which node: `crash n3`.
    pub done: String,
    /// The node that it was done to.
    pub node: NodeId,
    /// Whether the node was crashed, else started.
    pub crashed: bool,
    /// When it was done, in nanoseconds.
    pub began: u64,
    /// When it had been done, in nanoseconds.
    pub acted: u64,
    /// How long after that the expectation came true, in milliseconds.
    pub reached_ms: Option<u64>,
    /// How long it then held, in milliseconds.
    pub held_ms: Option<u64>,
    /// Who led then.
    pub leader: Option<Leadership>,
    /// Why the step failed.
    pub failure: Option<String>,
}

/// What all running nodes said at one moment.
#[derive(Debug, Serialize, Deserialize)]
pub struct Observation {
    /// Nanoseconds since the scenario's start.
    pub time: u64,
    /// By node; `null`: it did not answer.
    pub nodes: Statuses,
}

impl Account {
    /// The step that failed, if one did.
    pub fn failed(&self) -> Option<&StepAccount> {
        self.steps.iter().find(|step| step.failure.is_some())
    }
}

/// Runs the steps until one fails. `account` grows as it goes, so that an interrupted scenario
/// leaves its account too; `progress` is told of each step when it begins and when it ends.
///
/// # Errors
/// The cluster could not do what a step asks for.
pub async fn drive(
    scenario: &Scenario,
    nodes: &impl Nodes,
    election_timeout: Duration,
    account: &mut Account,
    mut progress: impl FnMut(&Scenario, &[StepAccount]),
) -> Result<()> {
    let start = Instant::now();
    let elapsed = || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let poll = (election_timeout / 5).clamp(Duration::from_millis(5), Duration::from_millis(100));
    let mut running = BTreeSet::new();
    let mut leaders = BTreeMap::new();
    let mut leader: Option<Leadership> = None;
    for (i, step) in scenario.steps.iter().enumerate() {
        let (Action::Start(target) | Action::Crash(target)) = step.action;
        let node = match target {
            Target::Node(id) => id,
            Target::Leader => {
                leader.ok_or_else(|| anyhow::anyhow!("step {}: there is no leader", i + 1))?.node
            }
        };
        let crashed = matches!(step.action, Action::Crash(_));
        account.steps.push(StepAccount {
            number: i + 1,
            name: step.name.clone(),
            done: format!("{} n{node}", if crashed { "crash" } else { "start" }),
            node,
            crashed,
            began: elapsed(),
            acted: 0,
            reached_ms: None,
            held_ms: None,
            leader: None,
            failure: None,
        });
        progress(scenario, &account.steps);
        if crashed {
            nodes.crash(node).await?;
            running.remove(&node);
        } else {
            nodes.start(node).await?;
            running.insert(node);
        }
        account.steps[i].acted = elapsed();
        let mut judge = Judge::new(step, leader, election_timeout, &mut leaders);
        let acted = Instant::now();
        loop {
            // A slow answer would say what was, not what is.
            let patience = election_timeout.max(Duration::from_millis(200));
            let answers = join_all(
                running.iter().map(|node| async { (*node, nodes.status(*node, patience).await) }),
            );
            let statuses: Statuses = answers.await.into_iter().collect();
            let at = acted.elapsed();
            if account.observations.last().is_none_or(|last| last.nodes != statuses) {
                let nodes = statuses.clone();
                account.observations.push(Observation { time: elapsed(), nodes });
            }
            let ruling = judge.observe(at, &statuses);
            let done = &mut account.steps[i];
            if let Some((reached, led)) = judge.reached() {
                done.reached_ms = Some(milliseconds(reached));
                done.held_ms = Some(milliseconds(at - reached));
                done.leader = led;
            }
            match ruling {
                Ruling::Waiting(_) | Ruling::Holding => {}
                Ruling::Passed => break,
                Ruling::Failed(reason) => {
                    done.failure = Some(reason);
                    progress(scenario, &account.steps);
                    return Ok(());
                }
            }
            tokio::time::sleep(poll).await;
        }
        leader = account.steps[i].leader;
        progress(scenario, &account.steps);
    }
    Ok(())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::{super::judge::Role, *};

    /// Elects the running node of the largest id the moment a majority of five runs, and keeps it.
    #[derive(Default)]
    struct Fake {
        running: Mutex<BTreeSet<NodeId>>,
        leader: Mutex<Option<Leadership>>,
        /// A bug: elects whatever the number of running nodes.
        without_quorum: bool,
        /// A bug: every start makes the new node leader.
        usurped: bool,
    }

    impl Fake {
        fn elect(&self, started: bool) {
            let running = self.running.lock().unwrap();
            let mut leader = self.leader.lock().unwrap();
            let term = leader.map_or(1, |leader| leader.term + 1);
            let lost = leader.is_none_or(|leader| !running.contains(&leader.node));
            if lost || (started && self.usurped) {
                let node = *running.last().unwrap();
                *leader =
                    (running.len() > 2 || self.without_quorum).then_some(Leadership { node, term });
            }
        }
    }

    impl Nodes for Fake {
        async fn start(&self, node: NodeId) -> Result<()> {
            self.running.lock().unwrap().insert(node);
            self.elect(true);
            Ok(())
        }

        async fn crash(&self, node: NodeId) -> Result<()> {
            self.running.lock().unwrap().remove(&node);
            self.elect(false);
            Ok(())
        }

        async fn status(&self, node: NodeId, _: Duration) -> Option<Status> {
            let leader = *self.leader.lock().unwrap();
            Some(match leader {
                None => Status { role: Role::Candidate, term: 0, leader: None },
                Some(leader) => Status {
                    role: if leader.node == node { Role::Leader } else { Role::Follower },
                    term: leader.term,
                    leader: Some(leader.node),
                },
            })
        }
    }

    async fn run(fake: Fake) -> Account {
        let scenario = Scenario::load("leader-election").unwrap();
        let mut account = Account::default();
        let timeout = Duration::from_millis(5);
        drive(&scenario, &fake, timeout, &mut account, |_, _| ()).await.unwrap();
        account
    }

    #[tokio::test]
    async fn a_sound_cluster_passes_every_step() {
        let account = run(Fake::default()).await;
        assert!(account.failed().is_none(), "{:?}", account.failed());
        let done: Vec<_> = account.steps.iter().map(|step| step.done.as_str()).collect();
        assert_eq!(
            done,
            [
                "start n1", "start n2", "start n3", "start n4", "start n5", "crash n3", "crash n5",
                "crash n4"
            ]
        );
        assert_eq!(account.steps[2].leader.map(|leader| leader.node), Some(3));
        assert!(account.steps.iter().all(|step| step.held_ms >= Some(40)));
        assert!(account.observations.len() >= 8);
    }

    #[tokio::test]
    async fn a_leader_without_a_quorum_fails_the_first_step() {
        let account = run(Fake { without_quorum: true, ..Fake::default() }).await;
        assert_eq!(account.steps.len(), 1);
        let failure = account.failed().unwrap().failure.clone().unwrap();
        assert_eq!(failure, "n1 became leader of term 1");
    }

    #[tokio::test]
    async fn a_newcomer_that_takes_over_fails_the_fourth_step() {
        let account = run(Fake { usurped: true, ..Fake::default() }).await;
        let failed = account.failed().unwrap();
        assert_eq!(failed.number, 4);
        assert!(failed.failure.as_ref().unwrap().contains("the leader changed from n3"));
    }
}
