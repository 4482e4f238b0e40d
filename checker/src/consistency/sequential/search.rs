//! Looks for an order by trying: exact where it ends within its budget.
//!
//! A configuration is how far each process has got, and the value of each key. Observations that
//! are possible are made at once, since they change nothing; of the writes that are possible the
//! one that was over first is tried first, which in a history of a store that mostly follows real
//! time is nearly always right. What a write would hide from one who must still see it is not
//! hidden. Configurations from which there is no way are remembered; one from which there was none
//! rules out all that differ only in having used more of the operations that need not have
//! happened.

use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    super::operation::{Action, NIL, Value},
    program::{Program, Saw},
    saturate::{Graph, Why},
};
use crate::budget::Budget;

/// What was found.
pub(super) enum Found {
    /// Operations in an order.
    Order(Vec<u32>),
    /// All orders were tried.
    Nothing,
    /// Why it gave up.
    Undecided(String),
}

/// A choice between the writes that are possible.
struct Choice {
    /// Operations done before it.
    done: usize,
    /// How many of them were tried.
    tried: usize,
    /// These writes, if they are few: of many processes they would take more memory than there is.
    possible: Option<Vec<u32>>,
}

/// So many writes are few.
const FEW: usize = 16;

/// Processes looked at between two looks at the clock.
const LOOK: usize = 1 << 14;

struct Search<'a> {
    program: &'a Program<'a>,
    graph: &'a Graph<'a>,
    next: Vec<u32>,
    /// Of each key, its value and who wrote it.
    keys: Vec<(Value, Option<u32>)>,
    /// Of each operation, how many it must wait for beside its process's own.
    missing: Vec<u32>,
    /// Of each write, how many must still see it; and of each key's initial absence.
    unseen: Vec<u32>,
    unseen_initial: Vec<u32>,
    /// What was done, with what its key was before.
    done: Vec<(u32, Value, Option<u32>)>,
    /// Answered operations that are not done.
    left: usize,
    /// A moment for each write: those that were over earlier are tried first.
    moment: Vec<u64>,
    dead: FxHashMap<Box<[u32]>, Vec<Box<[u32]>>>,
    memory: usize,
    /// Processes and edges looked at.
    looked: usize,
}

/// Looks for an order that agrees with the graph.
pub(super) fn search(
    program: &Program<'_>,
    graph: &Graph<'_>,
    budget: &Budget,
    steps_max: u64,
) -> Found {
    let mut search = Search::new(program, graph);
    let mut choices: Vec<Choice> = Vec::new();
    let mut steps = 0_u64;
    let mut look = LOOK;
    loop {
        search.observe();
        if search.left == 0 {
            return Found::Order(search.done.iter().map(|(at, ..)| *at).collect());
        }
        choices.push(Choice { done: search.done.len(), tried: 0, possible: None });
        loop {
            let held =
                choices.capacity() * size_of::<Choice>() + choices.len() * FEW * size_of::<u32>();
            if search.memory + held > budget.memory {
                return Found::Undecided("the memory for its search ran out".into());
            }
            if search.looked >= look {
                look = search.looked + LOOK;
                if Instant::now() >= budget.deadline {
                    return Found::Undecided("the time for its search ran out".into());
                }
            }
            let Some(choice) = choices.last_mut() else { return Found::Nothing };
            search.back_to(choice.done);
            let possible = match choice.possible.take() {
                Some(possible) => possible,
                None if choice.tried == 0 && search.is_dead() => Vec::new(),
                None => search.possible(),
            };
            if let Some(&write) = possible.get(choice.tried) {
                choice.tried += 1;
                choice.possible = Some(possible).filter(|possible| possible.len() <= FEW);
                search.take(write);
                break;
            }
            if choices.pop().is_some_and(|choice| choice.tried > 0) {
                search.bury();
            }
        }
        steps += 1;
        if steps > steps_max {
            return Found::Undecided("the steps for its search ran out".into());
        }
    }
}

impl<'a> Search<'a> {
    fn new(program: &'a Program<'a>, graph: &'a Graph<'a>) -> Self {
        let count = program.operations.len();
        let mut search = Self {
            program,
            graph,
            next: vec![0; program.processes.len()],
            keys: vec![(NIL, None); program.keys],
            missing: vec![0; count],
            unseen: vec![0; count],
            unseen_initial: vec![0; program.keys],
            done: Vec::with_capacity(count),
            left: 0,
            moment: Vec::with_capacity(count),
            dead: FxHashMap::default(),
            memory: 0,
            looked: 0,
        };
        for edge in &graph.edges {
            search.missing[edge.to as usize] += u32::from(edge.why != Why::Program);
        }
        for operation in &program.operations {
            search.left += usize::from(operation.ret.is_some());
            search.moment.push(operation.ret.unwrap_or(u64::MAX));
        }
        for (at, operation) in program.operations.iter().enumerate() {
            match graph.saw[at] {
                Saw::One(writer) => {
                    search.unseen[writer as usize] += 1;
                    let moment = &mut search.moment[writer as usize];
                    *moment = operation.ret.unwrap_or(u64::MAX).min(*moment);
                }
                Saw::Initial => search.unseen_initial[operation.key as usize] += 1,
                Saw::Free | Saw::Several | Saw::Nobody => {}
            }
        }
        search
    }

