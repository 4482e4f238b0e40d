//! What the nodes said of themselves so far. Pure bookkeeping: it judges nothing, and where an
//! account does not add up it follows the account, so that one fault is not reported twice.

use std::collections::{BTreeMap, BTreeSet};

use proto::trace::{Event, Position, Record, Role};

use super::log::Log;

/// A line's position in the order in which lines were observed, from 0.
pub type Line = u64;

/// A node's latest account of itself.
#[derive(Debug)]
pub(super) struct Node {
    /// Its present boot; 0 before its first line.
    pub(super) boot: u64,
    /// Line of its latest start.
    pub(super) started: Line,
    /// All voting members, ascending.
    pub(super) voters: Vec<u64>,
    /// Term in memory.
    pub(super) term: u64,
    /// Vote in memory, in `term`, and its line.
    pub(super) vote: Option<(u64, Line)>,
    /// Role in `term`.
    pub(super) role: Role,
    /// Line that gave the role.
    pub(super) role_line: Line,
    /// The leader of `term`, where it knows one.
    pub(super) leader: Option<u64>,
    /// The term from which it entered `term`, until it says in which role.
    pub(super) entered_from: Option<u64>,
    /// Each term and vote that it had in memory, from the latest that its disk confirmed on: with
    /// one of them it comes back after a crash.
    pub(super) memory: Vec<(u64, Option<u64>)>,
    /// Log in memory.
    pub(super) log: Log,
    /// What must outlive a crash.
    pub(super) durable: Durable,
    /// Votes that had an effect (durable, granted or used to lead), by term, with their lines.
    pub(super) ballots: BTreeMap<u64, (u64, Line)>,
    /// Commit index of this boot, and its line.
    pub(super) commit: (u64, Line),
    /// Last applied index of this boot, and its line.
    pub(super) applied: (u64, Line),
}

impl Default for Node {
    fn default() -> Self {
        Self {
            boot: 0,
            started: 0,
            voters: Vec::new(),
            term: 0,
            vote: None,
            role: Role::Follower,
            role_line: 0,
            leader: None,
            entered_from: None,
            memory: vec![(0, None)],
            log: Log::default(),
            durable: Durable::default(),
            ballots: BTreeMap::new(),
            commit: (0, 0),
            applied: (0, 0),
        }
    }
}

/// What a node's disk held at its start or confirmed, or the node promised, over all boots.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Durable {
    /// Highest durable term.
    pub(super) term: u64,
    /// Line that said so.
    pub(super) term_line: Line,
    /// Last durable entry of the present log.
    pub(super) index: u64,
    /// Line that said so.
    pub(super) index_line: Line,
}

/// What happened in one term, on all nodes.
#[derive(Debug, Default)]
pub(super) struct Term {
    /// Who was elected first.
    pub(super) leader: Option<Leader>,
    /// Candidates, each with the last entry of its log.
    pub(super) candidates: Vec<(u64, Position, Line)>,
    /// Nodes that followed a leader in it.
    pub(super) followers: Vec<u64>,
    /// Votes that were sent: (voter, candidate).
    pub(super) granted: Vec<(u64, u64, Line)>,
    /// The farthest entry that each node acknowledged: (node, to whom, entry).
    pub(super) acknowledged: Vec<(u64, u64, Position, Line)>,
}

/// The leader of a term.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leader {
    /// The node.
    pub(super) node: u64,
    /// The line that says so.
    pub(super) line: Line,
}

/// All nodes and terms.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    /// A handful: looking at each is faster than a tree.
    nodes: Vec<(u64, Node)>,
    terms: BTreeMap<u64, Term>,
    /// Nodes whose trace is incomplete: that they never did a step proves nothing.
    pub(super) lost: BTreeSet<u64>,
}

impl Cluster {
    /// Opens the account of a node that is about to say its first line. Gives its place.
    pub(super) fn enter(&mut self, id: u64) -> usize {
        match self.nodes.iter().position(|(known, _)| *known == id) {
            Some(place) => place,
            None => {
                self.nodes.push((id, Node::default()));
                self.nodes.len() - 1
            }
        }
    }

    /// The account at a place that [`Cluster::enter`] gave.
    pub(super) fn account(&self, place: usize) -> &Node {
        &self.nodes[place].1
    }

    /// The node's account, where it has one.
    pub(super) fn get(&self, id: u64) -> Option<&Node> {
        self.nodes.iter().find(|(known, _)| *known == id).map(|(_, node)| node)
    }

    /// What happened in a term so far.
    pub(super) fn term(&self, term: u64) -> Option<&Term> {
        self.terms.get(&term)
    }

    /// The leader of a term.
    pub(super) fn leader(&self, term: u64) -> Option<Leader> {
        self.term(term)?.leader
    }

