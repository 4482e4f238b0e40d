//! What a check says: an outcome per property, and violations that a person understands.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{history::generic, text::count, version::Version};

/// Violations of one property that are listed; more are only counted.
pub(crate) const VIOLATIONS_MAX: usize = 10;

/// The outcome of a property or of a whole run. Ordered by weight: a violation outranks everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The property held.
    Ok,
    /// Undecided: a budget ran out, a fault was inert, or too little happened.
    Unknown,
    /// The property was violated.
    Violated,
}

impl Outcome {
    /// The exit code of a command that ends with this outcome.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Violated => 1,
            Self::Unknown => 2,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Violated => "violated",
        })
    }
}

/// `verdict.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The format of `verdict.json`.
    pub version: Version<1>,
    /// The weightiest outcome of all properties.
    pub outcome: Outcome,
    /// The verdict in one sentence.
    pub summary: String,
    /// Every property that was checked, in a fixed order.
    pub properties: Vec<Property>,
    /// Properties that are undecided for one reason, which another property states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
    /// What of the store's API no operation of the run tested; see [`crate::surface`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_tested: Vec<String>,
    /// Properties that cannot be judged for the system, which writes no traces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<String>,
}

/// Properties that are undecided for one reason only, so that one line says it all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    /// Their names.
    pub names: Vec<String>,
    /// What they are, such as `trace properties`.
    pub what: String,
    /// What can be said of all of them.
    pub detail: String,
}

/// Where something is missing, these say what; other properties are undecided because of it.
const CAUSES: [&str; 2] = ["completeness", "trace-integrity"];

impl Verdict {
    /// The verdict that these properties come to: the weightiest outcome, and why.
    pub fn of(properties: Vec<Property>) -> Self {
        Self::folded(properties, None)
    }

    /// The same, where some properties are undecided for one reason only.
    pub(crate) fn folded(properties: Vec<Property>, fold: Option<Fold>) -> Self {
        let outcome = properties.iter().map(|p| p.outcome).max().unwrap_or(Outcome::Unknown);
        let (summary, not_tested, not_judged) = (String::new(), Vec::new(), Vec::new());
        let version = Version;
        let mut verdict =
            Self { version, outcome, summary, properties, fold, not_tested, not_judged };
        verdict.summary = verdict.sum_up();
        verdict
    }

    /// The verdict on a system that writes no traces: these properties cannot be judged for it, and
    /// the summary says so.
    pub(crate) fn without(mut self, not_judged: Vec<String>) -> Self {
        self.not_judged = not_judged;
        self.summary = self.sum_up();
        self
    }

    /// The property that the verdict is about: the first that was violated, or what is missing.
    pub fn headline(&self) -> Option<&Property> {
        let mut deciding = self.properties.iter().filter(|it| it.outcome == self.outcome);
        let cause = |cause: &&str| {
            self.properties.iter().find(|it| it.outcome == self.outcome && it.name == **cause)
        };
        match self.outcome {
            Outcome::Unknown => CAUSES.iter().find_map(cause).or(deciding.next()),
            Outcome::Ok | Outcome::Violated => deciding.next(),
        }
    }

    /// The properties that are not fine, the headline first, without those that are folded.
    pub fn doubts(&self) -> Vec<&Property> {
        let headline = self.headline().filter(|it| it.outcome != Outcome::Ok);
        let others = self.properties.iter().filter(|it| {
            it.outcome != Outcome::Ok
                && !self.is_folded(it)
                && headline.is_none_or(|h| h.name != it.name)
        });
        let mut doubts: Vec<&Property> = headline.into_iter().chain(others).collect();
        doubts.sort_by_key(|it| std::cmp::Reverse(it.outcome));
        doubts
    }

    fn is_folded(&self, property: &Property) -> bool {
        let fold = self.fold.iter().flat_map(|fold| &fold.names);
        property.outcome == Outcome::Unknown && fold.into_iter().any(|it| *it == property.name)
    }

    fn sum_up(&self) -> String {
        let Some(headline) = self.headline() else {
            return "Undecided: no property was checked.".into();
        };
        let doubts = self.doubts();
        let deciding = doubts.iter().filter(|it| it.outcome == self.outcome);
        let mut names: Vec<String> = deciding.map(|it| it.name.clone()).collect();
        match self.outcome {
            Outcome::Ok if self.not_judged.is_empty() => {
                format!("All {} properties held.", self.properties.len())
            }
            Outcome::Ok => format!(
                "{} properties held; {} could not be judged, as the nodes write no traces.",
                self.properties.len(),
                self.not_judged.len()
            ),
            Outcome::Violated => {
                let what = match headline.violations.first() {
                    Some(first) if first.rule == headline.name => first.summary.clone(),
                    Some(first) => format!("{}: {}", first.rule, first.summary),
                    None => headline.detail.clone(),
                };
                format!("Violated ({}): {what}.", names.join(", "))
            }
            Outcome::Unknown => {
                let folded = self.fold.as_ref();
                names.extend(folded.map(|it| format!("{} {}", it.names.len(), it.what)));
                format!("Undecided ({}): {}.", names.join(", "), headline.detail)
            }
        }
    }

