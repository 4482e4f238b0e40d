//! The loop that owns the replica: real time, real inputs, and the outputs done in their order.
//!
//! A round takes all inputs that are there, then does all their outputs at once: the trace lines
//! reach the kernel with one write, then the records are queued for the disk, then messages and
//! replies leave. So the busier the node, the less each step costs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use proto::{peer::Session, trace::Event};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{Config, disk::Writer, links::Links, machine::Machine, trace_file::TraceFile};
use crate::{
    kv::{self, Request, Response},
    replica::{
        self, Host, Input, Message, Notice, Outputs, Replica, RequestId, Status, SubscriptionId,
        WriteId,
    },
    storage::{Record, Recovered, Wal},
};

/// Inputs taken in one round, so that outputs are not put off for ever.
const ROUND_INPUTS_MAX: usize = 4096;
/// Messages from peers that wait for the replica; then the peers wait.
const MESSAGES_MAX: usize = 256;
/// Questions from clients that wait for the replica; more are refused.
const ASKS_MAX: usize = 4096;
/// The replica may have nothing to wait for; the clock cannot count to its `Time::MAX`.
const DEADLINE_MAX: Duration = Duration::from_secs(1 << 32);
/// How long the disk may take to finish when the node is asked to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// What a client's request, decoded and checked, asks of the replica.
#[derive(Debug)]
pub(super) enum Ask {
    /// To read or write.
    Request {
        /// What.
        request: Request,
        /// For exactly-once retries.
        session: Option<Session>,
        /// Where the answer goes; its receiver may be gone.
        reply: oneshot::Sender<Result<Response, replica::Error>>,
    },
    /// To hear of all changes from now on.
    Subscribe {
        /// Where notices go. The subscription ends when this is full or closed.
        notices: mpsc::Sender<Notice>,
    },
    /// For `Maintenance.HashKV`.
    HashKv {
        /// 0: the latest.
        revision: i64,
        /// Where the answer goes, with the state that was hashed.
        reply: oneshot::Sender<Result<(u32, Status), kv::Error>>,
    },
}

/// The ends by which the services reach the replica.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    /// Messages from peers.
    pub(super) messages: mpsc::Sender<Message>,
    /// Questions from clients.
    pub(super) asks: mpsc::Sender<Ask>,
    /// The state after the last round.
    pub(super) status: watch::Receiver<Status>,
}

/// The replica and all that its outputs act on.
pub(super) struct Driver<M> {
    replica: Replica,
    origin: Instant,
    messages: mpsc::Receiver<Message>,
    asks: mpsc::Receiver<Ask>,
    shell: Shell<M>,
    last_request: RequestId,
    last_subscription: SubscriptionId,
    status: watch::Sender<Status>,
    outputs: Outputs,
    // Held so that the channels never look closed from here.
    handle: Handle,
}

/// What outputs act on.
struct Shell<M> {
    writer: Writer,
    links: Links,
    trace: Option<TraceFile<M>>,
    replies: BTreeMap<RequestId, oneshot::Sender<Result<Response, replica::Error>>>,
    subscribers: BTreeMap<SubscriptionId, mpsc::Sender<Notice>>,
}

impl<M: Machine> Host for Shell<M> {
    type Error = anyhow::Error;

    fn trace(&mut self, lines: impl Iterator<Item = (u64, Event)>) -> Result<()> {
        match &mut self.trace {
            Some(file) => file.write(lines),
            None => Ok(()),
        }
    }

    fn write(&mut self, write: Option<(WriteId, Vec<Record>)>) -> Result<()> {
        if let Some((id, records)) = write {
            self.writer.push(id, records);
        }
        Ok(())
    }

    fn send(&mut self, message: Message) -> Option<Message> {
        self.links.send(message)
    }

    fn reply(&mut self, request: RequestId, result: Result<Response, replica::Error>) {
        if let Some(reply) = self.replies.remove(&request) {
            // An error means that the client is gone; what it asked for is done all the same.
            let _ = reply.send(result);
        }
    }

    fn notify(&mut self, subscription: SubscriptionId, notice: Notice) -> bool {
        let Some(subscriber) = self.subscribers.get(&subscription) else { return false };
        let last = notice == Notice::Lagged;
        let goes_on = subscriber.try_send(notice).is_ok() && !last;
        if !goes_on {
            self.subscribers.remove(&subscription);
        }
        goes_on
    }
}

/// What ends a wait.
enum Woken {
    Stop,
    Durable(Result<replica::WriteId>),
    Message(Message),
    Ask(Ask),
    Timer,
}

