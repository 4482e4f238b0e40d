//! What every kind of fault says of itself, and the words that accounts have in common.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    time::Duration,
};

use checker::fault::{Applied, ByNode, Detail, How, Observed};

use crate::{
    exercise::{Deed, Exit, Finding, Seen, Time},
    nemesis::{
        Cut, Link, NodeId,
        overlap::{FaultId, Granted, Holds},
    },
};

/// What a fault is aimed at, once it is resolved.
pub(super) struct Aim<'a> {
    pub(super) fault: FaultId,
    pub(super) cut: Cut,
    /// All nodes of the cluster.
    pub(super) all: &'a [NodeId],
    /// Decides every choice that is left.
    pub(super) pick: u64,
    pub(super) election_timeout: Duration,
    pub(super) hang: Duration,
}

/// What a kind of fault does and proves. Its deeds come in steps, and a step's deeds in rounds:
/// each round is ordered when all deeds of the round before are done.
pub(super) trait Kind: Debug {
    /// Claims what it acts on, by the rules of overlap.
    ///
    /// # Errors
    /// Nothing is left to act on: the fault is skipped.
    fn claim(&mut self, holds: &mut Holds) -> Result<(), String>;

    /// The nodes it acts on; once it has taken effect, those that it hit.
    fn nodes(&self) -> BTreeSet<NodeId>;

    /// The deeds of a step's next round, given what the rounds before found; none: the step is
    /// done.
    ///
    /// # Errors
    /// The step cannot go on.
    fn deeds(
        &mut self,
        step: Step,
        round: usize,
        seen: &[Seen],
        holds: &Holds,
    ) -> Result<Vec<Deed>, Miss>;

    /// How long after it is installed or healed it can be looked at.
    fn shows_after(&self) -> Duration {
        Duration::ZERO
    }

    /// For the account: how it was installed.
    fn installed(&self) -> Applied;

    /// Whether it took effect, by what [`Step::Look`] found.
    fn bites(&mut self, seen: &[Seen]) -> Sight;

    /// Why it met nothing until its end, if it is of those that wait for something to meet them.
    fn met_nothing(&self) -> Option<String> {
        None
    }

    /// For the account: what it did until its heal was requested, by what [`Step::Account`] found.
    fn account(&mut self, _seen: &[Seen]) -> Proof {
        Proof::default()
    }

    /// Within this time after the heal its effect must be seen to be over.
    fn heals_within(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// Whether its effect is over, by what [`Step::Check`] found. `since`: when the heal was
    /// requested.
    fn healed(&mut self, seen: &[Seen], since: Time, holds: &Holds) -> Sight;
}

/// A step in a fault's life that needs deeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Does it.
    Install,
    /// Looks whether it took effect.
    Look,
    /// Looks what it did until now.
    Account,
    /// Ends it.
    Heal,
    /// Looks whether its effect is over.
    Check,
    /// Takes back what was done, whatever it was.
    Undo,
}

/// Where an effect was seen, or was seen to be over, and how.
#[derive(Debug, Default)]
pub(super) struct Proof {
    pub(super) nodes: BTreeSet<NodeId>,
    pub(super) links: BTreeSet<Link>,
    /// How it was seen.
    pub(super) detail: Option<Detail>,
}

impl Proof {
    /// Seen on nodes.
    pub(super) fn on_nodes<'a>(
        nodes: impl IntoIterator<Item = &'a NodeId>,
        detail: Detail,
    ) -> Self {
        let nodes = nodes.into_iter().copied().collect();
        Self { nodes, detail: Some(detail), ..Self::default() }
    }

    /// Seen on links.
    pub(super) fn on_links<'a>(
        links: impl IntoIterator<Item = &'a Link>,
        detail: Option<Detail>,
    ) -> Self {
        Self { links: links.into_iter().copied().collect(), detail, ..Self::default() }
    }

    /// As evidence has it.
    pub(super) fn observed(&self) -> Observed {
        Observed {
            nodes: self.nodes.iter().map(|node| format!("n{node}")).collect(),
            links: self.links.iter().copied().collect(),
        }
    }
}

/// What a look showed.
#[derive(Debug)]
pub(super) enum Sight {
    /// It is so.
    Proof(Proof),
    /// Not yet; look again soon.
    NotYet,
    /// Something has begun; look again soon, even if the fault's end has come.
    Begun,
    /// It will not be so.
    Never(Miss),
}

/// Why a fault is not in force, or not healed.
#[derive(Debug)]
pub(super) enum Miss {
    /// There was nothing to do.
    Skipped(String),
    /// It was not done, or not seen.
    Failed(String),
    /// A node's process ended although nobody ended it; what it was needed for.
    Exited(NodeId, Exit, &'static str),
}

/// What a fault was granted.
///
/// # Errors
/// That is nothing: `what` says why, such as `node aimed at is down already`.
pub(super) fn some(granted: Granted, what: &str) -> Result<Granted, String> {
    if granted.nodes.is_empty() {
        return Err(format!("every {what}: {}", holders(&granted.taken)));
    }
    Ok(granted)
}

/// What was found, looks at processes first: they say most plainly what is wrong.
pub(super) fn looks_first(seen: &[Seen]) -> impl Iterator<Item = &Seen> {
    let is_look = |seen: &&Seen| matches!(seen.deed, Deed::Examine(_));
    seen.iter().filter(is_look).chain(seen.iter().filter(move |seen| !is_look(seen)))
}

/// `n1 (fault 3), n2 (fault 4)`.
pub(super) fn holders(taken: &BTreeMap<NodeId, FaultId>) -> String {
    let words: Vec<_> = taken.iter().map(|(node, by)| format!("n{node} (fault {by})")).collect();
    words.join(", ")
}

/// `n1, n2`.
pub(super) fn names<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
    let words: Vec<_> = nodes.into_iter().map(|node| format!("n{node}")).collect();
    words.join(", ")
}

/// For the account: how a fault was applied, and the nodes that it left alone.
pub(super) fn applied(how: Option<How>, taken: &BTreeMap<NodeId, FaultId>) -> Applied {
    Applied { how, left_alone: by_node(taken), ..Applied::default() }
}

/// As evidence names nodes.
pub(super) fn by_node<T: Clone>(map: &BTreeMap<NodeId, T>) -> ByNode<T> {
    map.iter().map(|(node, it)| (format!("n{node}"), it.clone())).collect()
}

/// Milliseconds, as the account has them.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Microseconds, as the account has them.
pub(super) fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What looks at nodes and links did not find.
pub(super) fn missing(seen: &[Seen]) -> String {
    let missing = seen.iter().filter_map(|seen| match (&seen.deed, &seen.outcome) {
        (Deed::Ask { node, .. }, Err(why)) => Some(format!("n{node} does not answer ({why})")),
        (Deed::Ping(link), Ok(Finding::Reached(false))) => {
            Some(format!("no probe passes on {link}"))
        }
        (_, Err(why)) => Some(why.to_string()),
        _ => None,
    });
    missing.collect::<Vec<_>>().join(", ")
}
