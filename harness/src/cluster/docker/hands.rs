//! Carries out the exercise's orders on containers, and reports what was observed.
//!
//! Every deed runs in a task of its own and ends within a time, so that a daemon that does not
//! answer keeps nothing waiting for ever.

use std::{
    collections::BTreeMap, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use checker::fault::Counter;
use futures::FutureExt;
use tokio::{sync::mpsc, task::JoinSet};
use tonic::transport::Channel;

use super::{Cluster, DaemonLost, lifeline};
use crate::{
    client,
    cluster::{
        clients::{Clients, Common, Dialer},
        watch::Watch,
    },
    exercise::{Deed, Exit, Failure, Finding, Observation, Order, Process, Ticket, View},
    nemesis::{Fault, NodeId},
    system::Node,
};

/// A node that does not answer for this long hangs: an answer takes far less.
pub const HANG: Duration = Duration::from_millis(300);
/// No deed takes longer, on a daemon that is well.
const DEED_MAX: Duration = Duration::from_secs(30);
/// Lines of a node's log that are shown when it has ended by itself. A panic takes two.
const LAST_WORDS: usize = 5;
/// Between two attempts at a deed.
const AGAIN: Duration = Duration::from_millis(200);

/// Whether containers can suffer a fault.
///
/// # Errors
/// They cannot; says why.
pub fn supports(fault: &Fault) -> Result<(), String> {
    match fault {
        Fault::Kill { .. }
        | Fault::Restart { .. }
        | Fault::Pause { .. }
        | Fault::Partition { .. } => Ok(()),
        Fault::Network { .. } | Fault::Disk { .. } | Fault::Clock { .. } => Err(format!(
            "`{fault}` exists in simulation only, containers cannot suffer it; run the plan with \
             --cluster sim"
        )),
    }
}

/// What carries out orders; see the module. Dropped, it ends all that it does.
pub struct Hands {
    cluster: Arc<Cluster>,
    watch: Arc<Watch>,
    clients: Clients<Ports>,
    reports: mpsc::UnboundedSender<Observation>,
    tasks: JoinSet<()>,
}

impl Hands {
    /// The hands of a cluster, and where they report. Asks the nodes from now on who leads.
    ///
    /// `timeout`: a client gives up an operation after this time.
    pub fn new(
        cluster: &Arc<Cluster>,
        timeout: Duration,
    ) -> (Self, mpsc::UnboundedReceiver<Observation>) {
        let (reports, reported) = mpsc::unbounded_channel();
        let addresses: BTreeMap<_, _> =
            cluster.nodes().map(|node| (node, cluster.client_address(node))).collect();
        let system = cluster.system();
        let nodes = addresses.iter().map(|(node, address)| (*node, *address));
        let watch = Arc::new(Watch::new(Node::all(system, nodes)));
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&watch).run());
        let clients = Clients::new(Common {
            dialer: Ports(addresses),
            timeout,
            tells_outcome: system.tells_outcome(),
            reports: reports.clone(),
        });
        let hands = Self { cluster: Arc::clone(cluster), watch, clients, reports, tasks };
        (hands, reported)
    }

    /// The leader and its term, as the nodes lately said.
    pub fn leader(&self) -> Option<(NodeId, u64)> {
        self.watch.leader()
    }

    /// Waits until the Docker daemon is lost.
    pub async fn until_lost(&self) -> DaemonLost {
        self.cluster.until_lost().await
    }

    /// Carries out an order. To wake the machine and to record something is its driver's.
    pub fn carry_out(&mut self, order: Order) {
        let tasks = &mut self.tasks;
        let order = self.clients.carry_out(order, |work| {
            tasks.spawn(work);
        });
        if let Some(Order::Perform { ticket, deed }) = order {
            self.perform(ticket, deed);
        }
    }

    /// Does something to the cluster.
    fn perform(&mut self, ticket: Ticket, deed: Deed) {
        while let Some(ended) = self.tasks.try_join_next() {
            // A client that is gone would look like a node that never answers.
            if let Err(error) = ended
                && error.is_panic()
            {
                let panic = error.into_panic();
                let why = format!("a panic of the harness: {}", crate::panics::words(&*panic));
                let _ = self.reports.send(Observation::EndEarly(why));
            }
        }
        let (cluster, watch) = (Arc::clone(&self.cluster), Arc::clone(&self.watch));
        let reports = self.reports.clone();
        self.tasks.spawn(async move {
            let deed = AssertUnwindSafe(persist(&cluster, &watch, deed)).catch_unwind();
            let deed = cluster.lifeline.while_alive(deed);
            let outcome = match tokio::time::timeout(DEED_MAX, deed).await {
                Ok(Err(lost)) => Err(Failure::Impossible(lost.to_string())),
                Ok(Ok(Ok(outcome))) => outcome,
                Ok(Ok(Err(panic))) => {
                    let words = crate::panics::words(&*panic);
                    Err(Failure::Impossible(format!("the harness panicked: {words}")))
                }
                Err(_) => Err(Failure::Impossible(format!(
                    "the Docker daemon did not do it within {DEED_MAX:?}"
                ))),
            };
            let _ = reports.send(Observation::Done { ticket, outcome });
        });
    }
}

