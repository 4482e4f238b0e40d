//! The space-time diagram of a run's end: time runs downwards, nodes are lines, messages are
//! arrows.
//!
//! [`Spacetime`] gathers while the run goes on; [`Spacetime::draw`] picks the part to be drawn,
//! gives every moment a height (`layout`) and draws (`draw`). Time is not to scale: what happens
//! takes the room that its words need, and where nothing happens the picture is short. Heartbeats
//! that change nothing are left out, as in the story.

mod draw;
mod layout;

use std::collections::BTreeMap;

use checker::{
    evidence::Evidence,
    fault::Phase,
    history::{self, Function, Kind, Value, lines::Line},
    verdict::{Outcome, Verdict, Violation},
};
use node::{
    raft::{Body as Raft, Conflict},
    replica::{Body, Message, Time},
};
use proto::trace::{Event, Record, Role};

use super::{Window, idle::Idle, words};
use crate::{
    cluster::sim::{Ending, Loss, MessageId, Observer, SimEvent},
    exercise::Stage,
    nemesis::NodeId,
    plan::Plan,
};

/// A message's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    InFlight,
    Delivered,
    Lost(Loss),
}

/// A message.
#[derive(Debug)]
struct Arrow {
    from: NodeId,
    to: NodeId,
    term: u64,
    sent: Time,
    /// When it was taken in or lost.
    end: Time,
    fate: Fate,
    copy: bool,
    vote: bool,
    /// In one word or two.
    label: String,
    /// In full.
    words: String,
    /// Not drawn: nothing followed from it.
    idle: bool,
}

/// Something that a node did or that was done to it.
#[derive(Debug)]
struct Note {
    time: Time,
    node: NodeId,
    /// In a word or two; empty: it is only shown by what it changes.
    label: String,
    /// In full.
    words: String,
    /// It broke a rule, and the words say which.
    violation: bool,
}

/// What a node is, from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    up: bool,
    role: Role,
    term: u64,
}

const DOWN: State = State { up: false, role: Role::Follower, term: 0 };

/// A client's operation.
#[derive(Debug)]
struct Operation {
    /// `c4`, `probe n1`, `reader`.
    who: String,
    begin: Time,
    end: Option<Time>,
    kind: Kind,
    /// Its lines of the history.
    lines: Vec<u64>,
    label: String,
    words: String,
}

/// A span of time on a node: a pause, or a cut that touches it.
#[derive(Debug)]
struct Span {
    node: NodeId,
    begin: Time,
    end: Option<Time>,
    /// The cut's number; none: a pause.
    cut: Option<usize>,
    words: String,
}

/// A fault, from when it was in force.
#[derive(Debug)]
struct Bar {
    fault: usize,
    begin: Time,
    end: Option<Time>,
    label: String,
    words: String,
}

/// Gathers what a picture shows.
#[derive(Debug)]
pub struct Spacetime {
    /// Time 0 of the story.
    start: Time,
    last: Time,
    seed: u64,
    cluster: u64,
    clients: u64,
    arrows: Vec<Arrow>,
    flying: BTreeMap<MessageId, usize>,
    idle: Idle,
    notes: Vec<Note>,
    states: BTreeMap<NodeId, Vec<(Time, State)>>,
    /// Number of its latest start, and bytes of a torn tail, until a node says how it starts.
    started: BTreeMap<NodeId, (u64, u64)>,
    operations: Vec<Operation>,
    /// Position of each client's open operation.
    open: BTreeMap<u64, usize>,
    spans: Vec<Span>,
    bars: Vec<Bar>,
    /// Lines of the history so far.
    history: u64,
}

/// Which part of a run is drawn, and how much of it.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// The part; where it is left open, the picture ends with the violation, or with the run.
    pub window: Window,
    /// Moments drawn at most, the last ones of the part.
    pub moments: usize,
}

impl Default for Extent {
    /// What fits on a page.
    fn default() -> Self {
        Self { window: Window::default(), moments: 90 }
    }
}

impl Spacetime {
    /// Nothing has happened yet.
    pub fn new(plan: &Plan) -> Self {
        Self {
            start: Time::ZERO,
            last: Time::ZERO,
            seed: plan.seed,
            cluster: plan.nodes,
            clients: plan.load.concurrency,
            arrows: Vec::new(),
            flying: BTreeMap::new(),
            idle: Idle::default(),
            notes: Vec::new(),
            states: plan.node_ids().into_iter().map(|id| (id, vec![(Time::ZERO, DOWN)])).collect(),
            started: BTreeMap::new(),
            operations: Vec::new(),
            open: BTreeMap::new(),
            spans: Vec::new(),
            bars: Vec::new(),
            history: 0,
        }
    }

