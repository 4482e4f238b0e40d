//! The network between machines: connections as TCP has them, with an adversary on every wire.
//!
//! Pure: time comes in with [`Wires::advance`]. A connection is two pipes of segments. Each segment
//! has a delay of its own and is never overtaken. A lost one is sent again after a timeout that
//! doubles, so a cut of one second may hold a pipe for two. A sender whose data is not acknowledged
//! for its `silence_max` fails, and the other end learns nothing of that.
//!
//! By chance, all the time: short writes and short reads, so that frames of HTTP/2 come in pieces;
//! small windows, so that writers wait for slow readers; late segments; dials that reach the wrong
//! node. By faults: cuts, slow and
//! lossy links, and resets that may tell one end only and may pass on a part of what was in flight.

mod breaking;

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, ErrorKind},
    mem,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use rand::{Rng, RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use crate::{
    cluster::sim::network::{BaselineNetwork, Cuts, NetworkFaults},
    nemesis::{Link, NodeId, overlap::FaultId},
    plan::Network,
};

/// The machine that clients live on. No fault acts on its links, but for resets.
pub(super) const CLIENTS: NodeId = 0;
/// The shortest time that anything takes from machine to machine: one step of the world.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// The first wait for an acknowledgement; each next one is twice as long, up to the longest.
const RETRANSMISSION: Duration = Duration::from_millis(200);
const RETRANSMISSION_MAX: Duration = Duration::from_secs(5);
/// The same, for the first segment of a connection.
const DIAL_AGAIN: Duration = Duration::from_secs(1);
const WINDOWS: [usize; 4] = [4 << 10, 64 << 10, 256 << 10, 1 << 20];
/// Share of writes and reads that are short.
const SHORT: f64 = 0.05;
/// Share of nodes' dials that reach another node than was meant, as with an address that changed.
const ASTRAY: f64 = 0.02;

/// Names a connection.
pub(super) type ConnectionId = u64;
/// Names an attempt to connect.
pub(super) type DialId = u64;

/// One end of a connection: 0 dialled, 1 was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End {
    pub(super) connection: ConnectionId,
    pub(super) side: usize,
}

#[derive(Debug)]
struct Segment {
    due: Duration,
    /// Empty: there is no more after it.
    bytes: Bytes,
}

/// What goes from one side to the other.
#[derive(Debug)]
struct Pipe {
    flight: VecDeque<Segment>,
    arrived: VecDeque<Bytes>,
    /// Bytes that it takes, and those that are in flight or wait for the reader.
    window: usize,
    held: usize,
    /// All has arrived.
    ended: bool,
    /// Since when the sender waits for an acknowledgement that does not come.
    unacknowledged: Option<Duration>,
    retransmission: Duration,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug)]
struct Side {
    machine: NodeId,
    /// Nobody reads any more.
    closed: bool,
    /// Nobody writes any more.
    shut: bool,
    failed: Option<ErrorKind>,
    silence_max: Duration,
}

#[derive(Debug)]
struct Connection {
    sides: [Side; 2],
    /// The pipe by the side that writes.
    pipes: [Pipe; 2],
}

#[derive(Debug, Default)]
struct ListenerState {
    backlog: VecDeque<(End, NodeId)>,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Dial {
    from: NodeId,
    address: String,
    silence_max: Duration,
    again: Duration,
    result: Option<Result<End, ErrorKind>>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Segments of a pipe arrive.
    Arrive(End),
    /// What is not acknowledged is sent again.
    Retransmit(End),
    /// A sender has waited as long as it will.
    Silent(End, Duration),
    /// An end learns that the connection is reset.
    Reset(End),
    /// A request to connect arrives.
    Knock(DialId),
    /// The dialling side learns that it is connected.
    Connected(DialId, End),
    /// Or that it is not.
    Refused(DialId),
}

/// The network.
#[derive(Debug)]
pub(super) struct Wires {
    now: Duration,
    rng: Xoshiro256PlusPlus,
    baseline: BaselineNetwork,
    pub(super) cuts: Cuts,
    pub(super) faults: NetworkFaults,
    met: Vec<FaultId>,
    listeners: BTreeMap<String, ListenerState>,
    connections: BTreeMap<ConnectionId, Connection>,
    dials: BTreeMap<DialId, Dial>,
    events: BTreeMap<(Duration, u64), Event>,
    last: u64,
    happened: u64,
}

/// Calls a waker, if there is one.
fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// How much of this is taken at once: sometimes only a part.
fn short(most: usize, rng: &mut impl Rng) -> usize {
    if most > 1 && rng.random_bool(SHORT) { rng.random_range(1..=most) } else { most }
}

/// The machine of an address: `n2:2380`.
fn machine_of(address: &str) -> Option<NodeId> {
    address.strip_prefix('n')?.split_once(':')?.0.parse().ok()
}

impl Wires {
    /// The network of a plan.
    pub(super) fn new(network: &Network, seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            baseline: BaselineNetwork::new(network),
            cuts: Cuts::default(),
            faults: NetworkFaults::default(),
            met: Vec::new(),
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            dials: BTreeMap::new(),
            events: BTreeMap::new(),
            last: 0,
            happened: 0,
        }
    }

