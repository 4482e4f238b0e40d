//! The connections of clients to nodes, and what is on its way on them.

use std::collections::{BTreeMap, BTreeSet};

use node::{
    kv::Response,
    replica::{self},
};
use proto::peer::Session;
use tonic::Status;

use super::{
    kept::{Awaited, Connection},
    observe::{Loss, SimEvent},
    process::Process,
    queue::{Event, NodeInput},
    world::World,
};
use crate::{
    client::{
        Completion,
        steps::{Next, Steps},
    },
    exercise::{ClientId, Observation},
    nemesis::{Link, NodeId},
    workload::Operation,
};

impl World<'_> {
    fn connection(&mut self, client: ClientId) -> &mut Connection {
        if self.connections.len() <= client {
            self.connections.resize_with(client + 1, Connection::default);
        }
        &mut self.connections[client]
    }

    /// A client learns something after the way from its node to it.
    fn tell(&mut self, what: Observation) {
        let at = self.now + self.message_delay();
        self.report(at, what);
    }

    fn call(&mut self, node: NodeId, incarnation: u64, input: NodeInput) {
        let at = self.now + self.message_delay();
        self.queue.push(at, Event::Arrives { node, incarnation, input });
    }

    pub(super) fn connect(&mut self, client: ClientId, token: u64, node: NodeId) {
        let awaited = Some(Awaited { token, sent: None });
        *self.connection(client) = Connection { node, incarnation: None, awaited };
        let process = self.process(node);
        let (up, incarnation) = (process.is_up(), process.incarnation);
        if up {
            self.call(node, incarnation, NodeInput::Connect(client, token));
        } else {
            let result = Err("not connected: connection refused".to_owned());
            self.tell(Observation::Connected { client, token, result });
        }
    }

    /// A node takes in that a client connects.
    pub(super) fn accepted(&mut self, node: NodeId, client: ClientId, token: u64) {
        let incarnation = self.process(node).incarnation;
        let connection = self.connection(client);
        if connection.awaits(token).is_some() {
            connection.incarnation = Some(incarnation);
        }
        self.tell(Observation::Connected { client, token, result: Ok(()) });
    }

    pub(super) fn send_request(
        &mut self,
        client: ClientId,
        token: u64,
        operation: Operation,
        session: Option<Session>,
    ) {
        let connection = self.connection(client);
        let (node, incarnation) = (connection.node, connection.incarnation);
        let (steps, request) = match Steps::begin(operation) {
            (steps, Next::Send(request)) => (steps, request),
            (_, Next::Done(completion)) => {
                let what = Observation::Completed { client, token, completion };
                return self.report(self.now, what);
            }
        };
        connection.awaited = Some(Awaited { token, sent: Some(steps) });
        let process = self.process(node);
        if process.is_up() && incarnation == Some(process.incarnation) {
            let incarnation = process.incarnation;
            let input = NodeInput::Request(client, token, Box::new(request), session);
            self.call(node, incarnation, input);
        } else {
            let _ = self.reset(client);
        }
    }

    pub(super) fn disconnect(&mut self, client: ClientId) {
        let connection = self.connection(client);
        connection.incarnation = None;
        connection.awaited = None;
    }

    /// A client learns what is reported here.
    pub(super) fn learns(&mut self, what: &Observation) {
        if let Observation::Connected { client, token, .. }
        | Observation::Completed { client, token, .. } = what
            && self.connections[*client].awaits(*token).is_some()
        {
            self.connections[*client].awaited = None;
        }
    }

    /// A node answers a client. If the operation takes another request, the client sends it when
    /// the answer has reached it. From now on it counts as sent, so that a connection that breaks
    /// before leaves an outcome unknown rather than certain.
    pub(super) fn reply(
        &mut self,
        client: ClientId,
        token: u64,
        answer: Result<Response, replica::Error>,
    ) {
        let tells_outcome = self.plan.system.tells_outcome();
        let connection = self.connection(client);
        let (node, incarnation) = (connection.node, connection.incarnation);
        let Some(steps) = connection.performs(token) else { return };
        let next = match answer {
            Ok(answer) => steps.answered(answer),
            Err(error) => {
                Next::Done(steps.refused(&node::server::status_of(&error), tells_outcome))
            }
        };
        match (next, incarnation) {
            (Next::Done(completion), _) => {
                self.tell(Observation::Completed { client, token, completion });
            }
            (Next::Send(request), Some(incarnation)) => {
                let at = self.now + self.message_delay() + self.message_delay();
                let input = NodeInput::Request(client, token, Box::new(request), None);
                self.queue.push(at, Event::Arrives { node, incarnation, input });
            }
            (Next::Send(_), None) => {
                let _ = self.reset(client);
            }
        }
    }

    /// A client notices that its connection broke: at once if it waits for nothing. Returns whether
    /// it waited.
    fn reset(&mut self, client: ClientId) -> bool {
        let connection = self.connection(client);
        connection.incarnation = None;
        let Some(Awaited { token, sent }) = &connection.awaited else {
            self.report(self.now, Observation::Disconnected { client });
            return false;
        };
        let token = *token;
        let what = match sent {
            Some(steps) => {
                let status = Status::unavailable("connection reset");
                let refused = steps.refused(&status, false);
                let completion = Completion { broken: true, ..refused };
                Observation::Completed { client, token, completion }
            }
            None => {
                let result = Err("not connected: connection reset".to_owned());
                Observation::Connected { client, token, result }
            }
        };
        self.tell(what);
        true
    }

    fn clients_of(&self, id: NodeId) -> Vec<ClientId> {
        let of_node = |(_, connection): &(ClientId, &Connection)| {
            let stands = connection.incarnation.is_some() || connection.awaited.is_some();
            connection.node == id && stands
        };
        self.connections.iter().enumerate().filter(of_node).map(|(client, _)| client).collect()
    }

    /// The clients of a process that ends notice it. Returns how many waited for something.
    pub(super) fn reset_clients(&mut self, id: NodeId) -> usize {
        self.clients_of(id).into_iter().filter(|&client| self.reset(client)).count()
    }

    /// Breaks connections: messages in flight on these links are lost, and whatever is on its way
    /// between these nodes and their clients. Returns the messages by link, and by node the
    /// clients that waited for something.
    pub(super) fn break_connections(
        &mut self,
        links: &BTreeSet<Link>,
        nodes: &BTreeSet<NodeId>,
    ) -> (BTreeMap<Link, u64>, BTreeMap<NodeId, u64>) {
        // Nobody has a connection to a process that is down, or to what it was before.
        let live = |process: &Process| process.is_up().then_some(process.incarnation);
        let live: Vec<Option<u64>> = self.processes.iter().map(live).collect();
        let now = self.now;
        let mut lost: BTreeMap<Link, u64> = BTreeMap::new();
        let watch = &mut self.watch;
        let mut loses = |input: &NodeInput| {
            let NodeInput::Message(id, message) = input else { return false };
            let link = Link { from: message.from, to: message.to };
            if !links.contains(&link) {
                return false;
            }
            *lost.entry(link).or_insert(0) += 1;
            watch.see(now, SimEvent::Lost { id: *id, message, why: Loss::Reset });
            true
        };
        self.queue.lose(|event| match event {
            Event::Arrives { node, incarnation, input } => {
                live[*node as usize - 1] == Some(*incarnation) && loses(input)
            }
            _ => false,
        });
        for process in &mut self.processes {
            process.lose_held(&mut loses);
        }
        let up = nodes.iter().copied().filter(|node| live[*node as usize - 1].is_some());
        let clients = up.map(|node| (node, self.break_clients(node) as u64));
        let clients = clients.filter(|(_, waited)| *waited > 0).collect();
        (lost, clients)
    }

    /// The connections of a node's clients break. Returns how many waited for something.
    fn break_clients(&mut self, id: NodeId) -> usize {
        let of_client =
            |input: &NodeInput| matches!(input, NodeInput::Connect(..) | NodeInput::Request(..));
        let connections = &self.connections;
        self.queue.lose(|event| match event {
            Event::Arrives { node, input, .. } => *node == id && of_client(input),
            Event::Report(what) => match &**what {
                Observation::Connected { client, token, .. }
                | Observation::Completed { client, token, .. } => {
                    let connection = &connections[*client];
                    connection.node == id && connection.awaits(*token).is_some()
                }
                _ => false,
            },
            _ => false,
        });
        self.process(id).lose_held(of_client);
        self.reset_clients(id)
    }
}
