//! Whether the evidence is whole. A trace with a gap is no bug of Raft, but nothing that rests on
//! it can be called safe either.

use std::collections::BTreeSet;

use proto::trace::{Event, Position, Record};

use crate::{
    evidence::Run,
    text::counted,
    verdict::{Outcome, Property},
};

/// Name of the property.
pub(super) const NAME: &str = "trace-integrity";

/// What can be relied on.
pub(super) struct Evidence<'a> {
    /// Each trace up to its first flaw.
    pub(super) intact: Vec<&'a [Record]>,
    /// Nodes whose trace is missing or flawed.
    pub(super) lost: BTreeSet<u64>,
    /// Each flaw, in a sentence.
    pub(super) flaws: Vec<String>,
}

impl Evidence<'_> {
    /// Number of lines that can be relied on.
    pub(super) fn lines(&self) -> usize {
        self.intact.iter().map(|trace| trace.len()).sum()
    }

    /// The verdict on the evidence itself: never a violation, at worst unknown.
    pub(super) fn property(&self) -> Property {
        let (outcome, detail) = if self.flaws.is_empty() {
            let traces = counted(self.intact.len() as u64, "trace");
            (Outcome::Ok, format!("{} in {traces}", counted(self.lines() as u64, "line")))
        } else {
            (Outcome::Unknown, self.flaws.join("; "))
        };
        Property { name: NAME.to_owned(), outcome, detail, violations: Vec::new() }
    }
}

/// Examines the traces of a run (of 0 nodes: of as many as the traces say).
pub(super) fn examine<'a>(traces: &'a [Vec<Record>], run: &Run) -> Evidence<'a> {
    let Run { nodes, never_started, .. } = run;
    let nodes = *nodes;
    let mut evidence = Evidence { intact: Vec::new(), lost: BTreeSet::new(), flaws: Vec::new() };
    let mut seen = BTreeSet::new();
    let mut voters: Option<(u64, &[u64])> = None;
    for trace in traces {
        let Some(first) = trace.first() else { continue };
        let node = first.node;
        if never_started.contains(&node) {
            evidence.flaws.push(format!("there is a trace of n{node}, which was never started"));
        }
        if !seen.insert(node) {
            evidence.flaws.push(format!("there are two traces of n{node}"));
            evidence.lost.insert(node);
            continue;
        }
        let mut reader = Reader { node, ..Reader::default() };
        let mut intact = trace.as_slice();
        for (at, record) in trace.iter().enumerate() {
            let mut flaw = reader.read(record).err();
            if let (None, Event::Started { voters: mine, .. }) = (&flaw, &record.event) {
                flaw = if !mine.is_sorted_by(|a, b| a < b) {
                    Some(format!("its voters are {mine:?}, not in ascending order"))
                } else if !mine.contains(&node) {
                    Some(format!("it is none of the voters {mine:?}"))
                } else {
                    let (other, theirs) = *voters.get_or_insert((node, mine));
                    (theirs != mine).then(|| {
                        format!("its voters are {mine:?}, but those of n{other} are {theirs:?}")
                    })
                };
            }
            if let Some(flaw) = flaw {
                let line = at + 1;
                evidence.flaws.push(format!(
                    "line {line} of the trace of n{node} (boot {}, seq {}): {flaw}",
                    record.boot, record.seq
                ));
                evidence.lost.insert(node);
                intact = &trace[..at];
                break;
            }
        }
        evidence.intact.push(intact);
    }
    for node in voters.map_or(&[][..], |(_, voters)| voters) {
        if !seen.contains(node) && !never_started.contains(node) {
            evidence.flaws.push(format!("there is no trace of n{node}"));
            evidence.lost.insert(*node);
        }
    }
    let known = seen.len().max(voters.map_or(0, |(_, voters)| voters.len()));
    if seen.is_empty() {
        evidence.flaws.push("there is no trace of any node".to_owned());
    } else if nodes > 0 && known != nodes {
        evidence.flaws.push(format!("there are traces of {known} nodes, but {nodes} took part"));
    }
    for node in &run.lost {
        evidence.flaws.push(format!("the trace of n{node} is not as long as it was"));
        evidence.lost.insert(*node);
    }
    evidence
}

/// Reads the trace of one node and knows what must come next.
#[derive(Default)]
struct Reader {
    node: u64,
    boot: u64,
    seq: u64,
    clock: Option<u64>,
    stopped: bool,
}

impl Reader {
    /// Takes the next line, or says what is wrong with it.
    fn read(&mut self, record: &Record) -> Result<(), String> {
        if record.node != self.node {
            return Err(format!("it is a line of n{}", record.node));
        }
        if record.boot == 0 {
            return Err("boots are counted from 1".to_owned());
        }
        if let Some(clock) = self.clock
            && record.clock <= clock
        {
            return Err(format!("its clock is {}, after {clock}", record.clock));
        }
        if let Event::Started { term, vote, last, .. } = &record.event {
            // Boots need not be consecutive: a node that is killed when its boot number is on disk,
            // but before its first line, leaves a boot without lines. A boot number that comes
            // again is no gap either but a disk that forgot: a matter of the rules.
            if record.seq != 0 {
                return Err("the first lines of this boot are missing".to_owned());
            }
            let begins = |with: String| Err(format!("the trace begins with {with}"));
            match (self.clock, vote, term) {
                (Some(_), ..) => {}
                _ if *last != Position::default() => {
                    return begins(format!("a log of {} entries", last.index));
                }
                (None, Some(vote), _) => return begins(format!("a vote for n{vote}")),
                (None, None, 0) => {}
                (None, None, term) => return begins(format!("term {term}")),
            }
        } else if record.boot != self.boot {
            return Err(format!("boot {} did not begin with `started`", record.boot));
        } else if self.stopped {
            return Err("the node had stopped before".to_owned());
        } else if record.seq != self.seq {
            return Err(format!("{} was expected: lines are missing", self.seq));
        }
        self.boot = record.boot;
        self.seq = record.seq + 1;
        self.clock = Some(record.clock);
        self.stopped = record.event == Event::Stopped {};
        Ok(())
    }
}
