//! When each node is well placed: the spans in which Raft promises that it serves.
//!
//! A node is calm while it belongs to a *core*: a majority of the nodes, none of which a fault
//! hits, each linked with each other in both directions, and which nobody else can reach. A fault
//! on the rest of the cluster does not excuse the core:
//!
//! ```text
//! n4 is killed, n5 is cut off:   n1 ─ n2 ─ n3     the core is n1 n2 n3
//!                                n5 ╳             n4 and n5 are not calm
//! ```
//!
//! Someone outside who reaches into the core, be it in one direction, may depose its leader again
//! and again, as there is no pre-vote. So may a node with a wrong clock, a slow disk or a bad
//! network. While such a fault is in force, nobody is calm.

use std::{collections::BTreeMap, ops::Range};

use crate::fault::{Kind, Phase, Record};

/// The largest cluster that is looked at.
const NODES_MAX: usize = 64;

/// Nodes as bits, n1 the lowest.
type Nodes = u64;

/// The spans of calm of each node, n1 first; each list ascends. A span ends when the core changes.
/// Times are those of faults, from 0 to `end`.
pub(super) fn spans(faults: &[Record], nodes: usize, end: u64) -> Vec<Vec<Range<u64>>> {
    let mut spans = vec![Vec::new(); nodes];
    if nodes > NODES_MAX {
        return spans;
    }
    let faults = in_force(faults);
    let mut times: Vec<u64> = faults.iter().flat_map(|it| [it.span.start, it.span.end]).collect();
    times.extend([0, end]);
    times.retain(|time| *time <= end);
    times.sort_unstable();
    times.dedup();
    let mut cores: Vec<Nodes> = vec![0; nodes];
    for pair in times.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let now = faults.iter().filter(|it| it.span.start <= from && to <= it.span.end);
        let core = core(now, nodes);
        for (node, (spans, before)) in spans.iter_mut().zip(&mut cores).enumerate() {
            let mine = if core & (1 << node) == 0 { 0 } else { core };
            match spans.last_mut() {
                Some(Range { end, .. }) if mine != 0 && mine == *before => *end = to,
                _ if mine != 0 => spans.push(from..to),
                _ => {}
            }
            *before = mine;
        }
    }
    spans
}

/// What a fault does while it is in force.
#[derive(Debug, Default)]
struct InForce {
    span: Range<u64>,
    /// Nodes that take part in nothing.
    silent: Nodes,
    /// Links that are cut, by sender and receiver.
    cut: Vec<(u32, u32)>,
    /// It may disturb nodes that it does not hit.
    disturbs: bool,
}

/// The faults that had any effect, from the request to the proof that it was over.
fn in_force(records: &[Record]) -> Vec<InForce> {
    let mut lives: BTreeMap<usize, Vec<&Record>> = BTreeMap::new();
    for record in records {
        lives.entry(record.fault).or_default().push(record);
    }
    lives.into_values().filter_map(|life| one_in_force(&life)).collect()
}

fn one_in_force(life: &[&Record]) -> Option<InForce> {
    let first = life.first()?;
    // One that found nobody to act on did nothing.
    let idle = life.iter().all(|record| matches!(record.phase, Phase::Requested | Phase::Skipped));
    if idle && life.iter().any(|record| record.phase == Phase::Skipped) {
        return None;
    }
    // What failed to heal may last for ever.
    let over = life.iter().find(|it| matches!(it.phase, Phase::Healed | Phase::Skipped));
    let mut it = InForce {
        span: first.time..over.map_or(u64::MAX, |record| record.time),
        disturbs: !matches!(first.kind, Kind::Kill | Kind::Restart | Kind::Pause | Kind::Partition),
        ..InForce::default()
    };
    for record in life {
        for link in &record.links {
            match (position(link.from), position(link.to)) {
                (Some(from), Some(to)) => it.cut.push((from, to)),
                _ => it.disturbs = true,
            }
        }
        if first.kind != Kind::Partition {
            for node in &record.nodes {
                match number(node) {
                    Some(node) => it.silent |= 1 << node,
                    None => it.disturbs = true,
                }
            }
        }
    }
    it.cut.sort_unstable();
    it.cut.dedup();
    Some(it)
}

/// The position of a node by its name.
fn number(name: &str) -> Option<u32> {
    position(name.strip_prefix('n')?.parse().ok()?)
}

/// The position of a node by its number.
fn position(id: u64) -> Option<u32> {
    (1..=NODES_MAX as u64).contains(&id).then(|| id as u32 - 1)
}