impl<M: Machine> Driver<M> {
    /// Makes the replica from what the disk holds, and records its start. The trace comes with the
    /// Lamport clock of its last line.
    ///
    /// # Errors
    ///
    /// The trace or the disk's thread cannot be had.
    pub(super) fn start(
        machine: &Arc<M>,
        config: &Arc<Config>,
        wal: Wal<M::Disk>,
        recovered: Recovered,
        links: Links,
        trace: Option<(TraceFile<M>, u64)>,
    ) -> Result<Self> {
        let origin = Instant::now();
        let (trace, clock) = trace.unzip();
        let clock = clock.unwrap_or(0);
        let replica_config = config.replica(recovered.boot, clock);
        let replica = Replica::new(replica_config, recovered, Duration::ZERO);
        let (messages_in, messages) = mpsc::channel(MESSAGES_MAX);
        let (asks_in, asks) = mpsc::channel(ASKS_MAX);
        let (status, status_out) = watch::channel(replica.status());
        let mut driver = Self {
            replica,
            origin,
            messages,
            asks,
            shell: Shell {
                writer: Writer::start(machine, wal)?,
                links,
                trace,
                replies: BTreeMap::new(),
                subscribers: BTreeMap::new(),
            },
            last_request: 0,
            last_subscription: 0,
            status,
            outputs: Outputs::default(),
            handle: Handle { messages: messages_in, asks: asks_in, status: status_out },
        };
        driver.take(Input::Timer);
        driver.flush()?;
        Ok(driver)
    }

    /// The ends for the services.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The disk's thread.
    pub(super) fn writer(&self) -> &Writer {
        &self.shell.writer
    }

    /// Runs until `stop` completes, or until disk or trace fail.
    ///
    /// # Errors
    ///
    /// Disk or trace failed: the node must not go on.
    pub(super) async fn run(mut self, stop: impl Future<Output = ()>) -> Result<()> {
        tokio::pin!(stop);
        loop {
            let deadline = self.origin + self.replica.deadline().min(DEADLINE_MAX);
            let woken = tokio::select! {
                biased;
                () = &mut stop => Woken::Stop,
                durable = self.shell.writer.durable() => Woken::Durable(durable),
                Some(message) = self.messages.recv() => Woken::Message(message),
                Some(ask) = self.asks.recv() => Woken::Ask(ask),
                () = tokio::time::sleep_until(deadline) => Woken::Timer,
            };
            match woken {
                Woken::Stop => return self.stop().await,
                Woken::Durable(id) => self.take(Input::Durable(id?)),
                Woken::Message(message) => self.take(Input::Message(message)),
                Woken::Ask(ask) => self.take_ask(ask),
                Woken::Timer => {}
            }
            // Lets other tasks put in what the sockets hold, so that one round takes it all.
            tokio::task::yield_now().await;
            self.drain()?;
            self.flush()?;
        }
    }

    /// Takes what has come in, and the time.
    fn drain(&mut self) -> Result<()> {
        while let Some(id) = self.shell.writer.try_durable()? {
            self.take(Input::Durable(id));
        }
        for _ in 0..ROUND_INPUTS_MAX {
            let Ok(message) = self.messages.try_recv() else { break };
            self.take(Input::Message(message));
        }
        for _ in 0..ROUND_INPUTS_MAX {
            let Ok(ask) = self.asks.try_recv() else { break };
            self.take_ask(ask);
        }
        if self.origin.elapsed() >= self.replica.deadline() {
            self.take(Input::Timer);
        }
        Ok(())
    }

    fn take(&mut self, input: Input) {
        self.replica.handle(self.origin.elapsed(), input, &mut self.outputs);
    }

    fn take_ask(&mut self, ask: Ask) {
        match ask {
            Ask::Request { request, session, reply } => {
                self.last_request += 1;
                let id = self.last_request;
                self.shell.replies.insert(id, reply);
                self.take(Input::Request { id, request: Box::new(request), session });
            }
            Ask::Subscribe { notices } => {
                self.last_subscription += 1;
                self.shell.subscribers.insert(self.last_subscription, notices);
                self.take(Input::Subscribe(self.last_subscription));
            }
            Ask::HashKv { revision, reply } => {
                let hash = self.replica.store().hash_kv(revision);
                let _ = reply.send(hash.map(|hash| (hash, self.replica.status())));
            }
        }
    }

    /// Does all outputs, and those of the inputs that follow from them.
    fn flush(&mut self) -> Result<()> {
        loop {
            let inputs = self.outputs.perform(&mut self.shell)?;
            self.status.send_replace(self.replica.status());
            if inputs.is_empty() {
                return Ok(());
            }
            inputs.into_iter().for_each(|input| self.take(input));
        }
    }

    /// Ends cleanly: takes no more input, writes what is queued, and says so in the trace.
    async fn stop(mut self) -> Result<()> {
        self.shell.replies.clear();
        self.shell.writer.finish(STOP_PATIENCE).await.context("while the node stopped")?;
        if let Some(trace) = &mut self.shell.trace {
            trace.write([(self.replica.clock() + 1, Event::Stopped {})])?;
        }
        Ok(())
    }
}
