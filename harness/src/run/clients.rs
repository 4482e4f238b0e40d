//! Drives the clients: each performs one operation after another, stays with a node, and moves on
//! to the next node after an error.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use checker::history::{Event, Kind, Value};
use tokio::sync::watch;

use super::record::History;
use crate::{
    client::{Completion, Connection, codec},
    nemesis::NodeId,
    workload::{Generator, Operation, Turn},
};

/// What clients share.
#[derive(Debug)]
pub(super) struct Load {
    /// The nodes and where they serve clients.
    pub(super) nodes: Vec<(NodeId, SocketAddr)>,
    /// A client gives up an operation, or a connection attempt, after this time.
    pub(super) timeout: Duration,
    /// See [`crate::system::System::tells_outcome`].
    pub(super) tells_outcome: bool,
    /// Process ids of one client differ by this; larger than the number of clients.
    pub(super) stride: u64,
    /// Where operations are recorded.
    pub(super) history: Arc<History>,
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    load: Arc<Load>,
    number: u64,
    /// Never reused once one of its operations may still take effect.
    process: u64,
    /// Index of its node.
    at: usize,
    /// Whether it stays with its node whatever happens.
    loyal: bool,
    connection: Option<Connection>,
    errors: u32,
}

impl Client {
    /// The client of a number below [`Load::stride`].
    pub(super) fn new(load: &Arc<Load>, number: u64) -> Self {
        let nodes = load.nodes.len().max(1) as u64;
        Self {
            load: Arc::clone(load),
            number,
            process: number,
            at: usize::try_from(number % nodes).unwrap_or(0),
            loyal: false,
            connection: None,
            errors: 0,
        }
    }

    /// A client that asks only the node at this position.
    pub(super) fn loyal(load: &Arc<Load>, number: u64, at: usize) -> Self {
        Self { at, loyal: true, ..Self::new(load, number) }
    }

    /// Performs and records an operation. After an error it waits a little, longer after each one
    /// in a row, lest a cluster without a leader be asked thousands of times a second.
    pub(super) async fn perform(&mut self, operation: &Operation) -> Completion {
        let load = Arc::clone(&self.load);
        let Some((node, address)) = load.nodes.get(self.at).copied() else {
            return codec::unsent(operation, "there is no node to ask".to_owned());
        };
        self.record(operation, node, Kind::Invoke, operation.value, None, None);
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(address, load.timeout, load.tells_outcome).await,
        };
        let completion = match connection {
            Ok(mut connection) => {
                let completion = connection.perform(operation, load.timeout).await;
                if !completion.broken {
                    self.connection = Some(connection);
                }
                completion
            }
            Err(why) => codec::unsent(operation, why),
        };
        let Completion { kind, value, error, revision, .. } = completion.clone();
        self.record(operation, node, kind, value, error, revision);
        if kind == Kind::Info {
            self.process += load.stride;
        }
        // A mismatch of a compare-and-set is an orderly answer.
        if kind == Kind::Ok || completion.saw.is_some() {
            self.errors = 0;
        } else {
            self.move_on().await;
        }
        completion
    }

    async fn move_on(&mut self) {
        if !self.loyal {
            self.at = (self.at + 1) % self.load.nodes.len().max(1);
            self.connection = None;
        }
        self.errors = (self.errors + 1).min(10);
        tokio::time::sleep(Duration::from_millis(10) * self.errors).await;
    }

    fn record(
        &self,
        operation: &Operation,
        node: NodeId,
        kind: Kind,
        value: Value,
        error: Option<String>,
        revision: Option<i64>,
    ) {
        self.load.history.record(Event {
            index: 0,
            time: 0,
            process: self.process,
            kind,
            f: operation.f,
            key: operation.key.clone(),
            value,
            error,
            node: Some(format!("n{node}")),
            revision,
        });
    }
}

/// Performs operations until there are none left or `end` says so. The load began at `start`.
pub(super) async fn drive(
    mut client: Client,
    workload: Arc<Mutex<Generator>>,
    pace: Arc<Pace>,
    start: Instant,
    mut end: watch::Receiver<bool>,
) {
    while !*end.borrow() {
        let next = workload.lock().unwrap_or_else(PoisonError::into_inner).next(client.number);
        let Some((operation, turn)) = next else { return };
        let turn = async {
            match turn {
                Turn::Paced => pace.turn().await,
                Turn::At(at) => tokio::time::sleep_until((start + at).into()).await,
            }
        };
        tokio::select! {
            () = turn => {}
            _ = end.wait_for(|end| *end) => return,
        }
        let completion = client.perform(&operation).await;
        if let Some(saw) = completion.saw {
            workload.lock().unwrap_or_else(PoisonError::into_inner).saw(&operation.key, saw);
        }
    }
}

/// Spreads the clients' operations evenly over time.
#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    /// Nanoseconds between operations; 0: no limit.
    gap: u64,
    /// When the next one may start, in nanoseconds after `start`.
    next: AtomicU64,
}

impl Pace {
    /// So many operations per second; 0: no limit.
    pub(super) fn new(rate: u64) -> Self {
        let gap = if rate == 0 { 0 } else { 1_000_000_000 / rate.min(1_000_000_000) };
        Self { start: Instant::now(), gap, next: AtomicU64::new(0) }
    }

    /// Waits for the next turn. Turns that were missed while the cluster was down are lost, or the
    /// load after an outage would be a flood.
    async fn turn(&self) {
        if self.gap == 0 {
            return;
        }
        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let earliest = now.saturating_sub(100_000_000);
        let turn = self
            .next
            .update(Ordering::Relaxed, Ordering::Relaxed, |next| next.max(earliest) + self.gap)
            .max(earliest);
        tokio::time::sleep_until((self.start + Duration::from_nanos(turn)).into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rate_is_kept() {
        let pace = Pace::new(1000);
        let start = Instant::now();
        for _ in 0..200 {
            pace.turn().await;
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(190), "{took:?}");
        assert!(took < Duration::from_millis(1500), "{took:?}");
    }

    #[tokio::test]
    async fn missed_turns_are_lost() {
        let pace = Pace::new(1000);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let start = Instant::now();
        for _ in 0..300 {
            pace.turn().await;
        }
        assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
    }
}
