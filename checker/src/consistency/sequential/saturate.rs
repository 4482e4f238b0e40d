//! What must come before what, as far as that can be told without trying.
//!
//! Each process's own order and who saw whose value are given. When a read saw the value of `w`,
//! any other write of the key that is before the read is before `w` too, and any that is after `w`
//! is after the read. Both rules are applied until nothing new follows (as Biswas and Enea do for
//! transactions in *On the Complexity of Checking Transactional Consistency*, 2019). A cycle is a
//! proof that there is no order. No cycle proves nothing: that is the search's to decide.
//!
//! Who is before whom is kept as vector clocks: of each operation, how many of each process are
//! before it.

use std::{collections::VecDeque, time::Instant};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    super::operation::{NIL, number},
    program::{Program, Saw},
};

/// Why one operation is before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// One process did both, in this order.
    Program,
    /// The later saw what the earlier wrote.
    Saw,
    /// The later overwrites what the earlier saw: this write of it, or the initial absence.
    Overwrites(Option<u32>),
    /// This operation saw what the later wrote although it came after the earlier.
    Hidden(u32),
}

/// One operation before another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) why: Why,
}

/// Why there is no order.
#[derive(Debug)]
pub(super) enum Contradiction {
    /// Edges, by number, that lead in a cycle.
    Cycle(Vec<usize>),
    /// What this operation saw nobody wrote, or everybody who did is out of the question.
    Nobody(u32),
}

/// What is before what.
pub(super) struct Graph<'a> {
    program: &'a Program<'a>,
    pub(super) saw: Vec<Saw>,
    /// Given and derived edges; what is derived follows from those before it.
    pub(super) edges: Vec<Edge>,
    /// Edges from each operation, as a list through `more`.
    first: Vec<u32>,
    more: Vec<u32>,
    clocks: Vec<u32>,
    /// Places of the writes of a key in a process.
    writes: FxHashMap<(u32, u32), Vec<u32>>,
    /// Of each operation, the last in each process that saw what it wrote.
    readers: Vec<Vec<u32>>,
    /// Of each key, the last in each process that found it absent from the start.
    initial: Vec<Vec<u32>>,
    /// Edges that are there, so that none is there twice.
    known: FxHashSet<(u32, u32)>,
    /// Of each process, the place among `readers` or `initial` of the last that saw what this
    /// operation wrote, or found this key absent.
    last_reader: FxHashMap<(u32, Source), u32>,
    /// Whether anything followed in this round.
    changed: bool,
    /// What may be used, and how much was looked at since the budget was.
    memory: usize,
    deadline: Instant,
    looked: usize,
}

/// What an operation can have seen.
#[derive(PartialEq, Eq, Hash)]
enum Source {
    Initial(u32),
    Write(u32),
}

const NONE: u32 = u32::MAX;

/// Entries of clocks looked at between two looks at the budget.
const LOOK: usize = 1 << 16;

impl<'a> Graph<'a> {
    /// Derives all that follows, or as much as `memory` bytes and the `deadline` allow.
    pub(super) fn saturate(
        program: &'a Program<'a>,
        memory: usize,
        deadline: Instant,
    ) -> (Self, Option<Contradiction>) {
        let count = program.operations.len();
        let mut graph = Self {
            program,
            saw: program.saw.clone(),
            edges: Vec::new(),
            first: vec![NONE; count],
            more: Vec::new(),
            clocks: Vec::new(),
            writes: FxHashMap::default(),
            readers: vec![Vec::new(); count],
            initial: vec![Vec::new(); program.keys],
            last_reader: FxHashMap::default(),
            known: FxHashSet::default(),
            changed: false,
            memory,
            deadline,
            looked: 0,
        };
        let contradiction = graph.derive_all();
        (graph.clocks, graph.known) = (Vec::new(), FxHashSet::default());
        (graph, contradiction)
    }

