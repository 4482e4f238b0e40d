//! The evidence of a simulated run, in memory; Raft's safety is checked on each step as it comes.

use checker::{
    evidence::{Crash, Ending, Evidence, Run},
    fault,
    history::{self, lines::Line},
    raft::{Checker, Passed},
};
use proto::trace;

use super::past::Lived;
use crate::{nemesis::NodeId, plan::Plan};

/// There is room from the beginning for no more operations than these.
const OPERATIONS_MAX: u64 = 10_000;

/// The evidence so far.
pub(in crate::cluster) struct Recorder {
    evidence: Evidence,
    checker: Checker,
    violation: Option<String>,
}

impl Recorder {
    /// Nothing yet, with room for what the plan may bring.
    pub(in crate::cluster) fn new(plan: &Plan) -> Self {
        let operations = plan.load.rate.saturating_mul(plan.time.as_secs()).min(OPERATIONS_MAX);
        // An operation begins and ends, and a node takes about two steps for each. Lists that are
        // copied whenever they have doubled would cost more than what is written to them.
        let room = 2 * operations as usize + operations as usize / 2;
        let traces = plan.node_ids().iter().map(|_| Vec::with_capacity(room)).collect();
        let history = Vec::<history::Event>::with_capacity(room).into();
        let run = Run { model: plan.workload.model().into(), ..Run::default() };
        let evidence = Evidence { history, traces, run, ..Evidence::default() };
        Self { evidence, checker: Checker::new(), violation: None }
    }

    /// What the nodes have behind them comes first, and is judged like the rest.
    pub(super) fn begin_with(&mut self, past: &Lived) {
        for line in &past.lines {
            self.trace(line.clone());
        }
        let run = &mut self.evidence.run;
        run.crashes.extend_from_slice(&past.crashes);
        run.incomplete.extend_from_slice(&past.incomplete);
    }

    /// A client's event; it gets its number here.
    pub(in crate::cluster) fn event(&mut self, mut event: Line) {
        event.number(self.evidence.history.len() as u64);
        self.evidence.run.duration = event.place().time;
        self.evidence.history.push(event);
    }

    /// A phase of a fault.
    pub(in crate::cluster) fn fault(&mut self, record: fault::Record) {
        self.evidence.faults.push(record);
    }

    /// A step of a node. Whether it is the first that violates Raft's safety.
    pub(in crate::cluster) fn trace(&mut self, record: trace::Record) -> bool {
        let found = self.checker.observe(&record).first();
        let first = match (found, &self.violation) {
            (Some(found), None) => {
                self.violation = Some(found.summary.clone());
                true
            }
            _ => false,
        };
        if let Some(trace) = self.evidence.traces.get_mut(record.node as usize - 1) {
            trace.push(record);
        }
        first
    }

    /// Something keeps the evidence from being complete.
    pub(in crate::cluster) fn incomplete(&mut self, why: String) {
        self.evidence.run.incomplete.push(why);
    }

    /// A node ended for no reason but its own.
    pub(in crate::cluster) fn crash(&mut self, node: NodeId, ending: Ending, how: String) {
        self.evidence.run.crashes.push(Crash { node, ending, how });
    }

    /// The first violation of Raft's safety.
    pub(in crate::cluster) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// What `run.json` will say.
    pub(in crate::cluster) fn run(&mut self) -> &mut Run {
        &mut self.evidence.run
    }

    /// All of it, and what was examined where nothing was found.
    pub(in crate::cluster) fn finish(self) -> (Evidence, Option<Passed>) {
        let passed = self.checker.passed();
        (self.evidence, passed)
    }
}
