//! Clients of clusters that serve gRPC: each is a task with its connection.

use std::time::Duration;

use proto::peer::Session;
use tokio::sync::mpsc;
use tonic::transport::Channel;

use crate::{
    client::{Connection, codec},
    exercise::{ClientId, Observation, Order},
    nemesis::NodeId,
    workload::Operation,
};

/// How clients reach nodes.
pub(super) trait Dialer: Clone + Send + Sync + 'static {
    /// Connects to a node, however long that takes.
    fn connect(&self, node: NodeId) -> impl Future<Output = Result<Channel, String>> + Send;
}

/// What clients have in common.
#[derive(Clone, Debug)]
pub(super) struct Common<D> {
    pub(super) dialer: D,
    /// A client gives up an operation after this time.
    pub(super) timeout: Duration,
    /// Whether an error's `raft-outcome` may be believed.
    pub(super) tells_outcome: bool,
    /// Where clients report.
    pub(super) reports: mpsc::UnboundedSender<Observation>,
}

/// All clients. Each lives as long as this.
#[derive(Debug)]
pub(super) struct Clients<D> {
    common: Common<D>,
    orders: Vec<mpsc::UnboundedSender<ClientOrder>>,
}

/// What a client is to do. A later order ends an earlier one.
#[derive(Debug)]
enum ClientOrder {
    Connect { token: u64, node: NodeId },
    Send { token: u64, operation: Operation, session: Option<Session> },
    Disconnect,
}

impl<D: Dialer> Clients<D> {
    /// No clients yet.
    pub(super) fn new(common: Common<D>) -> Self {
        Self { common, orders: Vec::new() }
    }

    /// Passes an order to the client that it is for. `spawn` runs the task of a client that is new.
    /// An order for no client is given back.
    pub(super) fn carry_out(
        &mut self,
        order: Order,
        mut spawn: impl FnMut(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
    ) -> Option<Order> {
        let (client, order) = match order {
            Order::Connect { client, token, node } => {
                (client, ClientOrder::Connect { token, node })
            }
            Order::Send { client, token, operation, session } => {
                (client, ClientOrder::Send { token, operation, session })
            }
            Order::Disconnect { client } => (client, ClientOrder::Disconnect),
            other => return Some(other),
        };
        while self.orders.len() <= client {
            let (sender, orders) = mpsc::unbounded_channel();
            let id = self.orders.len();
            let work = Client { id, common: self.common.clone(), connection: None };
            self.orders.push(sender);
            spawn(Box::pin(work.run(orders)));
        }
        let _ = self.orders[client].send(order);
        None
    }
}

/// A client and its connection.
struct Client<D> {
    id: ClientId,
    common: Common<D>,
    connection: Option<Connection>,
}

impl<D: Dialer> Client<D> {
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
        let Common { dialer, timeout, tells_outcome, reports } = &self.common;
        let report = match order {
            ClientOrder::Disconnect => return,
            ClientOrder::Connect { token, node } => {
                drop(connection);
                let channel = dialer.connect(node);
                let result = Connection::over(channel, *timeout, *tells_outcome).await;
                let result = result.map(|connection| self.connection = Some(connection));
                Observation::Connected { client, token, result }
            }
            ClientOrder::Send { token, operation, session } => {
                let completion = match connection {
                    Some(mut connection) => {
                        let completion =
                            connection.perform(&operation, session.as_ref(), *timeout).await;
                        if !completion.broken {
                            self.connection = Some(connection);
                        }
                        completion
                    }
                    None => codec::unsent("not connected".to_owned()),
                };
                Observation::Completed { client, token, completion }
            }
        };
        let _ = reports.send(report);
    }
}