    /// The picture, as an SVG file of its own. It marks what a violation of the `accused` property
    /// names, and nothing else; where none is accused, or it held, of the property at which the run
    /// ended, else of the first that was violated.
    pub fn draw(
        &self,
        verdict: &Verdict,
        evidence: &Evidence,
        extent: &Extent,
        accused: Option<&str>,
    ) -> String {
        let ended_at = self.notes.iter().find(|note| note.violation).map(|note| &*note.words);
        let guilty = Guilty::of(verdict, evidence, self.start, accused, ended_at);
        let room = draw::room(self.cluster);
        let part = layout::part(self, &guilty, extent, draw::TOP, room);
        draw::draw(self, verdict, &guilty, &part)
    }

    fn state(&self, node: NodeId) -> State {
        let states = self.states.get(&node).and_then(|states| states.last());
        states.map_or(DOWN, |(_, state)| *state)
    }

    fn become_(&mut self, now: Time, node: NodeId, state: State) {
        if self.state(node) != state {
            self.states.entry(node).or_default().push((now, state));
        }
    }

    fn note(&mut self, time: Time, node: NodeId, label: String, words: String) {
        self.notes.push(Note { time, node, label, words, violation: false });
    }

    fn end(&mut self, now: Time, id: MessageId, message: &Message, fate: Fate) {
        let Some(number) = self.flying.remove(&id) else { return };
        let idle = self.idle.says_nothing(message, fate == Fate::Delivered);
        if idle && fate == Fate::Delivered {
            self.idle.delivered(now, message.to, number);
        }
        if let Some(arrow) = self.arrows.get_mut(number) {
            (arrow.end, arrow.fate, arrow.idle) = (now, fate, idle);
        }
    }

    fn step(&mut self, now: Time, record: &Record) {
        let Record { node, event, .. } = record;
        let state = self.state(*node);
        if let Event::Role { role, term, .. } = event {
            self.become_(now, *node, State { role: *role, term: *term, ..state });
        }
        let label = match event {
            Event::Durable { .. }
            | Event::Granted { .. }
            | Event::Acknowledged { .. }
            | Event::Applied { .. }
            | Event::Answered { .. }
            | Event::Role { role: Role::Follower, leader: None, .. } => return,
            Event::Started { term, last, .. } => {
                self.become_(now, *node, State { up: true, role: Role::Follower, term: *term });
                let (boot, cut) = self.started.remove(node).unwrap_or((record.boot, 0));
                let torn = if cut == 0 { "" } else { ", cut a torn tail" };
                format!("start {boot}: term {term}, log {last}{torn}")
            }
            Event::Term { term } => {
                self.become_(now, *node, State { role: Role::Follower, term: *term, ..state });
                format!("term {term}")
            }
            Event::Voted { candidate, .. } if candidate == node => String::new(),
            Event::Voted { candidate, .. } => format!("votes n{candidate}"),
            Event::Role { role: Role::Follower, leader: Some(leader), .. } => {
                format!("follows n{leader}")
            }
            Event::Role { role: Role::Candidate, .. } => "candidate".to_owned(),
            Event::Role { role: Role::Leader, .. } => "LEADER".to_owned(),
            Event::Appended { prev, entries } => {
                let last = entries.last().map_or(0, |(term, _)| *term);
                match entries.len() as u64 {
                    1 => format!("+{}@{last}", prev.index + 1),
                    n => format!("+{}…{}@{last}", prev.index + 1, prev.index + n),
                }
            }
            Event::Truncated { last } => format!("cuts back to {last}"),
            Event::Committed { last, .. } => format!("commits {last}"),
            Event::ReadConfirmed { .. } => "still leads".to_owned(),
            Event::Stopped {} => {
                self.become_(now, *node, DOWN);
                "stops".to_owned()
            }
        };
        for number in self.idle.step(now, *node) {
            if let Some(arrow) = self.arrows.get_mut(number) {
                arrow.idle = false;
            }
        }
        self.note(now, *node, label, format!("n{node} {event}"));
    }

