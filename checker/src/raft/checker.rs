//! The incremental checker: one line of a trace after the other, judged by every rule.

use proto::trace::Record;

use super::{
    rules::{self, Kind, Rule},
    state::{Cluster, Line},
    step::{Finding, Report, Step},
};

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
