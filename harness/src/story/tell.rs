//! Tells a run in lines.

use std::collections::{BTreeMap, BTreeSet};

use checker::verdict::{Outcome, Verdict};
use node::{
    raft::Body as Raft,
    replica::{Body, Message, Time},
};
use proto::trace::{Event, Record, Role, words::nodes};

use super::{
    Window,
    idle::Idle,
    words::{self, count, length},
};
use crate::{
    cluster::sim::{MessageId, Observer, SimEvent},
    exercise::Stage,
    nemesis::NodeId,
    plan::Plan,
};

/// A message that takes longer is said to.
const LONG_WAY: Time = Time::from_millis(5);
/// Violations of one property that are told.
const VIOLATIONS_TOLD: usize = 3;

/// What of a story is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown {
    /// Which part.
    pub window: Window,
    /// Heartbeats that change nothing, too.
    pub heartbeats: bool,
}

/// Something that happened, in words.
#[derive(Debug)]
struct Line {
    time: Time,
    /// `n1`, `n1 → n2`, `client 4`; empty: the run itself.
    who: String,
    what: String,
    /// A heartbeat, or an answer to one, from which nothing followed.
    idle: bool,
}

/// What a node is about, between two happenings.
#[derive(Debug, Default)]
struct Node {
    /// Number of its latest start, and bytes of a torn tail, until it says how it starts.
    started: Option<(u64, u64)>,
    /// The latest term that a message told it of.
    told: u64,
    /// Votes that it heard of, for itself: the term, the voters.
    votes: (u64, BTreeSet<NodeId>),
}

/// Listens to a run and tells its story.
#[derive(Debug)]
pub struct Teller {
    /// Time 0 of the story.
    start: Time,
    lines: Vec<Line>,
    nodes: BTreeMap<NodeId, Node>,
    /// Messages in flight: when they left, and whether they are copies.
    flying: BTreeMap<MessageId, (Time, bool)>,
    idle: Idle,
    clients: u64,
    cluster: u64,
}

impl Teller {
    /// Nothing has happened yet.
    pub fn new(plan: &Plan) -> Self {
        Self {
            start: Time::ZERO,
            lines: Vec::new(),
            nodes: BTreeMap::new(),
            flying: BTreeMap::new(),
            idle: Idle::default(),
            clients: plan.load.concurrency,
            cluster: plan.nodes,
        }
    }

    /// The story, and the verdict in a paragraph of its own.
    pub fn tell(&self, verdict: &Verdict, shown: &Shown) -> String {
        let since = |line: &Line| line.time.as_nanos() as i128 - self.start.as_nanos() as i128;
        let (mut idle, mut outside) = (0, 0);
        let mut told = Vec::new();
        for line in &self.lines {
            if !shown.window.contains(since(line)) {
                outside += 1;
            } else if line.idle && !shown.heartbeats {
                idle += 1;
            } else {
                told.push((words::moment(since(line)), line));
            }
        }
        let widest = |width: fn(&(String, &Line)) -> usize| told.iter().map(width).max();
        let times = widest(|(time, _)| time.len()).unwrap_or(0);
        let whos = widest(|(_, line)| line.who.chars().count()).unwrap_or(0);
        let mut story = String::new();
        for (time, Line { who, what, .. }) in &told {
            if who.is_empty() {
                story.push_str(&format!("{time:>times$}  ── {what}\n"));
            } else {
                story.push_str(&format!("{time:>times$}  {who:<whos$}  {what}\n"));
            }
        }
        if idle > 0 {
            story.push_str(&format!("\n{} left out.", words::idle(idle)));
        }
        if outside > 0 {
            let left = count(outside, "line");
            story.push_str(&format!("\n{left} before and after this part left out."));
        }
        story.push_str(if idle > 0 || outside > 0 { "\n\n" } else { "\n" });
        story.push_str(&conclusion(verdict));
        story
    }

    fn line(&mut self, time: Time, who: String, what: String) {
        self.lines.push(Line { time, who, what, idle: false });
    }

    fn node(&mut self, time: Time, id: NodeId, what: impl Into<String>) {
        self.line(time, format!("n{id}"), what.into());
    }

    /// A message's end: taken in, or lost.
    fn message(&mut self, now: Time, id: MessageId, message: &Message, lost: Option<&str>) {
        let Message { from, to, term, body, .. } = message;
        let (sent, copy) = self.flying.remove(&id).unwrap_or((now, false));
        let mut what = format!("{body} (term {term}");
        if now - sent >= LONG_WAY {
            what.push_str(&format!(", {} on its way", length(now - sent)));
        }
        what.push_str(if copy { ", a copy)" } else { ")" });
        if let Some(lost) = lost {
            what.push_str(": ");
            what.push_str(lost);
        }
        let idle = self.idle.says_nothing(message, lost.is_none());
        if idle && lost.is_none() {
            self.idle.delivered(now, *to, self.lines.len());
        }
        if lost.is_none() {
            let told = &mut self.nodes.entry(*to).or_default().told;
            *told = (*told).max(*term);
        }
        self.lines.push(Line { time: now, who: format!("n{from} → n{to}"), what, idle });
        if let (Body::Raft(Raft::VoteReply { granted: true }), None) = (body, lost) {
            let votes = &mut self.nodes.entry(*to).or_default().votes;
            if votes.0 != *term {
                *votes = (*term, BTreeSet::from([*to]));
            }
            votes.1.insert(*from);
        }
    }