    /// The present.
    pub(super) fn now(&self) -> Duration {
        self.now
    }

    /// Events so far.
    pub(super) fn happened(&self) -> u64 {
        self.happened
    }

    /// Faults that have met something since they were last asked for.
    pub(super) fn take_met(&mut self) -> Vec<FaultId> {
        mem::take(&mut self.met)
    }

    /// Goes on to this time: all that is due happens.
    pub(super) fn advance(&mut self, now: Duration) {
        self.now = now;
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= now
        {
            let event = entry.remove();
            self.happened += 1;
            match event {
                Event::Arrive(end) => self.arrive(end, false),
                Event::Retransmit(end) => self.arrive(end, true),
                Event::Silent(end, since) => self.silent(end, since),
                Event::Reset(end) => self.fail(end, ErrorKind::ConnectionReset),
                Event::Knock(dial) => self.knock(dial),
                Event::Connected(dial, end) => self.connected(dial, Ok(end)),
                Event::Refused(dial) => self.connected(dial, Err(ErrorKind::ConnectionRefused)),
            }
        }
    }

    fn schedule(&mut self, at: Duration, event: Event) {
        self.last += 1;
        self.events.insert((at, self.last), event);
    }

    /// How long a segment takes; no less than a step of the world.
    fn delay(&mut self) -> Duration {
        TICK.max(self.baseline.delay(&mut self.rng))
    }

    /// Whether a packet from one machine to another is dropped now; if so it is counted.
    fn drops(&mut self, from: NodeId, to: NodeId) -> bool {
        from != CLIENTS && to != CLIENTS && self.cuts.drops(Link { from, to })
    }

    /// Listens. False: the address is in use.
    pub(super) fn listen(&mut self, address: &str) -> bool {
        let free = !self.listeners.contains_key(address);
        if free {
            self.listeners.insert(address.to_owned(), ListenerState::default());
        }
        free
    }

    /// Listens no longer; who waits to be accepted is reset.
    pub(super) fn unlisten(&mut self, address: &str) {
        for (end, _) in self.listeners.remove(address).map(|it| it.backlog).unwrap_or_default() {
            self.close(end);
        }
    }

