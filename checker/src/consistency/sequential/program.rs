//! The operations of all processes, who wrote what, and who saw it.

use rustc_hash::{FxHashMap, FxHashSet};

use super::super::operation::{Action, NIL, Operation, Value, number};

/// What an operation saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saw {
    /// Nothing, or nothing that binds: a write, or an operation that need not have happened.
    Free,
    /// That the key had no value yet.
    Initial,
    /// What this operation wrote.
    One(u32),
    /// What one of several wrote.
    Several,
    /// What nobody wrote.
    Nobody,
}

/// Operations that happened or may have happened, in order of invocation.
pub(super) struct Program<'a> {
    pub(super) operations: Vec<Operation<'a>>,
    /// Of each, its position among all that were given.
    pub(super) origin: Vec<usize>,
    /// Of each operation, its process and its place there.
    pub(super) process: Vec<u32>,
    pub(super) place: Vec<u32>,
    /// Of each process, its operations.
    pub(super) processes: Vec<Vec<u32>>,
    /// Whether it happened: it was answered, or only it can have written what was seen.
    pub(super) sure: Vec<bool>,
    pub(super) saw: Vec<Saw>,
    /// Of each key and value, who can have written it.
    pub(super) writers: FxHashMap<(u32, Value), Vec<u32>>,
    pub(super) keys: usize,
}

impl<'a> Program<'a> {
    /// Leaves out what was not answered where nobody looks for what it would have written.
    pub(super) fn of(operations: &[Operation<'a>], keys: usize) -> Self {
        let origin = kept(operations);
        let mut program = Self {
            operations: origin.iter().map(|&at| operations[at]).collect(),
            origin,
            process: Vec::new(),
            place: Vec::new(),
            processes: Vec::new(),
            sure: Vec::new(),
            saw: Vec::new(),
            writers: FxHashMap::default(),
            keys,
        };
        let mut processes: FxHashMap<u64, u32> = FxHashMap::default();
        for (at, operation) in (0..).zip(&program.operations) {
            let fresh = number(program.processes.len());
            let process = *processes.entry(operation.source.process).or_insert(fresh);
            if process == fresh {
                program.processes.push(Vec::new());
            }
            let mine = &mut program.processes[process as usize];
            program.process.push(process);
            program.place.push(number(mine.len()));
            mine.push(at);
            program.sure.push(operation.ret.is_some());
            if let Some(value) = operation.action.written() {
                program.writers.entry((operation.key, value)).or_default().push(at);
            }
        }
        program.saw = vec![Saw::Free; program.operations.len()];
        // Whoever alone can have written what was seen happened too, and saw something itself.
        let mut fresh: Vec<u32> =
            (0..number(program.saw.len())).filter(|&at| program.sure[at as usize]).collect();
        while let Some(at) = fresh.pop() {
            let saw = program.look(at);
            program.saw[at as usize] = saw;
            if let Saw::One(writer) = saw
                && !std::mem::replace(&mut program.sure[writer as usize], true)
            {
                fresh.push(writer);
            }
        }
        program
    }

    fn look(&self, at: u32) -> Saw {
        let operation = &self.operations[at as usize];
        let Some(value) = operation.action.seen() else { return Saw::Free };
        let writers = self.writers.get(&(operation.key, value)).map_or(&[][..], Vec::as_slice);
        let mut others = writers.iter().filter(|&&writer| writer != at);
        match (others.next(), others.next(), value == NIL) {
            (None, _, true) => Saw::Initial,
            (None, _, false) => Saw::Nobody,
            (Some(&writer), None, false) => Saw::One(writer),
            _ => Saw::Several,
        }
    }
}

fn kept(operations: &[Operation<'_>]) -> Vec<usize> {
    // A refused compare-and-set is served by any other value, one that nobody looks for too.
    let refused: FxHashSet<u32> = operations
        .iter()
        .filter(|operation| matches!(operation.action, Action::Mismatch(_)))
        .map(|operation| operation.key)
        .collect();
    let mut keep: Vec<bool> = operations
        .iter()
        .map(|operation| operation.ret.is_some() || refused.contains(&operation.key))
        .collect();
    let sees = |at: usize| Some((operations[at].key, operations[at].action.seen()?));
    let mut fresh: Vec<(u32, Value)> =
        (0..keep.len()).filter(|&at| keep[at]).filter_map(sees).collect();
    // Of each value, who may have written it and is not kept.
    let mut open: FxHashMap<(u32, Value), Vec<usize>> = FxHashMap::default();
    for at in (0..keep.len()).filter(|&at| !keep[at]) {
        if let Some(value) = operations[at].action.written() {
            open.entry((operations[at].key, value)).or_default().push(at);
        }
    }
    while let Some(looked_for) = fresh.pop() {
        for at in open.remove(&looked_for).unwrap_or_default() {
            keep[at] = true;
            fresh.extend(sees(at));
        }
    }
    (0..keep.len()).filter(|&at| keep[at]).collect()
}
