//! Whether all nodes ended with the same store: what State Machine Safety (paper, figure 3) comes
//! to for a user. It needs no trace, so it holds for any system.

use std::collections::{BTreeMap, BTreeSet};

use super::{ok, unknown, violated};
use crate::{
    evidence::{FinalHash, Run},
    text::count,
    verdict::{Property, Violation},
};

/// Name of the property.
pub const NAME: &str = "final-state";

/// Compares the stores of nodes that stand at the same applied index, and the hashes of those that
/// stand at the same revision.
pub fn check(run: &Run) -> Property {
    let mut violations = differing(
        run,
        |it| it.applied,
        |index| format!("at applied index {index}"),
        |it| format!("revision {} and hash {:08x}", it.revision, it.hash),
    );
    if violations.is_empty() {
        violations = differing(
            run,
            |it| it.revision,
            |revision| format!("at revision {revision}"),
            |it| format!("hash {:08x}", it.hash),
        );
    }
    // Nodes that were never started hold no state.
    let never: BTreeSet<u64> = run.never_started.iter().copied().collect();
    let nodes = run.nodes as u64;
    let all = run.nodes - never.range(1..=nodes.max(1)).count().min(run.nodes);
    let took_part = |name: &str| {
        let id = name.strip_prefix('n').and_then(|id| id.parse().ok());
        id.is_some_and(|id| (1..=nodes).contains(&id) && !never.contains(&id))
    };
    let told: BTreeSet<&str> = run.final_hashes.iter().map(|it| it.node.as_str()).collect();
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
    } else if let Some(list) = apart(run) {
        unknown(NAME, format!("the nodes have not applied the same entries: {list}"))
    } else {
        ok(NAME, format!("{} ended with the same store", count(told, "node")))
    }
}

/// The applied index of each node, if they are not all the same.
fn apart(run: &Run) -> Option<String> {
    let first = run.final_hashes.first()?;
    let same = run.final_hashes.iter().all(|it| it.applied == first.applied);
    let list: Vec<String> =
        run.final_hashes.iter().map(|it| format!("{} {}", it.node, it.applied)).collect();
    (!same).then(|| list.join(", "))
}

/// Nodes that agree in `place`, and whose stores differ.
fn differing<T: Ord>(
    run: &Run,
    place: impl Fn(&FinalHash) -> T,
    at: impl Fn(&T) -> String,
    store: impl Fn(&FinalHash) -> String,
) -> Vec<Violation> {
    let mut places: BTreeMap<T, BTreeMap<String, Vec<&str>>> = BTreeMap::new();
    for it in &run.final_hashes {
        let stores = places.entry(place(it)).or_default();
        stores.entry(store(it)).or_default().push(&it.node);
    }
    let differ = places.iter().filter(|(_, stores)| stores.len() > 1);
    let violation = |(place, stores): (&T, &BTreeMap<String, Vec<&str>>)| {
        let sides: Vec<String> = stores
            .iter()
            .map(|(store, nodes)| format!("{} with {store}", nodes.join(" ")))
            .collect();
        let mut nodes: Vec<String> = stores.values().flatten().map(|n| (*n).into()).collect();
        nodes.sort();
        Violation {
            rule: NAME.into(),
            summary: format!(
                "at the end of the run the stores differ {}, which breaks State Machine Safety: {}",
                at(place),
                sides.join(" against ")
            ),
            nodes,
            operations: Vec::new(),
            trace: Vec::new(),
            refutation: None,
        }
    };
    differ.map(violation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Outcome;

    /// Nodes that applied as many entries as their revision says.
    fn run(hashes: &[(&str, i64, u32)]) -> Run {
        let told = |&(node, revision, hash): &(&str, i64, u32)| FinalHash {
            node: node.into(),
            applied: revision as u64,
            revision,
            hash,
        };
        Run { nodes: 3, final_hashes: hashes.iter().map(told).collect(), ..Run::default() }
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
        assert!(property.violations[0].summary.ends_with(
            "n1 n3 with revision 9 and hash 00000007 against n2 with revision 9 and hash \
                     00000008"
        ));
    }

    #[test]
    fn other_revisions_at_the_same_applied_index_are_a_violation() {
        let mut run = run(&[("n1", 9, 7), ("n2", 8, 6), ("n3", 9, 7)]);
        run.final_hashes[1].applied = 9;
        let property = check(&run);
        assert_eq!(property.outcome, Outcome::Violated);
        assert_eq!(
            property.violations[0].summary,
            "at the end of the run the stores differ at applied index 9, which breaks State Machine \
             Safety: n2 with revision 8 and hash 00000006 against n1 n3 with revision 9 and hash \
             00000007"
        );
        // And other hashes at the same revision, however many entries that took.
        let mut run = self::run(&[("n1", 9, 7), ("n2", 9, 6), ("n3", 9, 7)]);
        run.final_hashes[1].applied = 10;
        assert_eq!(check(&run).outcome, Outcome::Violated);
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