    /// The next connection that comes in, and from which machine.
    pub(super) fn poll_accept(
        &mut self,
        address: &str,
        silence_max: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(End, NodeId)>> {
        let Some(listener) = self.listeners.get_mut(address) else {
            return Poll::Ready(Err(ErrorKind::NotConnected.into()));
        };
        let Some((end, from)) = listener.backlog.pop_front() else {
            listener.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        if let Some(connection) = self.connections.get_mut(&end.connection) {
            connection.sides[end.side].silence_max = silence_max;
        }
        Poll::Ready(Ok((end, from)))
    }

    /// Begins to connect.
    pub(super) fn dial(&mut self, from: NodeId, address: &str, silence_max: Duration) -> DialId {
        self.last += 1;
        let id = self.last;
        let mut address = address.to_owned();
        if from != CLIENTS && self.rng.random_bool(ASTRAY) {
            let port = address.rsplit_once(':').map_or("", |(_, port)| port);
            let listening = self.listeners.keys().filter(|it| it.ends_with(port));
            let others: Vec<_> = listening.filter(|it| **it != address).cloned().collect();
            if !others.is_empty() {
                address = others[self.rng.random_range(0..others.len())].clone();
            }
        }
        let dial =
            Dial { from, address, silence_max, again: DIAL_AGAIN, result: None, waker: None };
        self.dials.insert(id, dial);
        let at = self.now + self.delay();
        self.schedule(at, Event::Knock(id));
        id
    }

    /// What became of an attempt to connect.
    pub(super) fn poll_dial(&mut self, id: DialId, cx: &mut Context<'_>) -> Poll<io::Result<End>> {
        let Some(dial) = self.dials.get_mut(&id) else {
            return Poll::Ready(Err(ErrorKind::NotConnected.into()));
        };
        match dial.result.take() {
            Some(result) => {
                self.dials.remove(&id);
                Poll::Ready(result.map_err(io::Error::from))
            }
            None => {
                dial.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// An attempt to connect is given up.
    pub(super) fn hang_up(&mut self, id: DialId) {
        if let Some(Dial { result: Some(Ok(end)), .. }) = self.dials.remove(&id) {
            self.close(end);
        }
    }

    fn knock(&mut self, id: DialId) {
        let Some(dial) = self.dials.get_mut(&id) else { return };
        let (from, to) = (dial.from, machine_of(&dial.address).unwrap_or(CLIENTS));
        let (again, silence_max, address) = (dial.again, dial.silence_max, dial.address.clone());
        if self.drops(from, to) || self.drops(to, from) {
            if let Some(dial) = self.dials.get_mut(&id) {
                dial.again = 2 * again;
            }
            return self.schedule(self.now + again, Event::Knock(id));
        }
        let at = self.now + self.delay();
        if !self.listeners.contains_key(&address) {
            return self.schedule(at, Event::Refused(id));
        }
        let pipe = |rng: &mut Xoshiro256PlusPlus| Pipe {
            flight: VecDeque::new(),
            arrived: VecDeque::new(),
            window: WINDOWS[rng.random_range(0..WINDOWS.len())],
            held: 0,
            ended: false,
            unacknowledged: None,
            retransmission: RETRANSMISSION,
            reader: None,
            writer: None,
        };
        let side =
            |machine| Side { machine, closed: false, shut: false, failed: None, silence_max };
        let pipes = [pipe(&mut self.rng), pipe(&mut self.rng)];
        self.last += 1;
        let connection = self.last;
        self.connections.insert(connection, Connection { sides: [side(from), side(to)], pipes });
        if let Some(listener) = self.listeners.get_mut(&address) {
            listener.backlog.push_back((End { connection, side: 1 }, from));
            wake(&mut listener.waker);
        }
        self.schedule(at, Event::Connected(id, End { connection, side: 0 }));
    }

    fn connected(&mut self, id: DialId, result: Result<End, ErrorKind>) {
        match (self.dials.get_mut(&id), result) {
            (Some(dial), result) => {
                dial.result = Some(result);
                wake(&mut dial.waker);
            }
            // Nobody waits any more.
            (None, Ok(end)) => self.close(end),
            (None, Err(_)) => {}
        }
    }

    /// Takes bytes that one end writes.
    pub(super) fn poll_write(
        &mut self,
        end: End,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(connection) = self.connections.get_mut(&end.connection) else {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        };
        let side = &connection.sides[end.side];
        if let Some(kind) = side.failed {
            return Poll::Ready(Err(kind.into()));
        }
        if side.shut {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let pipe = &mut connection.pipes[end.side];
        let room = pipe.window.saturating_sub(pipe.held).min(bytes.len());
        if room == 0 && !bytes.is_empty() {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = short(room, &mut self.rng);
        if taken > 0 {
            pipe.held += taken;
            self.send(end, Bytes::copy_from_slice(&bytes[..taken]));
        }
        Poll::Ready(Ok(taken))
    }

    /// One end writes no more.
    pub(super) fn shut(&mut self, end: End) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let side = &mut connection.sides[end.side];
        if !mem::replace(&mut side.shut, true) && side.failed.is_none() {
            self.send(end, Bytes::new());
        }
    }

    fn send(&mut self, end: End, bytes: Bytes) {
        let Some(connection) = self.connections.get(&end.connection) else { return };
        let from = connection.sides[end.side].machine;
        let to = connection.sides[1 - end.side].machine;
        let mut due = self.now + self.delay();
        if from != CLIENTS && to != CLIENTS {
            let link = Link { from, to };
            let mut lost = self.rng.sample(self.baseline.loss);
            if self.faults.any_in_force() {
                let delivery = self.faults.delivery(link, &mut self.rng);
                due += delivery.delay;
                lost |= delivery.lost;
                self.met.extend(self.faults.take_fresh());
            }
            if lost {
                due += RETRANSMISSION;
            }
            self.met.extend(self.faults.awaited(link));
        }
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let pipe = &mut connection.pipes[end.side];
        // Never overtakes.
        due = due.max(pipe.flight.back().map_or(Duration::ZERO, |segment| segment.due));
        pipe.flight.push_back(Segment { due, bytes });
        self.schedule(due, Event::Arrive(end));
    }

    /// What an end has to read.
    pub(super) fn poll_read(
        &mut self,
        end: End,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Bytes>> {
        let Some(connection) = self.connections.get_mut(&end.connection) else {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        };
        let pipe = &mut connection.pipes[1 - end.side];
        if let Some(kind) = connection.sides[end.side].failed {
            return Poll::Ready(Err(kind.into()));
        }
        let Some(first) = pipe.arrived.front_mut() else {
            if pipe.ended {
                return Poll::Ready(Ok(Bytes::new()));
            }
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let most = most.min(first.len());
        let taken = short(most, &mut self.rng);
        let bytes = first.split_to(taken);
        if first.is_empty() {
            pipe.arrived.pop_front();
        }
        pipe.held -= taken;
        wake(&mut pipe.writer);
        Poll::Ready(Ok(bytes))
    }

    /// Nobody holds this end any more. What it wrote still arrives, unless it left some unread.
    pub(super) fn close(&mut self, end: End) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let other = End { side: 1 - end.side, ..end };
        connection.sides[end.side].closed = true;
        let failed = connection.sides[end.side].failed.is_some();
        let unread = !connection.pipes[other.side].arrived.is_empty();
        if connection.sides[other.side].closed {
            self.connections.remove(&end.connection);
        } else if unread && !failed {
            self.reset_other(end);
        } else {
            self.shut(end);
        }
    }

    /// Tells the other end that the connection is no more, if a packet gets through.
    fn reset_other(&mut self, end: End) {
        let Some(connection) = self.connections.get(&end.connection) else { return };
        let other = End { side: 1 - end.side, ..end };
        let from = connection.sides[end.side].machine;
        let to = connection.sides[other.side].machine;
        if !self.drops(from, to) {
            let at = self.now + self.delay();
            self.schedule(at, Event::Reset(other));
        }
    }

    /// What is due on a pipe arrives, unless it or its acknowledgement is dropped. Then nothing
    /// else passes before it was sent again.
    fn arrive(&mut self, end: End, again: bool) {
        let now = self.now;
        let Some(Connection { sides, pipes }) = self.connections.get(&end.connection) else {
            return;
        };
        let (sender, receiver) = (&sides[end.side], &sides[1 - end.side]);
        let (from, to, closed) = (sender.machine, receiver.machine, receiver.closed);
        let silence_max = sender.silence_max;
        let waits = pipes[end.side].unacknowledged;
        let due = pipes[end.side].flight.front().is_some_and(|segment| segment.due <= now);
        let moves = if again { waits.is_some() } else { waits.is_none() && due };
        if sender.failed.is_some() || !moves {
            return;
        }
        let there = !self.drops(from, to);
        let acknowledged = there && !self.drops(to, from);
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let pipe = &mut connection.pipes[end.side];
        let mut refused = false;
        if there {
            while let Some(segment) = pipe.flight.pop_front_if(|segment| segment.due <= now) {
                match segment.bytes.is_empty() {
                    true => pipe.ended = true,
                    false if closed => refused = true,
                    false => pipe.arrived.push_back(segment.bytes),
                }
            }
            wake(&mut pipe.reader);
        }
        if acknowledged {
            pipe.unacknowledged = None;
            pipe.retransmission = RETRANSMISSION;
        } else {
            let wait = pipe.retransmission;
            pipe.retransmission = RETRANSMISSION_MAX.min(2 * wait);
            let first = pipe.unacknowledged.is_none();
            pipe.unacknowledged.get_or_insert(now);
            self.schedule(now + wait, Event::Retransmit(end));
            if first {
                self.schedule(now + silence_max, Event::Silent(end, now));
            }
        }
        if refused {
            self.reset_other(End { side: 1 - end.side, ..end });
        }
    }

    fn silent(&mut self, end: End, since: Duration) {
        let connection = self.connections.get(&end.connection);
        let waits = connection.and_then(|it| it.pipes[end.side].unacknowledged);
        if waits == Some(since) {
            self.fail(end, ErrorKind::TimedOut);
        }
    }

    /// An end fails; the other end is not told.
    fn fail(&mut self, end: End, kind: ErrorKind) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        connection.sides[end.side].failed.get_or_insert(kind);
        connection.pipes[end.side].flight.clear();
        wake(&mut connection.pipes[end.side].writer);
        wake(&mut connection.pipes[1 - end.side].reader);
    }
}

#[cfg(test)]
mod tests;
