//! The incremental checker: one line of a trace after the other, judged by every rule.

use proto::trace::{Event, Record};

use super::{
    rules::{self, Kind, Rule},
    state::{Cluster, Node},
};

/// A line's position in the order in which lines were observed, from 0.
pub type Line = u64;

/// No rule reports more violations than this: the first ones tell, the others follow from them.
pub const VIOLATIONS_PER_RULE: usize = 10;

/// A violation of a rule, as found on the line that completed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// What happened, in a sentence.
    pub summary: String,
    /// Nodes concerned, ascending.
    pub nodes: Vec<u64>,
    /// Lines concerned, ascending.
    pub lines: Vec<Line>,
    /// Whether all that is wrong is that a step of another node came too late, or never: in
    /// another order of the same lines nothing might be.
    pub by_order: bool,
}

/// A line, and what was known before it.
pub(super) struct Step<'a> {
    /// The line's position.
    pub(super) line: Line,
    /// The line itself.
    pub(super) record: &'a Record,
    /// All nodes before it.
    pub(super) cluster: &'a Cluster,
    /// The line's node before it.
    pub(super) node: &'a Node,
}

impl Step<'_> {
    /// The line's event.
    pub(super) fn event(&self) -> &Event {
        &self.record.event
    }

    /// The line's node.
    pub(super) fn id(&self) -> u64 {
        self.record.node
    }

    /// The index behind which the line removes entries from its node's log; none if it does not.
    pub(super) fn kept(&self) -> Option<u64> {
        match self.event() {
            Event::Truncated { last: kept } | Event::Appended { prev: kept, .. } => {
                Some(kept.index).filter(|kept| *kept < self.node.log.last_index())
            }
            _ => None,
        }
    }
}

/// Where a rule puts what it finds on a line.
pub(super) struct Report<'a> {
    rule: &'static str,
    node: u64,
    line: Line,
    /// Violations of this rule so far.
    found: &'a mut usize,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    /// The line violates the rule, together with other nodes and earlier lines.
    pub(super) fn violation(&mut self, summary: String, nodes: &[u64], lines: &[Line]) {
        self.add(summary, nodes, lines, false);
    }

    /// The line violates the rule, as it has no cause: what must have come before it on another
    /// node did not.
    pub(super) fn uncaused(&mut self, summary: String, nodes: &[u64], lines: &[Line]) {
        self.add(summary, nodes, lines, true);
    }

    fn add(&mut self, summary: String, nodes: &[u64], lines: &[Line], by_order: bool) {
        if *self.found == VIOLATIONS_PER_RULE {
            return;
        }
        *self.found += 1;
        let mut finding = Finding {
            rule: self.rule,
            summary,
            nodes: [&[self.node], nodes].concat(),
            lines: [&[self.line], lines].concat(),
            by_order,
        };
        finding.nodes.sort_unstable();
        finding.nodes.dedup();
        finding.lines.sort_unstable();
        finding.lines.dedup();
        self.findings.push(finding);
    }
}

/// What a [`Checker`] that found nothing has examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Lines observed.
    pub lines: u64,
    /// Each rule's name and what it examined, in a fixed order.
    pub rules: Vec<(&'static str, String)>,
}

/// A rule, and how often it was violated.
struct Judge {
    name: &'static str,
    rule: Box<dyn Rule + Send>,
    found: usize,
}

/// Judges the steps of a cluster one by one, in any order in which a cause comes before its effect
/// and the steps of one node keep their order. The verdict does not depend on which one.
///
/// Steps cost amortised constant time. Memory grows with the log (8 bytes an entry and node, and
/// 120 bytes an entry of the cluster) and with terms, not with steps.
pub struct Checker {
    cluster: Cluster,
    judges: Vec<Judge>,
    /// For each kind of line, the places of the judges that look at it, ascending.
    looks: [Vec<usize>; Kind::COUNT],
    findings: Vec<Finding>,
    line: Line,
}

impl Default for Checker {
    fn default() -> Self {
        Self::new()
    }
}

impl Checker {
    /// A checker that has seen nothing yet.
    pub fn new() -> Self {
        let mut looks = [const { Vec::new() }; Kind::COUNT];
        let mut judges = Vec::new();
        for (place, rule) in rules::all().into_iter().enumerate() {
            rule.kinds().iter().for_each(|kind| looks[*kind as usize].push(place));
            judges.push(Judge { name: rule.name(), rule, found: 0 });
        }
        Self { cluster: Cluster::default(), judges, looks, findings: Vec::new(), line: 0 }
    }

    /// This node's trace is incomplete: that it does not say that a step happened proves nothing.
    /// Must be called before lines that depend on the node are observed.
    pub fn lost(&mut self, node: u64) {
        self.cluster.lost.insert(node);
    }

    /// Takes the next line; gives what it violates.
    pub fn observe(&mut self, record: &Record) -> &[Finding] {
        let before = self.findings.len();
        let account = self.cluster.enter(record.node);
        let node = self.cluster.account(account);
        let step = Step { line: self.line, record, cluster: &self.cluster, node };
        for place in &self.looks[Kind::of(&record.event) as usize] {
            let Judge { name, rule, found } = &mut self.judges[*place];
            let findings = &mut self.findings;
            let (node, line) = (record.node, self.line);
            let mut report = Report { rule: name, node, line, found, findings };
            rule.observe(&step, &mut report);
        }
        self.cluster.apply(account, record, self.line);
        self.line += 1;
        self.findings.get(before..).unwrap_or(&[])
    }

    /// All findings so far, in order of their lines.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Each rule's name and what it examined so far, in a fixed order.
    pub fn rules(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.judges.iter().map(|judge| (judge.name, judge.rule.examined()))
    }

    /// What was examined, where nothing was found in whole traces.
    pub fn passed(&self) -> Option<Passed> {
        let clean = self.findings.is_empty() && self.cluster.lost.is_empty();
        clean.then(|| Passed { lines: self.line, rules: self.rules().collect() })
    }
}