    fn fault(&mut self, now: Time, record: &checker::fault::Record) {
        let over = matches!(record.phase, Phase::HealRequested | Phase::Failed);
        match record.phase {
            Phase::Applied => {
                let links = &record.links;
                let label = match links.is_empty() {
                    true => format!("{} {}", record.kind, record.nodes.join(" ")),
                    false => format!("{} {}", record.kind, record.what),
                };
                let words = words::fault(record);
                for node in 1..=self.cluster {
                    if links.iter().any(|link| link.from == node || link.to == node) {
                        let words = words.clone();
                        let cut = Some(record.fault);
                        self.spans.push(Span { node, begin: now, end: None, cut, words });
                    }
                }
                self.bars.push(Bar { fault: record.fault, begin: now, end: None, label, words });
            }
            Phase::Healed | Phase::Failed | Phase::HealRequested | Phase::Skipped => {
                let bar = self.bars.iter_mut().find(|bar| bar.fault == record.fault);
                if let Some(bar) = bar {
                    bar.end = Some(now);
                }
                for span in &mut self.spans {
                    if over && span.cut == Some(record.fault) && span.end.is_none() {
                        span.end = Some(now);
                    }
                }
            }
            Phase::Requested | Phase::Confirmed => {}
        }
    }

    fn client(&mut self, now: Time, client: u64, event: &Line) {
        let line = self.history;
        self.history += 1;
        let kind = event.place().kind;
        if kind == Kind::Invoke {
            let who = words::who(client, self.clients, self.cluster);
            let operation = Operation {
                who: who.replace("client ", "c"),
                begin: now,
                end: None,
                kind: Kind::Invoke,
                lines: vec![line],
                label: short_operation(event),
                words: format!("{who} {}", words::client(event)),
            };
            self.open.insert(client, self.operations.len());
            self.operations.push(operation);
        } else if let Some(operation) =
            self.open.remove(&client).and_then(|at| self.operations.get_mut(at))
        {
            operation.end = Some(now);
            operation.kind = kind;
            operation.lines.push(line);
            operation.words.push_str(", ");
            operation.words.push_str(&words::client(event));
            if let Line::Register(history::Event {
                kind: Kind::Ok,
                f: Function::Read,
                key,
                value,
                ..
            }) = event
            {
                operation.label = match value {
                    Value::Nil => format!("r {key}: nil"),
                    value => format!("r {key}={value}"),
                };
            }
        }
    }
}

impl Observer for Spacetime {
    fn observe(&mut self, now: Time, what: SimEvent<'_>) {
        self.last = now;
        match what {
            SimEvent::Sent { id, message, copy_of } => {
                self.flying.insert(id, self.arrows.len());
                self.arrows.push(Arrow {
                    from: message.from,
                    to: message.to,
                    term: message.term,
                    sent: now,
                    end: now,
                    fate: Fate::InFlight,
                    copy: copy_of.is_some(),
                    vote: matches!(
                        message.body,
                        Body::Raft(Raft::RequestVote { .. } | Raft::VoteReply { .. })
                    ),
                    label: short_message(&message.body),
                    words: message.to_string(),
                    idle: matches!(&message.body, Body::Raft(Raft::Append { entries, .. }) if entries.is_empty()),
                });
            }
            SimEvent::Delivered { id, message } => self.end(now, id, message, Fate::Delivered),
            SimEvent::Lost { id, message, why } => self.end(now, id, message, Fate::Lost(why)),
            SimEvent::Started { node, boot, cut } => {
                self.started.insert(node, (boot, cut));
            }
            SimEvent::Ended { node, ending, unsynced } => {
                self.become_(now, node, DOWN);
                for span in &mut self.spans {
                    if span.node == node && span.cut.is_none() && span.end.is_none() {
                        span.end = Some(now);
                    }
                }
                let label = match ending {
                    Ending::Killed => "killed",
                    Ending::Itself(_) => "ends by itself",
                    Ending::Stopped => return,
                };
                let words = words::ending(ending, unsynced).unwrap_or_default();
                self.note(now, node, label.to_owned(), format!("n{node} {words}"));
            }
            SimEvent::Paused { node } => {
                let words = format!("n{node} is paused");
                self.spans.push(Span {
                    node,
                    begin: now,
                    end: None,
                    cut: None,
                    words: words.clone(),
                });
                self.note(now, node, "paused".to_owned(), words);
            }
            SimEvent::Resumed { node } => {
                for span in &mut self.spans {
                    if span.node == node && span.cut.is_none() && span.end.is_none() {
                        span.end = Some(now);
                    }
                }
                self.note(now, node, "goes on".to_owned(), format!("n{node} goes on"));
            }
            SimEvent::Step(record) => self.step(now, record),
            SimEvent::Client { client, event } => self.client(now, client, event),
            SimEvent::Fault(record) => self.fault(now, record),
            SimEvent::Stage(Stage::Load) => self.start = now,
            SimEvent::Violation { node, summary } => self.notes.push(Note {
                time: now,
                node,
                label: String::new(),
                words: summary.to_owned(),
                violation: true,
            }),
            SimEvent::Asked { .. }
            | SimEvent::Timer { .. }
            | SimEvent::Syncing { .. }
            | SimEvent::Synced { .. }
            | SimEvent::Rolled { .. }
            | SimEvent::WindowFull { .. }
            | SimEvent::Compared { .. }
            | SimEvent::Stage(_) => {}
        }
    }
}