    fn derive_all(&mut self) -> Option<Contradiction> {
        let count = self.program.operations.len();
        let nobody = (0..number(count)).find(|&at| self.saw[at as usize] == Saw::Nobody);
        if let Some(at) = nobody {
            return Some(Contradiction::Nobody(at));
        }
        self.given();
        loop {
            let order = match self.sort() {
                Ok(order) => order,
                Err(waiting) => return Some(Contradiction::Cycle(self.cycle(&waiting))),
            };
            if Instant::now() >= self.deadline || !self.count(&order) {
                return None;
            }
            self.changed = false;
            for &at in &order {
                self.looked += self.program.processes.len();
                if !self.may_go_on() {
                    return None;
                }
                if let Err(nobody) = self.derive(at) {
                    return Some(nobody);
                }
            }
            if !self.changed {
                return None;
            }
        }
    }

    /// Bytes that it holds beside what the history has as many of.
    pub(super) fn bytes(&self) -> usize {
        self.clocks.capacity() * size_of::<u32>()
            + self.edges.capacity() * size_of::<Edge>()
            + self.more.capacity() * size_of::<u32>()
            + self.known.capacity() * (size_of::<(u32, u32)>() + 2)
    }

    /// Whether there is time and memory to go on.
    fn may_go_on(&mut self) -> bool {
        if self.looked < LOOK {
            return true;
        }
        self.looked = 0;
        Instant::now() < self.deadline && self.bytes() <= self.memory
    }

    /// Operations that `at` is before, as far as edges say.
    pub(super) fn after(&self, at: u32) -> impl Iterator<Item = &Edge> {
        let mut next = self.first[at as usize];
        std::iter::from_fn(move || {
            let edge = self.edges.get(next as usize)?;
            next = self.more[next as usize];
            Some(edge)
        })
    }

    fn add(&mut self, from: u32, to: u32, why: Why) {
        if !self.known.insert((from, to)) {
            return;
        }
        self.changed = true;
        let edge = number(self.edges.len());
        self.edges.push(Edge { from, to, why });
        self.more.push(self.first[from as usize]);
        self.first[from as usize] = edge;
    }

    fn given(&mut self) {
        let program = self.program;
        for (process, operations) in (0..).zip(&program.processes) {
            let sure = || operations.iter().filter(|&&at| program.sure[at as usize]);
            for (&from, &to) in sure().zip(sure().skip(1)) {
                self.add(from, to, Why::Program);
            }
            for &at in sure() {
                let operation = &program.operations[at as usize];
                if operation.action.written().is_some() {
                    let places = self.writes.entry((operation.key, process)).or_default();
                    places.push(program.place[at as usize]);
                }
            }
        }
        for at in 0..number(program.operations.len()) {
            self.note(at);
        }
    }

    /// Notes what an operation saw.
    fn note(&mut self, at: u32) {
        let operation = &self.program.operations[at as usize];
        let (readers, source) = match self.saw[at as usize] {
            Saw::Initial => {
                (&mut self.initial[operation.key as usize], Source::Initial(operation.key))
            }
            Saw::One(writer) => (&mut self.readers[writer as usize], Source::Write(writer)),
            Saw::Free | Saw::Several | Saw::Nobody => return,
        };
        let (process, place) = (&self.program.process, &self.program.place);
        let next = number(readers.len());
        let mine = *self.last_reader.entry((process[at as usize], source)).or_insert(next);
        match readers.get_mut(mine as usize) {
            Some(other) if place[*other as usize] < place[at as usize] => *other = at,
            Some(_) => {}
            None => readers.push(at),
        }
        if let Saw::One(writer) = self.saw[at as usize] {
            self.add(writer, at, Why::Saw);
        }
    }

    /// Operations in an order that agrees with the edges; else those that have none.
    fn sort(&self) -> Result<Vec<u32>, Vec<bool>> {
        let count = self.program.operations.len();
        let mut missing = vec![0_u32; count];
        for edge in &self.edges {
            missing[edge.to as usize] += 1;
        }
        let mut order: Vec<u32> =
            (0..number(count)).filter(|&at| missing[at as usize] == 0).collect();
        let mut done = 0;
        while let Some(&at) = order.get(done) {
            done += 1;
            for edge in self.after(at) {
                missing[edge.to as usize] -= 1;
                if missing[edge.to as usize] == 0 {
                    order.push(edge.to);
                }
            }
        }
        if order.len() == count {
            Ok(order)
        } else {
            Err(missing.iter().map(|&missing| missing > 0).collect())
        }
    }

