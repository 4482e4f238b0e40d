//! Whether the order in which traces were merged can be that of causes and effects.
//!
//! An entry is made by the leader of its term, and its hash says which one it is: nobody can take
//! it over before. Where a trace says so by its clock, the clocks (or what the nodes write of their
//! steps before they take effect) are not what they should be, and no order of steps that rests on
//! them proves anything. That is a flaw of the evidence, not of Raft.
//!
//! Only entries are looked at: of any other step that comes before its cause, such as a commit
//! before the acknowledgements that it counts, nobody can say that it was not taken too early.

use proto::trace::{Event, Hash, Record, Role};
use rustc_hash::{FxHashMap, FxHashSet};

/// The first entry that another node took over before its leader made it, in a sentence.
pub(super) fn contradiction(order: &[&Record]) -> Option<String> {
    let mut leads: FxHashMap<u64, u64> = FxHashMap::default();
    let mut taken: FxHashMap<(u64, Hash), &Record> = FxHashMap::default();
    let mut made: FxHashSet<(u64, Hash)> = FxHashSet::default();
    for record in order {
        match &record.event {
            Event::Role { term, role: Role::Leader, .. } => {
                leads.insert(record.node, *term);
            }
            Event::Started { .. } | Event::Term { .. } | Event::Role { .. } => {
                leads.remove(&record.node);
            }
            Event::Appended { prev, entries } => {
                let led = leads.get(&record.node);
                let indices = prev.index.saturating_add(1)..=u64::MAX;
                for (&(term, hash), index) in entries.iter().zip(indices) {
                    if led != Some(&term) {
                        if !made.contains(&(index, hash)) {
                            taken.entry((index, hash)).or_insert(record);
                        }
                    } else if let Some(early) = taken.get(&(index, hash)) {
                        return Some(sentence(early, record, (index, term)));
                    } else {
                        made.insert((index, hash));
                    }
                }
            }
            _ => {}
        }
    }
    None
}

fn sentence(early: &Record, made: &Record, (index, term): (u64, u64)) -> String {
    let line = |record: &Record| {
        format!("boot {}, seq {}, clock {}", record.boot, record.seq, record.clock)
    };
    format!(
        "the clocks contradict each other: n{} has index {index} (term {term}) at {}, before n{} \
         made it at {}",
        early.node,
        line(early),
        made.node,
        line(made)
    )
}