impl View for Hands {
    fn leader(&self) -> Option<NodeId> {
        self.watch.leader().map(|(leader, _)| leader)
    }
}

/// Reaches nodes through ports of this machine.
#[derive(Clone, Debug)]
struct Ports(BTreeMap<NodeId, SocketAddr>);

impl Dialer for Ports {
    async fn connect(&self, node: NodeId) -> Result<Channel, String> {
        match self.0.get(&node) {
            Some(&address) => client::channel(address).await,
            None => Err(format!("there is no n{node}")),
        }
    }
}

/// Does something, and again while the way to the daemon is what fails and the daemon comes back.
async fn persist(cluster: &Cluster, watch: &Watch, deed: Deed) -> Result<Finding, Failure> {
    loop {
        let error = match &deed {
            Deed::Ask { node, patience } => return watch.status(*node, *patience).await,
            Deed::Hash(node) => return watch.hash(*node).await,
            _ => match perform(cluster, watch, deed.clone()).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            },
        };
        let lost = lifeline::is_of_the_way(&error);
        if !lost || !may_repeat(&deed) || cluster.lifeline.answers().await.is_err() {
            return Err(Failure::Impossible(lifeline::in_words(&error)));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether a deed does no harm when it is done twice, as the first answer may have been lost.
fn may_repeat(deed: &Deed) -> bool {
    !matches!(deed, Deed::Cut { .. } | Deed::Pause(_))
}

async fn perform(cluster: &Cluster, watch: &Watch, deed: Deed) -> anyhow::Result<Finding> {
    let nothing = |result: anyhow::Result<()>| result.map(|()| Finding::Nothing);
    match deed {
        Deed::Start(node) => nothing(match cluster.state(node).await {
            Ok(state) if state.running => Ok(()),
            Ok(_) => {
                // Before its answer, which may be lost: a start counted twice harms nobody.
                watch.started(node);
                cluster.start(node).await
            }
            Err(error) => Err(error),
        }),
        Deed::Stop(node) => nothing(cluster.stop(node).await),
        Deed::Kill(node) => cluster.kill(node).await.map(|()| Finding::Killed { unsynced: None }),
        Deed::Pause(node) => nothing(cluster.pause(node).await),
        Deed::Resume(node) => nothing(cluster.unpause(node).await),
        Deed::Examine(node) => examine(cluster, watch, node).await,
        Deed::Cut { fault, links } => {
            let links: Vec<_> = links.into_iter().collect();
            let installed = cluster.install(fault as u64, &links).await;
            installed.map(|cut| Finding::Rules { rules: cut.rules, skew: Some(cut.skew) })
        }
        Deed::Uncut(fault) => nothing(cluster.remove(fault as u64).await),
        Deed::Counters(fault) => cluster.counters(fault as u64).await.map(|counters| {
            let counter = |counter: super::Counter| Counter {
                node: format!("n{}", counter.node),
                rule: counter.rule,
                packets: counter.packets,
                bytes: Some(counter.bytes),
            };
            Finding::Dropped(counters.into_iter().map(counter).collect())
        }),
        Deed::Ping(link) => cluster.probe(link.from, link.to).await.map(Finding::Reached),
        // No plan that is valid for containers has faults that order these.
        deed => Err(anyhow::anyhow!("containers cannot do {deed:?}")),
    }
}

async fn examine(cluster: &Cluster, watch: &Watch, node: NodeId) -> anyhow::Result<Finding> {
    let system = cluster.system();
    let state = cluster.state(node).await?;
    let exit = if state.running {
        None
    } else {
        Some(Exit {
            code: state.exit_code,
            out_of_memory: state.out_of_memory,
            defect: state.exit_code.is_some_and(|code| system.is_defect(code)),
            refused: state.exit_code.is_some_and(|code| system.is_refusal(code)),
            said: last_words(cluster, node).await,
            on_record: false,
        })
    };
    let boot = watch.boot(node);
    Ok(Finding::Process(Process { running: state.running, paused: state.paused, boot, exit }))
}

/// What a node last said: each line with the node's name, if there are several.
async fn last_words(cluster: &Cluster, node: NodeId) -> String {
    let said = cluster.logs(node, LAST_WORDS).await.unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    match lines.as_slice() {
        [] | [_] => said,
        lines => lines.iter().map(|line| format!("n{node}: {line}")).collect::<Vec<_>>().join("\n"),
    }
}