    /// The next operation of a process, if it waits for none of others.
    fn head(&self, process: usize) -> Option<u32> {
        let next = *self.program.processes[process].get(self.next[process] as usize)?;
        (self.missing[next as usize] == 0).then_some(next)
    }

    /// Makes all observations that are possible.
    fn observe(&mut self) {
        let mut process = 0;
        let mut quiet = 0;
        let processes = self.next.len();
        while quiet < processes {
            quiet += 1;
            self.looked += 1;
            while let Some(at) = self.head(process) {
                let operation = &self.program.operations[at as usize];
                let value = self.keys[operation.key as usize].0;
                let possible = match operation.action {
                    Action::Read(seen) => value == seen,
                    Action::Mismatch(other) => value != other,
                    Action::Write(_) | Action::Cas(..) => false,
                };
                if !possible {
                    break;
                }
                self.take(at);
                quiet = 0;
            }
            process = (process + 1) % processes;
        }
    }

    /// Writes that are possible and hide nothing, the likeliest first.
    fn possible(&mut self) -> Vec<u32> {
        self.looked += self.next.len();
        let mut possible: Vec<u32> = Vec::new();
        let mut open = FxHashSet::default();
        for at in (0..self.next.len()).filter_map(|process| self.head(process)) {
            let operation = &self.program.operations[at as usize];
            let (value, writer) = self.keys[operation.key as usize];
            let expects = match operation.action {
                Action::Write(_) => value,
                Action::Cas(expected, _) => expected,
                Action::Read(_) | Action::Mismatch(_) => continue,
            };
            let unseen = match writer {
                Some(writer) => self.unseen[writer as usize],
                None => self.unseen_initial[operation.key as usize],
            };
            let sees = match self.graph.saw[at as usize] {
                Saw::One(seen) => Some(seen) == writer,
                Saw::Initial => writer.is_none(),
                Saw::Free | Saw::Several | Saw::Nobody => false,
            };
            // Of equal ones that need not have happened, one will do.
            if expects == value
                && unseen == u32::from(sees)
                && (operation.ret.is_some() || open.insert((operation.key, operation.action)))
            {
                possible.push(at);
            }
        }
        possible.sort_by_key(|&at| self.moment[at as usize]);
        possible
    }

    fn take(&mut self, at: u32) {
        let operation = &self.program.operations[at as usize];
        let key = &mut self.keys[operation.key as usize];
        self.done.push((at, key.0, key.1));
        match self.graph.saw[at as usize] {
            Saw::One(writer) => self.unseen[writer as usize] -= 1,
            Saw::Initial => self.unseen_initial[operation.key as usize] -= 1,
            Saw::Free | Saw::Several | Saw::Nobody => {}
        }
        if let Some(value) = operation.action.written() {
            *key = (value, Some(at));
        }
        for edge in self.graph.after(at) {
            self.missing[edge.to as usize] -= u32::from(edge.why != Why::Program);
            self.looked += 1;
        }
        self.next[self.program.process[at as usize] as usize] += 1;
        self.left -= usize::from(operation.ret.is_some());
    }

    fn back_to(&mut self, done: usize) {
        while self.done.len() > done {
            let Some((at, value, writer)) = self.done.pop() else { return };
            let operation = &self.program.operations[at as usize];
            self.keys[operation.key as usize] = (value, writer);
            match self.graph.saw[at as usize] {
                Saw::One(writer) => self.unseen[writer as usize] += 1,
                Saw::Initial => self.unseen_initial[operation.key as usize] += 1,
                Saw::Free | Saw::Several | Saw::Nobody => {}
            }
            for edge in self.graph.after(at) {
                self.missing[edge.to as usize] += u32::from(edge.why != Why::Program);
            }
            self.next[self.program.process[at as usize] as usize] -= 1;
            self.left += usize::from(operation.ret.is_some());
        }
    }

    /// The configuration: answered operations done of each process and the keys' values; and
    /// unanswered ones that were used.
    fn configuration(&self) -> (Box<[u32]>, Box<[u32]>) {
        let mut configuration = Vec::with_capacity(self.next.len() + self.keys.len());
        let mut used = Vec::new();
        for (process, &next) in self.next.iter().enumerate() {
            let last =
                next.checked_sub(1).map(|last| self.program.processes[process][last as usize]);
            let open = last.filter(|&at| self.program.operations[at as usize].ret.is_none());
            used.extend(open);
            configuration.push(next - u32::from(open.is_some()));
        }
        // Who must still be seen depends on who wrote a value, where several did.
        for &(value, writer) in &self.keys {
            configuration.push(value);
            let unseen = writer.filter(|&writer| self.unseen[writer as usize] > 0);
            configuration.push(unseen.map_or(0, |writer| writer + 1));
        }
        used.sort_unstable();
        (configuration.into(), used.into())
    }

    fn is_dead(&self) -> bool {
        if self.dead.is_empty() {
            return false;
        }
        let (configuration, used) = self.configuration();
        let contains = |dead: &[u32]| dead.iter().all(|at| used.binary_search(at).is_ok());
        self.dead.get(&configuration).is_some_and(|dead| dead.iter().any(|dead| contains(dead)))
    }

    fn bury(&mut self) {
        let (configuration, used) = self.configuration();
        self.memory += 4 * used.len() + 32;
        let memory = 4 * configuration.len() + 64;
        let dead = self.dead.entry(configuration).or_default();
        if dead.is_empty() {
            self.memory += memory;
        }
        dead.push(used);
    }
}
