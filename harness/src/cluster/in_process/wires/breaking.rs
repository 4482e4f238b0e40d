//! Resets: connections that break with what is in flight on them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
};

use rand::RngExt;

use super::{CLIENTS, ConnectionId, End, Event, TICK, Wires, wake};
use crate::nemesis::{Link, NodeId};

impl Wires {
    /// Breaks the connections on these links, and those of clients of these nodes, on which
    /// something is in flight. Returns how many segments were lost, by link, and how many clients
    /// lost their connection, by node.
    pub(in crate::cluster::in_process) fn reset(
        &mut self,
        links: &BTreeSet<Link>,
        nodes: &BTreeSet<NodeId>,
    ) -> (BTreeMap<Link, u64>, BTreeMap<NodeId, u64>) {
        let (mut lost, mut clients) = (BTreeMap::new(), BTreeMap::new());
        let mut broken = Vec::new();
        for (id, connection) in &self.connections {
            let [a, b] = [&connection.sides[0], &connection.sides[1]].map(|side| side.machine);
            let flights = [0, 1].map(|side| connection.pipes[side].flight.len() as u64);
            let aimed = [(a, b), (b, a)].map(|(from, to)| links.contains(&Link { from, to }));
            let is_client = a == CLIENTS && nodes.contains(&b);
            let hit = (aimed[0] && flights[0] > 0) || (aimed[1] && flights[1] > 0);
            if is_client && flights[0] + flights[1] > 0 {
                *clients.entry(b).or_default() += 1;
                broken.push(*id);
            } else if hit {
                for (side, (from, to)) in [(a, b), (b, a)].into_iter().enumerate() {
                    if aimed[side] && flights[side] > 0 {
                        *lost.entry(Link { from, to }).or_default() += flights[side];
                    }
                }
                broken.push(*id);
            }
        }
        for id in broken {
            self.break_connection(id);
        }
        (lost, clients)
    }

    /// What is in flight is lost, but perhaps for a part of a first segment. Both ends learn of it,
    /// or one does; then the other learns of it when it sends and is answered by a reset.
    fn break_connection(&mut self, id: ConnectionId) {
        let only = Some(self.rng.random_range(0..4)).filter(|side| *side < 2);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        for (side, pipe) in connection.pipes.iter_mut().enumerate() {
            if only.is_some_and(|only| only != side) {
                continue;
            }
            if let Some(segment) = pipe.flight.pop_front()
                && segment.bytes.len() > 1
            {
                let part = self.rng.random_range(0..segment.bytes.len());
                if part > 0 {
                    pipe.arrived.push_back(segment.bytes.slice(..part));
                    wake(&mut pipe.reader);
                }
            }
            pipe.flight.clear();
        }
        match only {
            Some(side) => {
                connection.sides[side].closed = true;
                self.fail(End { connection: id, side }, ErrorKind::ConnectionReset);
            }
            None => {
                for side in [0, 1] {
                    self.schedule(self.now + TICK, Event::Reset(End { connection: id, side }));
                }
            }
        }
    }
}