    fn step(&mut self, now: Time, record: &Record) {
        let node = self.nodes.entry(record.node).or_default();
        let what = match &record.event {
            // Said already by the messages, by the clients, or by the step before.
            Event::Role { role: Role::Follower, leader: None, .. }
            | Event::Durable { .. }
            | Event::Granted { .. }
            | Event::Acknowledged { .. }
            | Event::Applied { .. }
            | Event::Answered { .. } => return,
            event @ Event::Started { .. } => {
                let (boot, cut) = node.started.take().unwrap_or((record.boot, 0));
                let torn = match cut {
                    0 => String::new(),
                    cut => format!("; it cut {cut} bytes of a torn tail"),
                };
                format!("{event} (boot {boot}){torn}")
            }
            // A timer may go off in the moment in which a message is taken in, or unseen.
            event @ Event::Term { term } if node.told < *term => {
                format!("hears from no leader and {event}")
            }
            event @ Event::Role { term, role: Role::Leader, .. } => {
                let (of, voters) = &node.votes;
                let alone = BTreeSet::from([record.node]);
                let voters = if of == term { voters } else { &alone };
                format!("{event} (votes of {})", nodes(voters))
            }
            event => event.to_string(),
        };
        for line in self.idle.step(now, record.node) {
            if let Some(line) = self.lines.get_mut(line) {
                line.idle = false;
            }
        }
        self.node(now, record.node, what);
    }
}

impl Observer for Teller {
    fn observe(&mut self, now: Time, what: SimEvent<'_>) {
        match what {
            SimEvent::Sent { id, copy_of, .. } => {
                self.flying.insert(id, (now, copy_of.is_some()));
            }
            SimEvent::Delivered { id, message } => self.message(now, id, message, None),
            SimEvent::Lost { id, message, why } => {
                self.message(now, id, message, Some(words::loss(why)));
            }
            SimEvent::Started { node, boot, cut } => {
                let started = Node { started: Some((boot, cut)), ..Node::default() };
                self.nodes.insert(node, started);
            }
            SimEvent::Ended { node, ending, unsynced } => {
                if let Some(what) = words::ending(ending, unsynced) {
                    self.node(now, node, what);
                }
            }
            SimEvent::Paused { node } => self.node(now, node, "is paused"),
            SimEvent::Resumed { node } => self.node(now, node, "goes on"),
            SimEvent::Syncing { node, takes, slow: true } => {
                let what = format!("waits for its disk: a sync takes {}", length(takes));
                self.node(now, node, what);
            }
            SimEvent::Asked { .. }
            | SimEvent::Timer { .. }
            | SimEvent::Syncing { slow: false, .. }
            | SimEvent::Synced { .. }
            | SimEvent::WindowFull { .. }
            | SimEvent::Compared { .. } => {}
            SimEvent::Rolled { node } => self.node(now, node, "begins a new segment of its log"),
            SimEvent::Step(record) => self.step(now, record),
            SimEvent::Client { client, event } => {
                let who = words::who(client, self.clients, self.cluster);
                self.line(now, who, words::client(event));
            }
            SimEvent::Fault(record) => {
                self.line(now, "nemesis".to_owned(), words::fault(record));
            }
            SimEvent::Stage(stage) => {
                if stage == Stage::Load {
                    self.start = now;
                }
                self.line(now, String::new(), words::stage(stage).to_owned());
            }
            SimEvent::Violation { node, summary } => {
                let what = format!("VIOLATES Raft's safety with this step: {summary}");
                self.node(now, node, what);
            }
        }
    }
}

/// The verdict: in a sentence, or, where something was violated, all that was.
fn conclusion(verdict: &Verdict) -> String {
    let mut text = format!("{}\n", verdict.summary);
    let violated =
        verdict.properties.iter().filter(|property| property.outcome == Outcome::Violated);
    for property in violated {
        for violation in property.violations.iter().take(VIOLATIONS_TOLD) {
            text.push_str(&format!("  {}: {}\n", property.name, violation.summary));
        }
        if let Some(more) = property.violations.len().checked_sub(VIOLATIONS_TOLD)
            && more > 0
        {
            text.push_str(&format!("  {}: and {more} more\n", property.name));
        }
    }
    text
}
