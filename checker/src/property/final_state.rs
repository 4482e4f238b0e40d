//! Whether all nodes ended with the same store: what State Machine Safety (paper, figure 3) comes
//! to for a user. It needs no trace, so it holds for any system.

use std::collections::{BTreeMap, BTreeSet};

use super::{ok, unknown, violated};
use crate::{
    evidence::Run,
    text::count,
    verdict::{Property, Violation},
};

/// Name of the property.
pub const NAME: &str = "final-state";

/// Compares the hashes of nodes that stand at the same revision.
pub fn check(run: &Run) -> Property {
    let mut revisions: BTreeMap<i64, BTreeMap<u32, Vec<&str>>> = BTreeMap::new();
    for (node, revision, hash) in &run.final_hashes {
        revisions.entry(*revision).or_default().entry(*hash).or_default().push(node);
    }
    let violations: Vec<Violation> = revisions
        .iter()
        .filter(|(_, hashes)| hashes.len() > 1)
        .map(|(revision, hashes)| {
            let sides: Vec<String> = hashes
                .iter()
                .map(|(hash, nodes)| format!("{} with hash {hash:08x}", nodes.join(" ")))
                .collect();
            let mut nodes: Vec<String> = hashes.values().flatten().map(|n| (*n).into()).collect();
            nodes.sort();
            Violation {
                rule: NAME.into(),
                summary: format!(
                    "at the end of the run the stores differ at revision {revision}, which breaks \
                     State Machine Safety: {}",
                    sides.join(" against ")
                ),
                nodes,
                operations: Vec::new(),
                trace: Vec::new(),
                refutation: None,
            }
        })
        .collect();
    // Nodes that were never started hold no state.
    let never: BTreeSet<u64> = run.never_started.iter().copied().collect();
    let nodes = run.nodes as u64;
    let all = run.nodes - never.range(1..=nodes.max(1)).count().min(run.nodes);
    let took_part = |name: &str| {
        let id = name.strip_prefix('n').and_then(|id| id.parse().ok());
        id.is_some_and(|id| (1..=nodes).contains(&id) && !never.contains(&id))
    };
    let told: BTreeSet<&str> = run.final_hashes.iter().map(|(node, ..)| node.as_str()).collect();
    let stranger = told.iter().find(|name| !took_part(name));
    let told = told.len();
    if !violations.is_empty() {
        violated(NAME, "the nodes' stores differ", violations)
    } else if run.unfinished {
        unknown(NAME, "the run was killed before its stores were compared")
    } else if all == 0 {
        unknown(NAME, "no node took part, so there is no store")
    } else if let Some(stranger) = stranger {
        unknown(NAME, format!("{stranger} told a hash, and is none of the nodes that took part"))
    } else if told < all {
        let all = count(all, "node");
        unknown(NAME, format!("only {told} of {all} told the hash of their store"))
    } else if revisions.len() > 1 {
        let list: Vec<String> =
            run.final_hashes.iter().map(|(n, r, _)| format!("{n} {r}")).collect();
        let list = list.join(", ");
        unknown(
            NAME,
            format!(
                "the nodes stand at different revisions, so their hashes cannot be compared: {list}"
            ),
        )
    } else {
        ok(NAME, format!("{} ended with the same store", count(told, "node")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Outcome;

    fn run(hashes: &[(&str, i64, u32)]) -> Run {
        Run {
            nodes: 3,
            final_hashes: hashes.iter().map(|&(n, r, h)| (n.into(), r, h)).collect(),
            ..Run::default()
        }
    }

    #[test]
    fn equal_stores_are_ok() {
        assert_eq!(check(&run(&[("n1", 9, 7), ("n2", 9, 7), ("n3", 9, 7)])).outcome, Outcome::Ok);
    }

    #[test]
    fn different_stores_are_a_violation() {
        let property = check(&run(&[("n1", 9, 7), ("n2", 9, 8), ("n3", 9, 7)]));
        assert_eq!(property.outcome, Outcome::Violated);
        assert_eq!(property.violations[0].nodes, ["n1", "n2", "n3"]);
        assert!(
            property.violations[0]
                .summary
                .ends_with("n1 n3 with hash 00000007 against n2 with hash 00000008")
        );
    }

    #[test]
    fn the_nodes_that_took_part_must_tell_and_no_others() {
        let three = [("n1", 9, 7), ("n2", 9, 7), ("n3", 9, 7)];
        let unknown = |run: &Run, detail: &str| {
            let property = check(run);
            assert_eq!((property.outcome, &*property.detail), (Outcome::Unknown, detail));
        };
        unknown(&Run::default(), "no node took part, so there is no store");
        let strangers = run(&[("x", 9, 7), ("y", 9, 7), ("z", 9, 7)]);
        unknown(&strangers, "x told a hash, and is none of the nodes that took part");
        unknown(
            &Run { nodes: 1, ..run(&three) },
            "n2 told a hash, and is none of the nodes that took part",
        );
        let never = Run { nodes: 4, never_started: vec![4], ..run(&three) };
        assert_eq!(check(&never).detail, "3 nodes ended with the same store");
        unknown(
            &Run { never_started: vec![], ..never },
            "only 3 of 4 nodes told the hash of their store",
        );
    }

    #[test]
    fn what_cannot_be_compared_is_undecided() {
        let missing = check(&run(&[("n1", 9, 7)]));
        assert_eq!(missing.outcome, Outcome::Unknown);
        assert_eq!(missing.detail, "only 1 of 3 nodes told the hash of their store");
        let twice = check(&run(&[("n1", 9, 7), ("n2", 9, 7), ("n2", 9, 7)]));
        assert_eq!(twice.outcome, Outcome::Unknown, "n3 said nothing");
        let behind = check(&run(&[("n1", 9, 7), ("n2", 8, 6), ("n3", 9, 7)]));
        assert_eq!(behind.outcome, Outcome::Unknown);
        assert!(behind.detail.ends_with("n1 9, n2 8, n3 9"));
    }
}