    /// Sets the clocks: an operation counts itself among its process's. Whether there was time and
    /// memory for that.
    fn count(&mut self, order: &[u32]) -> bool {
        let processes = self.program.processes.len();
        let entries = self.program.operations.len().saturating_mul(processes);
        if entries.saturating_mul(size_of::<u32>()) > self.memory {
            return false;
        }
        self.clocks.clear();
        self.clocks.resize(entries, 0);
        for &at in order {
            let row = at as usize * processes;
            let own = &mut self.clocks[row + self.program.process[at as usize] as usize];
            *own = (*own).max(self.program.place[at as usize] + 1);
            let mut next = self.first[at as usize];
            while let Some(edge) = self.edges.get(next as usize) {
                let to = edge.to as usize * processes;
                for process in 0..processes {
                    let known = self.clocks[row + process];
                    let counted = &mut self.clocks[to + process];
                    *counted = known.max(*counted);
                }
                self.looked += processes;
                next = self.more[next as usize];
            }
            if !self.may_go_on() {
                return false;
            }
        }
        true
    }

    /// Whether `earlier` is known to be before `later`, or is the same.
    fn is_before(&self, earlier: u32, later: u32) -> bool {
        self.known(later, self.program.process[earlier as usize])
            > self.program.place[earlier as usize]
    }

    /// How many of a process's operations are known to be before this one.
    fn known(&self, at: u32, process: u32) -> u32 {
        self.clocks[at as usize * self.program.processes.len() + process as usize]
    }

    /// The last write of the key in this process that is before `at`.
    fn last_write(&self, key: u32, process: u32, at: u32) -> Option<u32> {
        let program = self.program;
        let known = if program.process[at as usize] == process {
            program.place[at as usize]
        } else {
            self.known(at, process)
        };
        let places = self.writes.get(&(key, process))?;
        let before = places.partition_point(|&place| place < known);
        let place = places[before.checked_sub(1)?];
        Some(program.processes[process as usize][place as usize])
    }

    /// What follows for this operation.
    fn derive(&mut self, at: u32) -> Result<(), Contradiction> {
        let program = self.program;
        if !program.sure[at as usize] {
            return Ok(());
        }
        let operation = &program.operations[at as usize];
        let key = operation.key;
        if self.saw[at as usize] == Saw::Several {
            self.choose(at)?;
        }
        let writes = operation.action.written().is_some();
        let saw = self.saw[at as usize];
        let mut own_before = false;
        for process in 0..number(program.processes.len()) {
            let Some(write) = self.last_write(key, process, at) else { continue };
            own_before |= process == program.process[at as usize];
            match saw {
                Saw::One(seen) if write != seen && !self.is_before(write, seen) => {
                    self.add(write, seen, Why::Hidden(at));
                }
                Saw::Initial => self.add(at, write, Why::Overwrites(None)),
                _ => {}
            }
            if writes {
                self.overwrite(at, Some(write));
            }
        }
        if writes && !own_before {
            self.overwrite(at, None);
        }
        Ok(())
    }

    /// Whoever saw `write`, or the initial absence, is before the write `at`, which is after it.
    fn overwrite(&mut self, at: u32, write: Option<u32>) {
        let key = self.program.operations[at as usize].key;
        let readers = |graph: &Self| match write {
            Some(write) => graph.readers[write as usize].len(),
            None => graph.initial[key as usize].len(),
        };
        for reader in 0..readers(self) {
            let reader = match write {
                Some(write) => self.readers[write as usize][reader],
                None => self.initial[key as usize][reader],
            };
            if reader != at && !self.is_before(reader, at) {
                self.add(reader, at, Why::Overwrites(write));
            }
        }
    }

