//! Carries out the exercise's orders on containers, and reports what was observed.
//!
//! Every deed runs in a task of its own and ends within a time, so that a daemon that does not
//! answer keeps nothing waiting for ever. Each client is a task with its connection.

use std::{
    collections::BTreeMap, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use futures::FutureExt;
use proto::inspect;
use tokio::{sync::mpsc, task::JoinSet};
use tonic::Code;

use super::{Cluster, collect, watch::Watch};
use crate::{
    client::{Connection, codec},
    exercise::{
        ClientId, Counter, Deed, Exit, Failure, Finding, Observation, Order, Process, Role, Status,
        Ticket, View,
    },
    nemesis::{Fault, NodeId},
    system::{Node, System},
    workload::Operation,
};

/// A node that does not answer for this long hangs: an answer takes far less.
pub const HANG: Duration = Duration::from_millis(300);
/// No deed takes longer, on a daemon that is well.
const DEED_MAX: Duration = Duration::from_secs(30);
/// A node is asked for the hash of its store, which it must compute.
const HASH: Duration = Duration::from_secs(2);

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
    system: System,
    timeout: Duration,
    addresses: BTreeMap<NodeId, SocketAddr>,
    clients: Vec<mpsc::UnboundedSender<ClientOrder>>,
    reports: mpsc::UnboundedSender<Observation>,
    tasks: JoinSet<()>,
}

/// What a client is to do. A later order ends an earlier one.
#[derive(Debug)]
enum ClientOrder {
    Connect { token: u64, node: NodeId },
    Send { token: u64, operation: Operation },
    Disconnect,
}