/// The core while these faults are in force; 0 where there is none.
fn core<'a>(faults: impl Iterator<Item = &'a InForce>, nodes: usize) -> Nodes {
    let mut up: Nodes = if nodes == NODES_MAX { Nodes::MAX } else { (1 << nodes) - 1 };
    // Of each sender: who does not hear it.
    let mut cut = [0 as Nodes; NODES_MAX];
    for fault in faults {
        if fault.disturbs {
            return 0;
        }
        up &= !fault.silent;
        for (from, to) in &fault.cut {
            cut[*from as usize] |= 1 << to;
        }
    }
    let hears = |from: usize, to: usize| cut[from] & (1 << to) == 0;
    let up_nodes: Vec<usize> = (0..nodes).filter(|node| up & (1 << node) != 0).collect();
    let mut left = up;
    while left != 0 {
        // Everyone whom the first of those left reaches, or is reached by, over any way.
        let mut group: Nodes = 1 << left.trailing_zeros();
        loop {
            let near = up_nodes.iter().filter(|&&node| {
                let linked = |&&other: &&usize| {
                    group & (1 << other) != 0 && (hears(node, other) || hears(other, node))
                };
                up_nodes.iter().any(|other| linked(&other))
            });
            let grown = near.fold(group, |group, node| group | 1 << node);
            if grown == group {
                break;
            }
            group = grown;
        }
        left &= !group;
        let mut members = up_nodes.iter().filter(|node| group & (1 << **node) != 0);
        let whole = members.all(|&from| cut[from] & group & !(1 << from) == 0);
        if whole && group.count_ones() as usize * 2 > nodes {
            return group;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fault::{Link, Observed},
        version::Version,
    };

    fn fault(fault: usize, kind: Kind, nodes: &[u64], links: &[(u64, u64)]) -> Record {
        Record {
            fault,
            time: 0,
            phase: Phase::Requested,
            version: Version,
            kind,
            what: String::new(),
            nodes: nodes.iter().map(|node| format!("n{node}")).collect(),
            links: links.iter().map(|&(from, to)| Link { from, to }).collect(),
            leader: None,
            severs_leader: false,
            observed: Observed::default(),
            detail: None,
        }
    }

    /// In force from one time to another.
    fn lasts(record: Record, from: u64, to: u64) -> Vec<Record> {
        [(Phase::Requested, from), (Phase::Applied, from + 1), (Phase::Healed, to)]
            .map(|(phase, time)| Record { time, phase, ..record.clone() })
            .to_vec()
    }

    #[test]
    fn without_faults_all_are_calm_all_the_time() {
        assert_eq!(spans(&[], 3, 90), vec![vec![0..90]; 3]);
    }

    #[test]
    fn a_fault_on_the_rest_does_not_excuse_the_core() {
        let killed = lasts(fault(0, Kind::Kill, &[3], &[]), 10, 20);
        let core = vec![0..10, 10..20, 20..90];
        assert_eq!(spans(&killed, 3, 90), [core.clone(), core, vec![0..10, 20..90]]);
    }

    #[test]
    fn a_minority_alone_is_not_calm() {
        let cut = [(1, 3), (2, 3), (3, 1), (3, 2)];
        let cut = lasts(fault(0, Kind::Partition, &[3], &cut), 10, 20);
        let calm = spans(&cut, 3, 90);
        assert_eq!(calm[2], [0..10, 20..90]);
        assert_eq!(calm[0], [0..10, 10..20, 20..90]);
        let two = lasts(fault(0, Kind::Pause, &[2, 3], &[]), 10, 20);
        assert_eq!(spans(&two, 3, 90), vec![vec![0..10, 20..90]; 3]);
    }

    #[test]
    fn whoever_reaches_into_the_core_disturbs_it() {
        let deaf = lasts(fault(0, Kind::Partition, &[3], &[(1, 3), (2, 3)]), 10, 20);
        assert_eq!(spans(&deaf, 3, 90), vec![vec![0..10, 20..90]; 3]);
        // Killed as well, n3 disturbs nobody.
        let both = [deaf, lasts(fault(1, Kind::Kill, &[3], &[]), 10, 20)].concat();
        assert_eq!(spans(&both, 3, 90)[0], [0..10, 10..20, 20..90]);
        let clock = lasts(fault(0, Kind::Clock, &[3], &[]), 10, 20);
        assert_eq!(spans(&clock, 3, 90), vec![vec![0..10, 20..90]; 3]);
    }

    #[test]
    fn what_is_never_healed_lasts_and_what_found_nobody_does_nothing() {
        let mut killed = lasts(fault(0, Kind::Kill, &[3], &[]), 10, 20);
        killed[2].phase = Phase::Failed;
        assert_eq!(spans(&killed, 3, 90)[2], vec![0..10]);
        let skipped: Vec<Record> = [Phase::Requested, Phase::Skipped]
            .map(|phase| Record { phase, time: 10, ..fault(0, Kind::Kill, &[3], &[]) })
            .to_vec();
        assert_eq!(spans(&skipped, 3, 90), vec![vec![0..90]; 3]);
    }
}