    /// Takes in what the line says, into the account at a place that [`Cluster::enter`] gave.
    pub(super) fn apply(&mut self, place: usize, record: &Record, line: Line) {
        let node = &mut self.nodes[place].1;
        match &record.event {
            Event::Started { term, vote, last, voters } => {
                node.boot = record.boot;
                node.started = line;
                node.voters.clone_from(voters);
                node.term = *term;
                node.vote = vote.map(|candidate| (candidate, line));
                node.role = Role::Follower;
                node.role_line = line;
                (node.leader, node.entered_from) = (None, None);
                node.memory = vec![(*term, *vote)];
                node.log.recover(*last);
                if let Some(candidate) = vote {
                    node.ballots.entry(*term).or_insert((*candidate, line));
                }
                let index = node.log.last_index();
                node.durable = Durable { term: *term, term_line: line, index, index_line: line };
                node.commit = (0, line);
                node.applied = (0, line);
            }
            Event::Term { term } => {
                (node.leader, node.entered_from) = (None, Some(node.term));
                node.memory.push((*term, None));
                node.term = *term;
                node.vote = None;
                // A node that leaves its term leads no more, even before it says so.
                node.role = Role::Follower;
                node.role_line = line;
            }
            Event::Voted { candidate, .. } => {
                node.vote = Some((*candidate, line));
                node.memory.push((node.term, Some(*candidate)));
            }
            Event::Role { term, role, leader, last } => {
                node.role = *role;
                node.role_line = line;
                (node.leader, node.entered_from) = (*leader, None);
                node.term = *term;
                let entry = self.terms.entry(*term).or_default();
                match role {
                    Role::Follower => {
                        if leader.is_some() && !entry.followers.contains(&record.node) {
                            entry.followers.push(record.node);
                        }
                    }
                    Role::Candidate => entry.candidates.push((record.node, *last, line)),
                    Role::Leader => {
                        node.ballots.entry(*term).or_insert((record.node, line));
                        let leader = Leader { node: record.node, line };
                        entry.leader.get_or_insert(leader);
                    }
                }
            }
            Event::Appended { prev, entries } => {
                if prev.index <= node.log.last_index() {
                    node.truncate(prev.index);
                    for (term, hash) in entries {
                        node.log.push(*term, *hash);
                    }
                }
            }
            Event::Truncated { last } => {
                node.truncate(last.index);
            }
            Event::Durable { term, vote, last } => {
                if let Some(candidate) = vote {
                    node.ballots.insert(*term, (*candidate, line));
                }
                match node.memory.iter().position(|known| *known == (*term, *vote)) {
                    Some(confirmed) => drop(node.memory.drain(..confirmed)),
                    None => node.memory.insert(0, (*term, *vote)),
                }
                node.keep(*term, *last, line);
            }
            Event::Granted { term, candidate } => {
                node.ballots.entry(*term).or_insert((*candidate, line));
                node.keep(*term, Position::default(), line);
                let entry = self.terms.entry(*term).or_default();
                if !entry.granted.iter().any(|g| (g.0, g.1) == (record.node, *candidate)) {
                    entry.granted.push((record.node, *candidate, line));
                }
            }
            Event::Acknowledged { term, leader, last } => {
                node.keep(*term, *last, line);
                let acknowledged = &mut self.terms.entry(*term).or_default().acknowledged;
                match acknowledged.iter_mut().find(|a| (a.0, a.1) == (record.node, *leader)) {
                    Some(known) if known.2.index < last.index => (known.2, known.3) = (*last, line),
                    Some(_) => {}
                    None => acknowledged.push((record.node, *leader, *last, line)),
                }
            }
            Event::Committed { last, .. } => node.commit = (node.commit.0.max(last.index), line),
            Event::Applied { last, .. } => node.applied = (node.applied.0.max(last.index), line),
            Event::Answered { .. } | Event::ReadConfirmed { .. } | Event::Stopped {} => {}
        }
    }
}

impl Node {
    /// Term and log up to `last` must outlive a crash from now on.
    fn keep(&mut self, term: u64, last: Position, line: Line) {
        if term > self.durable.term {
            (self.durable.term, self.durable.term_line) = (term, line);
        }
        if last.index > self.durable.index && last.index <= self.log.last_index() {
            (self.durable.index, self.durable.index_line) = (last.index, line);
            self.log.durable(last.index);
        }
    }

    fn truncate(&mut self, index: u64) {
        self.log.truncate(index);
        self.durable.index = self.durable.index.min(index);
    }

    /// Whether `count` voters are a majority.
    pub(super) fn is_majority(&self, count: usize) -> bool {
        count * 2 > self.voters.len()
    }
}