impl Hands {
    /// The hands of a cluster, and where they report. Asks the nodes from now on who leads.
    ///
    /// `timeout`: a client gives up an operation after this time.
    pub fn new(
        cluster: &Arc<Cluster>,
        system: System,
        timeout: Duration,
    ) -> (Self, mpsc::UnboundedReceiver<Observation>) {
        let (reports, reported) = mpsc::unbounded_channel();
        let addresses: BTreeMap<_, _> =
            cluster.nodes().map(|node| (node, cluster.client_address(node))).collect();
        let nodes = addresses.iter().map(|(node, address)| (*node, Node::new(*address)));
        let watch = Arc::new(Watch::new(nodes.collect()));
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&watch).run());
        let hands = Self {
            cluster: Arc::clone(cluster),
            watch,
            system,
            timeout,
            addresses,
            clients: Vec::new(),
            reports,
            tasks,
        };
        (hands, reported)
    }

    /// The leader and its term, as the nodes lately said.
    pub fn leader(&self) -> Option<(NodeId, u64)> {
        self.watch.leader()
    }

    /// Carries out an order. To wake the machine and to record something is its driver's.
    pub fn carry_out(&mut self, order: Order) {
        match order {
            Order::Connect { client, token, node } => {
                self.tell(client, ClientOrder::Connect { token, node });
            }
            Order::Send { client, token, operation } => {
                self.tell(client, ClientOrder::Send { token, operation });
            }
            Order::Disconnect { client } => self.tell(client, ClientOrder::Disconnect),
            Order::Perform { ticket, deed } => self.perform(ticket, deed),
            Order::Wake { .. } | Order::Note(_) => {}
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
        let (reports, system) = (self.reports.clone(), self.system);
        self.tasks.spawn(async move {
            let deed = AssertUnwindSafe(perform(&cluster, &watch, system, deed)).catch_unwind();
            let outcome = match tokio::time::timeout(DEED_MAX, deed).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panic)) => {
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

    fn tell(&mut self, client: ClientId, order: ClientOrder) {
        while self.clients.len() <= client {
            let (sender, orders) = mpsc::unbounded_channel();
            let work = Client {
                id: self.clients.len(),
                addresses: self.addresses.clone(),
                timeout: self.timeout,
                tells_outcome: self.system.tells_outcome(),
                reports: self.reports.clone(),
                connection: None,
            };
            self.clients.push(sender);
            self.tasks.spawn(work.run(orders));
        }
        let _ = self.clients[client].send(order);
    }
}

impl View for Hands {
    fn leader(&self) -> Option<NodeId> {
        self.watch.leader().map(|(leader, _)| leader)
    }
}

/// A client and its connection.
struct Client {
    id: ClientId,
    addresses: BTreeMap<NodeId, SocketAddr>,
    timeout: Duration,
    tells_outcome: bool,
    reports: mpsc::UnboundedSender<Observation>,
    connection: Option<Connection>,
}

impl Client {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<ClientOrder>) {
        let mut next = orders.recv().await;
        while let Some(order) = next {
            next = tokio::select! {
                biased;
                newer = orders.recv() => newer,
                () = self.obey(order) => orders.recv().await,
            };
        }
    }

    async fn obey(&mut self, order: ClientOrder) {
        // Whatever ends this leaves no connection on which an answer is still to come.
        let connection = self.connection.take();
        let client = self.id;
        let report = match order {
            ClientOrder::Disconnect => return,
            ClientOrder::Connect { token, node } => {
                drop(connection);
                let result = match self.addresses.get(&node) {
                    Some(&address) => {
                        Connection::open(address, self.timeout, self.tells_outcome).await
                    }
                    None => Err(format!("not connected: there is no n{node}")),
                };
                let result = result.map(|connection| self.connection = Some(connection));
                Observation::Connected { client, token, result }
            }
            ClientOrder::Send { token, operation } => {
                let completion = match connection {
                    Some(mut connection) => {
                        let completion = connection.perform(&operation, self.timeout).await;
                        if !completion.broken {
                            self.connection = Some(connection);
                        }
                        completion
                    }
                    None => codec::unsent(&operation, "not connected".to_owned()),
                };
                Observation::Completed { client, token, completion }
            }
        };
        let _ = self.reports.send(report);
    }
}

async fn perform(
    cluster: &Cluster,
    watch: &Watch,
    system: System,
    deed: Deed,
) -> Result<Finding, Failure> {
    let nothing = |result: anyhow::Result<()>| result.map(|()| Finding::Nothing);
    let found = match deed {
        Deed::Start(node) => nothing(match cluster.state(node).await {
            Ok(state) if state.running => Ok(()),
            Ok(_) => cluster.start(node).await,
            Err(error) => Err(error),
        }),
        Deed::Stop(node) => nothing(cluster.stop(node).await),
        Deed::Kill(node) => cluster.kill(node).await.map(|()| Finding::Killed { unsynced: None }),
        Deed::Pause(node) => nothing(cluster.pause(node).await),
        Deed::Resume(node) => nothing(cluster.unpause(node).await),
        Deed::Examine(node) => examine(cluster, watch, system, node).await,
        Deed::Ask { node, patience } => return ask(watch, node, patience).await,
        Deed::Hash(node) => return hash(watch, node).await,
        Deed::Cut { fault, links } => {
            let links: Vec<_> = links.into_iter().collect();
            let installed = cluster.install(fault as u64, &links).await;
            installed.map(|cut| Finding::Rules { rules: cut.rules, skew: Some(cut.skew) })
        }
        Deed::Uncut(fault) => nothing(cluster.remove(fault as u64).await),
        Deed::Counters(fault) => cluster.counters(fault as u64).await.map(|counters| {
            let counter = |counter: super::Counter| Counter {
                node: counter.node,
                rule: counter.rule,
                packets: counter.packets,
                bytes: Some(counter.bytes),
            };
            Finding::Dropped(counters.into_iter().map(counter).collect())
        }),
        Deed::Ping(link) => cluster.probe(link.from, link.to).await.map(Finding::Reached),
        // No plan that is valid for containers has faults that order these.
        deed => Err(anyhow::anyhow!("containers cannot do {deed:?}")),
    };
    found.map_err(|error| Failure::Impossible(format!("{error:#}")))
}

async fn examine(
    cluster: &Cluster,
    watch: &Watch,
    system: System,
    node: NodeId,
) -> anyhow::Result<Finding> {
    let state = cluster.state(node).await?;
    let exit = if state.running {
        None
    } else {
        Some(Exit {
            code: state.exit_code,
            out_of_memory: state.out_of_memory,
            defect: state.exit_code == Some(system.defect_code()),
            refused: state.exit_code.is_some() && state.exit_code == system.refused_code(),
            said: collect::tail(&cluster.docker, &cluster.container(node)?, 1)
                .await
                .unwrap_or_default(),
            on_record: false,
        })
    };
    let boot = watch.boot(node);
    Ok(Finding::Process(Process { running: state.running, paused: state.paused, boot, exit }))
}

async fn ask(watch: &Watch, node: NodeId, patience: Duration) -> Result<Finding, Failure> {
    match watch.ask(node, patience).await {
        Ok(seen) => {
            let peers = watch.ids().into_iter().filter(|peer| *peer != node);
            let unconnected = peers.filter(|peer| !seen.connected.contains(peer)).collect();
            Ok(Finding::Status(Status {
                boot: seen.boot,
                role: match seen.role {
                    inspect::Role::Follower => Role::Follower,
                    inspect::Role::Candidate => Role::Candidate,
                    inspect::Role::Leader => Role::Leader,
                },
                term: seen.term,
                leader: seen.leader,
                applied_index: seen.applied_index,
                unconnected,
            }))
        }
        Err(status) => Err(failure(&status)),
    }
}

async fn hash(watch: &Watch, id: NodeId) -> Result<Finding, Failure> {
    let node = watch.node(id).ok_or_else(|| Failure::Impossible(format!("there is no n{id}")))?;
    let (revision, hash) = node.hash(HASH).await.map_err(|status| failure(&status))?;
    Ok(Finding::Hash { revision, hash })
}

fn failure(status: &tonic::Status) -> Failure {
    let words = status.message().to_owned();
    match status.code() {
        Code::DeadlineExceeded => Failure::Hangs(words),
        _ => Failure::Refused(words),
    }
}
