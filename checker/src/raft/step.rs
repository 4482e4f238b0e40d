//! One step of a trace as rules see it, and where they put what they find.

use proto::trace::{Event, Record};

use super::state::{Cluster, Line, Node};
use crate::verdict::VIOLATIONS_MAX;

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
    pub(super) rule: &'static str,
    pub(super) node: u64,
    pub(super) line: Line,
    /// Violations of this rule so far.
    pub(super) found: &'a mut usize,
    pub(super) findings: &'a mut Vec<Finding>,
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
        if *self.found == VIOLATIONS_MAX {
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