    /// The verdict on a simulated run. The summary says so, so that nobody takes it for a verdict
    /// on containers.
    pub fn of_simulation(mut self) -> Self {
        match (self.outcome, self.summary.strip_suffix('.')) {
            (Outcome::Ok, Some(held)) => self.summary = format!("{held} in simulation."),
            _ => self.summary += " This was a simulation.",
        }
        self
    }
}

/// One property and what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Property {
    /// Stable name in kebab case, such as `election-safety` or `linearizability`.
    pub name: String,
    /// What was found.
    pub outcome: Outcome,
    /// What was examined (`12,345 operations on 40 keys`), or why it is undecided.
    pub detail: String,
    /// Each violation that was found, up to a limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
}

/// One violation of a property.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// The property's name, or of a property that can be violated in several ways, the way's:
    /// `G1a`.
    pub rule: String,
    /// What happened, in a sentence that a person understands: who, what, when, against what.
    pub summary: String,
    /// Nodes concerned (`n1`), ascending.
    pub nodes: Vec<String>,
    /// Indices of history events concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<u64>,
    /// Trace lines concerned, as they were written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<proto::trace::Record>,
    /// That the operations have no order, where that is what is wrong with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refutation: Option<Refutation>,
}

impl Violation {
    /// A violation by these operations.
    pub(crate) fn by(
        rule: &str,
        summary: String,
        operations: &[&generic::Operation<'_>],
    ) -> Violation {
        let mut indices = BTreeSet::new();
        let mut nodes = BTreeSet::new();
        for operation in operations {
            indices.insert(operation.index);
            match operation.outcome {
                generic::Outcome::Ok { index, .. } | generic::Outcome::Failed { index, .. } => {
                    indices.insert(index);
                }
                generic::Outcome::Unknown { .. } => {}
            }
            nodes.extend(operation.node.map(str::to_owned));
        }
        Violation {
            rule: rule.into(),
            summary,
            nodes: nodes.into_iter().collect(),
            operations: indices.into_iter().collect(),
            trace: Vec::new(),
            refutation: None,
        }
    }
}

/// A few operations that have no order by themselves, and how that was found. Each is named by the
/// index of its invocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refutation {
    /// The operations, by call.
    pub core: Vec<u64>,
    /// The moment from which no order was left, in the time of the history. What returned later
    /// counts as unanswered.
    pub until: u64,
    /// The operation whose return that is.
    pub failed_at: u64,
    /// An order of the core that explains all until then, as far as that goes.
    pub tried: Vec<u64>,
    /// The states that were possible until then, as far as known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub possible: Vec<String>,
    /// Why the core could not be verified, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unverified_reason: Option<String>,
    /// What alone is looked at, where operations of the core may hold more: some
    /// elements of a set, some puts and appends of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

impl Refutation {
    /// Whether an operation belongs to the core, by the index of its invocation.
    pub fn has(&self, invocation: u64) -> bool {
        self.core.contains(&invocation)
    }
}

/// What becomes of one property while its parts are judged.
#[derive(Default)]
pub(crate) struct Tally {
    violations: Vec<Violation>,
    violated: usize,
    undecided: usize,
    /// Why the first undecided part is undecided.
    reason: Option<String>,
}

impl Tally {
    pub(crate) fn violated(&mut self, violation: impl FnOnce() -> Violation) {
        self.violated += 1;
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(violation());
        }
    }

    pub(crate) fn undecided(&mut self, reason: impl FnOnce() -> String) {
        self.undecided += 1;
        self.reason.get_or_insert_with(reason);
    }

    /// The property: `examined` says what was looked at, `noun` what was counted.
    pub(crate) fn property(self, name: &str, examined: &str, noun: &str) -> Property {
        let (outcome, detail) = if self.violated > 0 {
            (Outcome::Violated, format!("{examined}; violated: {}", count(self.violated, noun)))
        } else if let Some(reason) = self.reason {
            let undecided = count(self.undecided, noun);
            (
                Outcome::Unknown,
                format!("{examined}; undecided: {undecided}, the first of them {reason}"),
            )
        } else {
            (Outcome::Ok, examined.to_owned())
        };
        Property { name: name.into(), outcome, detail, violations: self.violations }
    }
}
