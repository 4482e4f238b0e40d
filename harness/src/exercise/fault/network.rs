//! Links that misbehave, and connections that break.
//!
//! A trouble takes effect when it has struck a message, by link: many links are idle, since
//! followers say nothing to each other between elections. A reset takes effect when something was
//! lost in flight or a client lost its connection. Both are healed when probes pass on every link.

use std::collections::{BTreeMap, BTreeSet};

use checker::fault::{Applied, Detail, How};

use super::{
    kind::{Aim, Kind, Miss, Proof, Sight, Step, by_node, microseconds, names},
    partition::Whole,
};
use crate::{
    exercise::{Deed, Finding, Seen, Strength, Time},
    nemesis::{
        Link, NetworkTrouble, NodeId,
        overlap::{FaultId, Holds},
    },
};

/// The machine of a network fault.
pub(super) fn new(how: NetworkTrouble, aim: &Aim<'_>) -> Box<dyn Kind> {
    let links = links_of(&aim.cut.nodes, aim.all);
    Box::new(Trouble {
        fault: aim.fault,
        how,
        strength: strength(aim),
        nodes: aim.cut.nodes.clone(),
        whole: Whole::new(aim.fault, links.clone()),
        links,
        struck: BTreeMap::new(),
        clients: BTreeMap::new(),
    })
}

#[derive(Debug)]
struct Trouble {
    fault: FaultId,
    how: NetworkTrouble,
    strength: Strength,
    nodes: BTreeSet<NodeId>,
    links: BTreeSet<Link>,
    /// Messages that it struck, by link, and clients whose connection it broke, by node.
    struck: BTreeMap<Link, u64>,
    clients: BTreeMap<NodeId, u64>,
    whole: Whole,
}

impl Trouble {
    fn is_reset(&self) -> bool {
        self.how == NetworkTrouble::Reset
    }

    fn see(&mut self, seen: &[Seen]) {
        for seen in seen {
            match &seen.outcome {
                Ok(Finding::Struck(struck)) => self.struck.clone_from(struck),
                Ok(Finding::Broken { lost, clients }) => {
                    self.struck.clone_from(lost);
                    self.clients.clone_from(clients);
                }
                _ => {}
            }
        }
    }

    /// What it did to messages and clients.
    fn done(&self) -> Proof {
        let by_link = self.struck.clone();
        let done = if self.is_reset() {
            Detail::Broken { lost: by_link, clients: by_node(&self.clients) }
        } else {
            Detail::Struck(by_link)
        };
        let nodes = self.clients.keys().copied().collect();
        Proof { nodes, ..Proof::on_links(self.struck.keys(), Some(done)) }
    }
}

impl Kind for Trouble {
    fn claim(&mut self, holds: &mut Holds) -> Result<(), String> {
        if !self.is_reset() {
            holds.trouble(self.fault, &self.links);
        }
        Ok(())
    }

    fn nodes(&self) -> BTreeSet<NodeId> {
        let ends = self.struck.keys().flat_map(|link| [link.from, link.to]);
        let hit: BTreeSet<NodeId> = ends.chain(self.clients.keys().copied()).collect();
        if hit.is_empty() { self.nodes.clone() } else { &self.nodes & &hit }
    }

    fn deeds(
        &mut self,
        step: Step,
        round: usize,
        _seen: &[Seen],
        holds: &Holds,
    ) -> Result<Vec<Deed>, Miss> {
        let (fault, links) = (self.fault, self.links.clone());
        Ok(match (step, round) {
            (Step::Install, 0) if !self.is_reset() => {
                vec![Deed::Trouble { fault, how: self.how, strength: self.strength, links }]
            }
            (Step::Look, 0) if self.is_reset() => {
                vec![Deed::Break { fault, links, nodes: self.nodes.clone() }]
            }
            (Step::Look | Step::Account, 0) if !self.is_reset() => vec![Deed::Struck(fault)],
            (Step::Heal | Step::Undo, 0) => vec![Deed::Calm(fault)],
            (Step::Check, 0) => self.whole.deeds(holds),
            _ => Vec::new(),
        })
    }

    fn installed(&self) -> Applied {
        use NetworkTrouble::{Lossy, Reset, Slow};
        let Strength { share, most } = self.strength;
        let trouble = How::Trouble {
            links: self.links.iter().copied().collect(),
            share: (!matches!(self.how, Reset | Slow)).then_some(share),
            later_us: (!matches!(self.how, Reset | Lossy)).then(|| microseconds(most)),
        };
        Applied { how: Some(trouble), ..Applied::default() }
    }

    fn bites(&mut self, seen: &[Seen]) -> Sight {
        self.see(seen);
        if self.struck.is_empty() && self.clients.is_empty() {
            return Sight::NotYet;
        }
        Sight::Proof(self.done())
    }

    fn met_nothing(&self) -> Option<String> {
        let nodes = names(&self.nodes);
        Some(if self.is_reset() {
            format!("while it lasted, nothing was on its way to {nodes}")
        } else {
            format!("while it lasted, it struck no message to or from {nodes}")
        })
    }

    fn account(&mut self, seen: &[Seen]) -> Proof {
        self.see(seen);
        self.done()
    }

    fn healed(&mut self, seen: &[Seen], since: Time, holds: &Holds) -> Sight {
        self.whole.see(seen, since, holds)
    }
}

/// How bad a trouble is: a few steps from bearable to savage.
fn strength(aim: &Aim<'_>) -> Strength {
    let share = [0.1, 0.25, 0.5, 0.8][(aim.pick % 4) as usize];
    let most = aim.election_timeout / 4 * [1, 2, 4, 8][(aim.pick / 4 % 4) as usize];
    Strength { share, most }
}

/// The links between these nodes and any others.
fn links_of(nodes: &BTreeSet<NodeId>, all: &[NodeId]) -> BTreeSet<Link> {
    let pairs = nodes.iter().flat_map(|&a| all.iter().map(move |&b| (a, b)));
    pairs
        .filter(|(a, b)| a != b)
        .flat_map(|(a, b)| [Link { from: a, to: b }, Link { from: b, to: a }])
        .collect()
}
