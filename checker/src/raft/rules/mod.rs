//! The rules, one a file.

mod acknowledged_kept;
mod commit_monotonic;
mod commit_quorum;
mod durable_before_acknowledged;
mod election_quorum;
mod election_restriction;
mod election_safety;
mod leader_append_only;
mod leader_completeness;
mod legal_transitions;
mod log_matching;
mod one_vote_per_term;
mod read_quorum;
mod state_machine_safety;
mod survives_restart;
mod term_monotonic;

use proto::trace::{Event, Position};

use super::step::{Report, Step};

/// A rule that every line must keep.
pub(super) trait Rule {
    /// Its name, in kebab case.
    fn name(&self) -> &'static str;
    /// The kinds of lines that it looks at. It is not shown any other.
    fn kinds(&self) -> &'static [Kind];
    /// Judges a line by what was known before it.
    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>);
    /// What was examined so far, for a reader of the verdict.
    fn examined(&self) -> String;
}

/// The kinds of lines: see [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the event of its name")]
pub(super) enum Kind {
    Started,
    Term,
    Voted,
    Role,
    Appended,
    Truncated,
    Durable,
    Granted,
    Acknowledged,
    Committed,
    ReadConfirmed,
    Applied,
    Answered,
    Stopped,
}

impl Kind {
    /// How many there are.
    pub(super) const COUNT: usize = Self::Stopped as usize + 1;

    /// The kind of a line.
    pub(super) fn of(event: &Event) -> Self {
        match event {
            Event::Started { .. } => Self::Started,
            Event::Term { .. } => Self::Term,
            Event::Voted { .. } => Self::Voted,
            Event::Role { .. } => Self::Role,
            Event::Appended { .. } => Self::Appended,
            Event::Truncated { .. } => Self::Truncated,
            Event::Durable { .. } => Self::Durable,
            Event::Granted { .. } => Self::Granted,
            Event::Acknowledged { .. } => Self::Acknowledged,
            Event::Committed { .. } => Self::Committed,
            Event::ReadConfirmed { .. } => Self::ReadConfirmed,
            Event::Applied { .. } => Self::Applied,
            Event::Answered { .. } => Self::Answered,
            Event::Stopped { .. } => Self::Stopped,
        }
    }
}

/// All rules, in the order in which verdicts list them: elections, logs, commits, disks, and each
/// step by itself.
pub(super) fn all() -> Vec<Box<dyn Rule + Send>> {
    vec![
        Box::<election_safety::ElectionSafety>::default(),
        Box::<election_quorum::ElectionQuorum>::default(),
        Box::<election_restriction::ElectionRestriction>::default(),
        Box::<one_vote_per_term::OneVotePerTerm>::default(),
        Box::<term_monotonic::TermMonotonic>::default(),
        Box::<leader_append_only::LeaderAppendOnly>::default(),
        Box::<log_matching::LogMatching>::default(),
        Box::<acknowledged_kept::AcknowledgedKept>::default(),
        Box::<leader_completeness::LeaderCompleteness>::default(),
        Box::<commit_quorum::CommitQuorum>::default(),
        Box::<commit_monotonic::CommitMonotonic>::default(),
        Box::<state_machine_safety::StateMachineSafety>::default(),
        Box::<durable_before_acknowledged::DurableBeforeAcknowledged>::default(),
        Box::<survives_restart::SurvivesRestart>::default(),
        Box::<read_quorum::ReadQuorum>::default(),
        Box::<legal_transitions::LegalTransitions>::default(),
    ]
}

/// `index 7 (term 3)`
fn entry(position: Position) -> String {
    match position.index {
        0 => "the empty log".to_owned(),
        index => format!("index {index} (term {})", position.term),
    }
}

/// `index 7 (term 3, hash 00000000000000ab)`
fn hashed(position: Position) -> String {
    let Position { index, term, hash } = position;
    format!("index {index} (term {term}, hash {hash})")
}

/// `n1 and n3`, `n1, n2 and n3`, `no node`
fn names(nodes: &[u64]) -> String {
    match nodes {
        [] => "no node".to_owned(),
        [one] => format!("n{one}"),
        [rest @ .., last] => {
            let rest: Vec<_> = rest.iter().map(|node| format!("n{node}")).collect();
            format!("{} and n{last}", rest.join(", "))
        }
    }
}