/// What the verdict accuses: steps of nodes and operations of clients.
#[derive(Debug, Default)]
struct Guilty {
    steps: Vec<(NodeId, Time)>,
    /// Lines of the history.
    operations: Vec<u64>,
    /// When the last of them was.
    last: Option<Time>,
    /// What is wrong, in a sentence.
    summary: Option<String>,
}

impl Guilty {
    /// What a violation names, of the accused property or of the verdict. A run that a violation
    /// ended has its summary.
    fn of(
        verdict: &Verdict,
        evidence: &Evidence,
        start: Time,
        accused: Option<&str>,
        ended_at: Option<&str>,
    ) -> Self {
        let violated = || verdict.properties.iter().filter(|it| it.outcome == Outcome::Violated);
        let ends = |found: &&Violation| ended_at == Some(&found.summary);
        let property = violated()
            .find(|it| accused == Some(&it.name))
            .or_else(|| violated().find(|it| it.violations.iter().any(|found| ends(&found))))
            .or_else(|| violated().next());
        let Some(property) = property else { return Self::default() };
        let first = property.violations.iter().find(ends).or(property.violations.first());
        let Some(first) = first else {
            return Self { summary: Some(property.detail.clone()), ..Self::default() };
        };
        let steps: Vec<_> =
            first.trace.iter().map(|line| (line.node, Time::from_nanos(line.time))).collect();
        let times = first.operations.iter().filter_map(|line| {
            Some(start + Time::from_nanos(evidence.history.get(*line)?.place().time))
        });
        let last = steps.iter().map(|(_, time)| *time).chain(times).max();
        Self {
            steps,
            operations: first.operations.clone(),
            last,
            summary: Some(first.summary.clone()),
        }
    }
}

/// A message in a word or two.
fn short_message(body: &Body) -> String {
    let body = match body {
        Body::Raft(body) => body,
        Body::Propose { .. } => return "command".to_owned(),
        Body::ProposeRefused { .. } => return "refused".to_owned(),
    };
    match body {
        Raft::RequestVote { .. } => "vote?".to_owned(),
        Raft::VoteReply { granted: true } => "vote".to_owned(),
        Raft::VoteReply { granted: false } => "no vote".to_owned(),
        Raft::Append { entries, commit, .. } => match (entries.first(), entries.last()) {
            (Some(first), Some(last)) if first.index < last.index => {
                format!("{}…{}@{}", first.index, last.index, last.term)
            }
            (_, Some(only)) => format!("{}@{}", only.index, only.term),
            _ => format!("beat, c{commit}"),
        },
        Raft::AppendReply { result: Ok(matched), .. } => format!("ok {matched}"),
        Raft::AppendReply { result: Err(Conflict { term: 0, index }), .. } => {
            format!("lacks {index}")
        }
        Raft::AppendReply { result: Err(Conflict { index, .. }), .. } => {
            format!("conflict {index}")
        }
        Raft::ReadIndex { .. } => "read?".to_owned(),
        Raft::ReadIndexReply { index: Some(index), .. } => format!("read at {index}"),
        Raft::ReadIndexReply { index: None, .. } => "no read".to_owned(),
    }
}

/// An operation in a word or two.
fn short_operation(event: &Line) -> String {
    let event = match event {
        Line::Register(event) => event,
        Line::Generic(event) => return words::short(event),
    };
    let key = &event.key;
    match (event.f, event.value) {
        (Function::Read, _) => format!("r {key}"),
        (Function::Write, value) => format!("w {key}={value}"),
        (Function::Cas, Value::Pair(Some(old), new)) => format!("{key}: {old}→{new}"),
        (Function::Cas, Value::Pair(None, new)) => format!("{key}: nil→{new}"),
        (Function::Cas, value) => format!("{key}: {value}"),
        (Function::Delete, _) => format!("del {key}"),
    }
}
