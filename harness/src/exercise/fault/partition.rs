//! Partition: packets between nodes are dropped; clients still reach every node.
//!
//! Takes effect when on every link the cut's counter has grown and a probe from its sender to its
//! receiver fails. Is healed when the probes succeed again, on the links that no other fault holds.

use std::collections::BTreeSet;

use checker::fault::{Applied, Counter, Detail, How};

use super::kind::{Aim, Kind, Miss, Proof, Sight, Step, microseconds, milliseconds};
use crate::{
    exercise::{Deed, Finding, Seen, Time},
    nemesis::{
        Link, NodeId,
        overlap::{FaultId, Holds},
    },
};

#[derive(Debug)]
pub(super) struct Partition {
    fault: FaultId,
    nodes: BTreeSet<NodeId>,
    links: BTreeSet<Link>,
    rules: Option<How>,
    whole: Whole,
}

impl Partition {
    pub(super) fn new(aim: &Aim<'_>) -> Self {
        Self {
            fault: aim.fault,
            nodes: aim.cut.nodes.clone(),
            links: aim.cut.links.clone(),
            rules: None,
            whole: Whole::new(aim.fault, aim.cut.links.clone()),
        }
    }
}

impl Kind for Partition {
    fn claim(&mut self, holds: &mut Holds) -> Result<(), String> {
        holds.cut(self.fault, &self.links);
        Ok(())
    }

    fn nodes(&self) -> BTreeSet<NodeId> {
        self.nodes.clone()
    }

    fn deeds(
        &mut self,
        step: Step,
        round: usize,
        seen: &[Seen],
        holds: &Holds,
    ) -> Result<Vec<Deed>, Miss> {
        let Self { fault, links, .. } = self;
        Ok(match (step, round) {
            (Step::Install, 0) => vec![Deed::Cut { fault: *fault, links: links.clone() }],
            (Step::Install, 1) => {
                for seen in seen {
                    if let Ok(Finding::Rules { rules, skew }) = &seen.outcome {
                        let (rules, skew_us) = (rules.clone(), skew.map(microseconds));
                        self.rules = Some(How::Rules { rules, skew_us });
                    }
                }
                Vec::new()
            }
            // The probes run first: they, too, are dropped and counted.
            (Step::Look, 0) => links.iter().map(|&link| Deed::Ping(link)).collect(),
            (Step::Look, 1) | (Step::Account, 0) => vec![Deed::Counters(*fault)],
            (Step::Heal | Step::Undo, 0) => vec![Deed::Uncut(*fault)],
            (Step::Check, 0) => self.whole.deeds(holds),
            _ => Vec::new(),
        })
    }

    fn installed(&self) -> Applied {
        Applied { how: self.rules.clone(), ..Applied::default() }
    }

    fn bites(&mut self, seen: &[Seen]) -> Sight {
        match proof(&self.links, seen) {
            Ok(proof) => Sight::Proof(Proof::on_links(&self.links, Some(proof))),
            Err(why) => Sight::Never(Miss::Failed(why)),
        }
    }

    fn account(&mut self, seen: &[Seen]) -> Proof {
        let dropped = seen.iter().find_map(|seen| match &seen.outcome {
            Ok(Finding::Dropped(counters)) => {
                Some(Detail::Dropped { probes_failed: Vec::new(), counters: counters.clone() })
            }
            _ => None,
        });
        Proof::on_links(&self.links, dropped)
    }

    fn healed(&mut self, seen: &[Seen], since: Time, holds: &Holds) -> Sight {
        self.whole.see(seen, since, holds)
    }
}

/// # Errors
/// A probe got through, or nothing was dropped on a link.
fn proof(links: &BTreeSet<Link>, seen: &[Seen]) -> Result<Detail, String> {
    let mut through = Vec::new();
    let mut counters: &[Counter] = &[];
    for Seen { deed, outcome, .. } in seen {
        match (deed, outcome) {
            (Deed::Ping(link), Ok(Finding::Reached(true))) => through.push(link.to_string()),
            (_, Ok(Finding::Dropped(found))) => counters = found,
            (_, Err(why)) => return Err(why.to_string()),
            _ => {}
        }
    }
    if !through.is_empty() {
        return Err(format!("a probe got through the cut on {}", through.join(", ")));
    }
    if counters.len() != links.len() {
        let (links, counters) = (links.len(), counters.len());
        return Err(format!("{links} links are cut and {counters} counters found"));
    }
    if let Some(idle) = counters.iter().find(|counter| counter.packets == 0) {
        return Err(format!("no packet has met the rule at {}: {}", idle.node, idle.rule));
    }
    let probes_failed = links.iter().copied().collect();
    Ok(Detail::Dropped { probes_failed, counters: counters.to_vec() })
}

/// Links that must be whole again.
#[derive(Debug)]
pub(super) struct Whole {
    fault: FaultId,
    links: BTreeSet<Link>,
    reached: BTreeSet<Link>,
}

impl Whole {
    pub(super) fn new(fault: FaultId, links: BTreeSet<Link>) -> Self {
        Self { fault, links, reached: BTreeSet::new() }
    }

    /// Probes each link that was not reached yet and that no other fault holds.
    pub(super) fn deeds(&self, holds: &Holds) -> Vec<Deed> {
        let free = holds.whole_without(self.fault, &self.links);
        free.difference(&self.reached).map(|&link| Deed::Ping(link)).collect()
    }

    /// Whether all of them are whole.
    pub(super) fn see(&mut self, seen: &[Seen], since: Time, holds: &Holds) -> Sight {
        let mut last = since;
        for Seen { deed, outcome, at } in seen {
            if let (Deed::Ping(link), Ok(Finding::Reached(true))) = (deed, outcome) {
                self.reached.insert(*link);
                last = last.max(*at);
            }
        }
        let free = holds.whole_without(self.fault, &self.links);
        if !free.is_subset(&self.reached) {
            return Sight::NotYet;
        }
        let held = (&self.links - &free).into_iter().collect();
        let after_ms = milliseconds(last.saturating_sub(since));
        let passed = Detail::Passed { probes: free.into_iter().collect(), after_ms, held };
        Sight::Proof(Proof::on_links(&self.links, Some(passed)))
    }
}