    /// Finds out what an operation saw, where all but one are out of the question.
    fn choose(&mut self, at: u32) -> Result<(), Contradiction> {
        /// Writers of one value that are gone through; of more, several will be left anyway.
        const WRITERS: usize = 64;
        let program = self.program;
        let operation = &program.operations[at as usize];
        let Some(value) = operation.action.seen() else { return Ok(()) };
        let writers = program.writers.get(&(operation.key, value)).map_or(&[][..], Vec::as_slice);
        if writers.len() > WRITERS {
            return Ok(());
        }
        let processes = 0..number(program.processes.len());
        let before: Vec<u32> =
            processes.filter_map(|process| self.last_write(operation.key, process, at)).collect();
        let is_hidden =
            |write: u32| before.iter().any(|&other| other != write && self.is_before(write, other));
        let mut found: Vec<Saw> = writers
            .iter()
            .filter(|&&write| {
                let is_before = write != at && self.is_before(write, at);
                let is_after = write == at || self.is_before(at, write);
                let is_last = before.contains(&write) && !is_hidden(write);
                if is_before { is_last } else { !is_after }
            })
            .map(|&write| Saw::One(write))
            .collect();
        if value == NIL && before.is_empty() {
            found.push(Saw::Initial);
        }
        match found[..] {
            [] => return Err(Contradiction::Nobody(at)),
            // Of a write that need not have happened nothing is known.
            [Saw::One(writer)] if !program.sure[writer as usize] => {}
            [saw] => {
                self.saw[at as usize] = saw;
                self.changed = true;
                self.note(at);
            }
            _ => {}
        }
        Ok(())
    }

    /// A short cycle among operations that no order was found for.
    fn cycle(&self, waiting: &[bool]) -> Vec<usize> {
        /// Edges from which a cycle is looked for.
        const TRIED: usize = 32;
        let waiting = self.trim(waiting);
        let among = |edge: &Edge| waiting[edge.from as usize] && waiting[edge.to as usize];
        // Each process's own order leads in no cycle without another edge.
        let candidates = self.edges.iter().enumerate().rev();
        let candidates = candidates.filter(|(_, edge)| edge.why != Why::Program && among(edge));
        let mut best: Option<Vec<usize>> = None;
        for (tried, (place, start)) in candidates.enumerate() {
            if best.is_some() && tried >= TRIED {
                break;
            }
            let Some(mut path) = self.path(start.to, start.from, usize::MAX) else { continue };
            path.insert(0, place);
            if best.as_ref().is_none_or(|best| self.length(&path) < self.length(best)) {
                best = Some(path);
            }
        }
        best.unwrap_or_default()
    }

    fn length(&self, path: &[usize]) -> usize {
        path.iter().filter(|&&edge| self.edges[edge].why != Why::Program).count()
    }

    /// Leaves out what only follows from cycles.
    fn trim(&self, waiting: &[bool]) -> Vec<bool> {
        let mut waiting = waiting.to_vec();
        let mut followers = vec![0_u32; waiting.len()];
        let mut before: Vec<Vec<u32>> = vec![Vec::new(); waiting.len()];
        for edge in &self.edges {
            if waiting[edge.from as usize] && waiting[edge.to as usize] {
                followers[edge.from as usize] += 1;
                before[edge.to as usize].push(edge.from);
            }
        }
        let mut last: Vec<usize> =
            (0..waiting.len()).filter(|&at| waiting[at] && followers[at] == 0).collect();
        while let Some(at) = last.pop() {
            waiting[at] = false;
            for &from in &before[at] {
                followers[from as usize] -= 1;
                if followers[from as usize] == 0 {
                    last.push(from as usize);
                }
            }
        }
        waiting
    }

    /// The way from one operation to another with the fewest edges but those of each process's
    /// own order, by edges before number `until`.
    pub(super) fn path(&self, from: u32, to: u32, until: usize) -> Option<Vec<usize>> {
        let mut came: FxHashMap<u32, (u32, usize)> = FxHashMap::default();
        let mut queue = VecDeque::from([(0_u32, from)]);
        while let Some((length, at)) = queue.pop_front() {
            if at != from && came.get(&at).is_some_and(|(least, _)| *least < length) {
                continue;
            }
            if at == to {
                let mut path = Vec::new();
                let mut at = to;
                while at != from {
                    let (_, edge) = came[&at];
                    path.push(edge);
                    at = self.edges[edge].from;
                }
                path.reverse();
                return Some(path);
            }
            let mut next = self.first[at as usize];
            while let Some(edge) = self.edges.get(next as usize) {
                let place = next as usize;
                let own = edge.why == Why::Program;
                let length = length + u32::from(!own);
                let shorter = came.get(&edge.to).is_none_or(|(least, _)| length < *least);
                if place < until && edge.to != from && shorter {
                    came.insert(edge.to, (length, place));
                    if own {
                        queue.push_front((length, edge.to));
                    } else {
                        queue.push_back((length, edge.to));
                    }
                }
                next = self.more[place];
            }
        }
        None
    }
}
