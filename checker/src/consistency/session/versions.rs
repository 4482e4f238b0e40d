//! The versions of one key: who wrote them, which stand next to one another, and which of them a
//! read may have seen.

use rustc_hash::FxHashMap;

use super::super::operation::{Action, NIL, Operation, Value, number};

/// A version that is in no block: an unanswered compare-and-set that need not have happened.
const NOWHERE: u32 = u32::MAX;

/// The version that each key starts with: none.
pub(super) const INITIAL: u32 = 0;

/// One version of the key. Moments count from 1, so that 0 is before all of them.
pub(super) struct Version {
    /// The operation that made it; `None` for the initial one.
    pub(super) by: Option<usize>,
    call: u64,
    ret: u64,
}

/// All versions of a key that can have been seen.
pub(super) struct Versions<'a> {
    pub(super) operations: &'a [Operation<'a>],
    pub(super) all: Vec<Version>,
    /// Of each operation, the version that it made.
    pub(super) made: Vec<Option<u32>>,
    /// Versions that must stand next to one another, since compare-and-sets tie them.
    pub(super) blocks: Vec<Vec<u32>>,
    block: Vec<u32>,
    place: Vec<u32>,
    writers: FxHashMap<Value, Writers>,
    sure: Vec<bool>,
}

/// The versions of one value, by call.
#[derive(Default)]
struct Writers {
    versions: Vec<u32>,
    /// Of the first so many: the two that end last, latest first.
    last: Vec<[Option<(u64, u32)>; 2]>,
}

/// Which version was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// This one.
    One(u32),
    /// One of several.
    Several,
    /// None that there was.
    None,
}

/// The moment after this one; moments of operations are counted from 1.
pub(super) fn moment(time: u64) -> u64 {
    time.saturating_add(1)
}

impl<'a> Versions<'a> {
    /// The versions that the operations of one key made, in order of invocation. An error says why
    /// its writes have no order at all.
    pub(super) fn of(operations: &'a [Operation<'a>]) -> Result<Self, String> {
        let mut versions = Self {
            operations,
            all: vec![Version { by: None, call: 0, ret: 0 }],
            made: vec![None; operations.len()],
            blocks: Vec::new(),
            block: Vec::new(),
            place: Vec::new(),
            writers: FxHashMap::default(),
            sure: vec![true],
        };
        versions.writers.entry(NIL).or_default().push(INITIAL, 0);
        let kept = kept(operations);
        for (at, operation) in operations.iter().enumerate() {
            let Some(value) = operation.action.written() else { continue };
            if kept[at] == Kept::No {
                continue;
            }
            let version = number(versions.all.len());
            let ret = operation.ret.map_or(u64::MAX, moment);
            let call = moment(operation.source.call);
            versions.made[at] = Some(version);
            versions.all.push(Version { by: Some(at), call, ret });
            versions.sure.push(kept[at] == Kept::Surely);
            versions.writers.entry(value).or_default().push(version, ret);
        }
        versions.weld()?;
        Ok(versions)
    }

    /// Which version the operation `by` saw that ended at `until` and found `value`, where the
    /// session had got to `after` before: what ended before that was asked for came before it.
    pub(super) fn seen(&self, by: usize, value: Value, until: u64, after: Option<u32>) -> Seen {
        let Some(writers) = self.writers.get(&value) else { return Seen::None };
        let call = |version: u32| self.all[version as usize].call;
        let from = after.map_or(0, call);
        let (before, others) =
            writers.versions.split_at(writers.versions.partition_point(|&v| call(v) < until));
        let reached = before.len().checked_sub(1).map(|last| writers.last[last]);
        let reached = reached.into_iter().flatten().flatten().filter(|(ret, _)| *ret >= from);
        // What was asked for at that very moment had not ended before, and may have been seen; but
        // not what the session itself wrote then, only later.
        let then = others.iter().copied().take_while(|&v| call(v) == until);
        let then = then.filter(|&version| !self.is_later_of(version, by));
        which(reached.map(|(_, version)| version).chain(then))
    }

    /// Whether the version was made by the session of an operation, later than that.
    fn is_later_of(&self, version: u32, operation: usize) -> bool {
        self.all[version as usize].by.is_some_and(|by| {
            let process = |at: usize| self.operations[at].source.process;
            by > operation && process(by) == process(operation)
        })
    }

    /// Whoever wrote `value`, ever.
    pub(super) fn writers(&self, value: Value) -> impl Iterator<Item = usize> + '_ {
        let versions = self.writers.get(&value).map_or(&[][..], |writers| &writers.versions);
        versions.iter().filter_map(|&version| self.all[version as usize].by)
    }

    /// The block of a version; `None` for one that need not exist.
    pub(super) fn block(&self, version: u32) -> Option<u32> {
        Some(self.block[version as usize]).filter(|&block| block != NOWHERE)
    }

    /// Whether the order within their common block has `earlier` before `later`.
    pub(super) fn in_place(&self, earlier: u32, later: u32) -> bool {
        self.place[earlier as usize] < self.place[later as usize]
    }

    /// The member of a block that was asked for last, and when.
    pub(super) fn last_called(&self, block: u32) -> (u64, u32) {
        let calls = self.blocks[block as usize].iter().map(|&v| (self.all[v as usize].call, v));
        calls.max().unwrap_or_default()
    }

    /// The member of a block that ended first, and when.
    pub(super) fn first_ended(&self, block: u32) -> (u64, u32) {
        let ends = self.blocks[block as usize].iter().map(|&v| (self.all[v as usize].ret, v));
        ends.min().unwrap_or_default()
    }

    /// Ties what each compare-and-set made to what it saw, where that is certain.
    fn weld(&mut self) -> Result<(), String> {
        let mut next = vec![None; self.all.len()];
        let mut tied = vec![false; self.all.len()];
        for version in 0..number(self.all.len()) {
            let Some(by) = self.all[version as usize].by else { continue };
            let operation = &self.operations[by];
            let Action::Cas(expected, _) = operation.action else { continue };
            if !self.sure[version as usize] {
                continue;
            }
            let index = operation.source.index;
            match self.seen(by, expected, self.all[version as usize].ret, None) {
                Seen::One(saw) if saw == version => {
                    // Sets a value to itself.
                    return Err(format!("the compare-and-set of event {index} saw its own value"));
                }
                Seen::One(saw) => {
                    if next[saw as usize].replace(version).is_some() {
                        return Err(format!(
                            "the compare-and-set of event {index} saw a version that another had \
                             replaced"
                        ));
                    }
                    tied[version as usize] = true;
                }
                Seen::Several => {}
                Seen::None => {
                    return Err(format!(
                        "the compare-and-set of event {index} saw what nobody had written"
                    ));
                }
            }
        }
        self.block = vec![NOWHERE; self.all.len()];
        self.place = vec![0; self.all.len()];
        for head in 0..number(self.all.len()) {
            if tied[head as usize] || !self.is_placed(head) {
                continue;
            }
            let mut members = Vec::new();
            let mut member = Some(head);
            while let Some(version) = member {
                self.block[version as usize] = number(self.blocks.len());
                self.place[version as usize] = number(members.len());
                members.push(version);
                member = next[version as usize];
            }
            self.blocks.push(members);
        }
        let cycle = (0..self.all.len()).find(|&v| tied[v] && self.block[v] == NOWHERE);
        match cycle.and_then(|version| self.all[version].by) {
            Some(by) => Err(format!(
                "the compare-and-set of event {} is one of a cycle",
                self.operations[by].source.index
            )),
            None => Ok(()),
        }
    }

    /// A compare-and-set that need not have happened has no place that suits it for certain.
    fn is_placed(&self, version: u32) -> bool {
        let by = self.all[version as usize].by;
        let cas = by.is_some_and(|by| matches!(self.operations[by].action, Action::Cas(..)));
        self.sure[version as usize] || !cas
    }
}

fn which(mut possible: impl Iterator<Item = u32>) -> Seen {
    match (possible.next(), possible.next()) {
        (Some(version), None) => Seen::One(version),
        (Some(_), Some(_)) => Seen::Several,
        (None, _) => Seen::None,
    }
}

impl Writers {
    fn push(&mut self, version: u32, ret: u64) {
        let mut last = self.last.last().copied().unwrap_or_default();
        if last[0].is_none_or(|(latest, _)| latest <= ret) {
            last = [Some((ret, version)), last[0]];
        } else if last[1].is_none_or(|(second, _)| second <= ret) {
            last[1] = Some((ret, version));
        }
        self.versions.push(version);
        self.last.push(last);
    }
}

/// Whether an operation that writes is one of a key's versions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// It was not answered, and nobody saw what it would have written.
    No,
    /// It was not answered; what was seen can be of another.
    Perhaps,
    /// It was answered, or nobody else can have written what was seen.
    Surely,
}

fn kept(operations: &[Operation<'_>]) -> Vec<Kept> {
    let mut writers: FxHashMap<Value, u32> = FxHashMap::default();
    // Nobody needs to have made a key absent that nobody had made.
    writers.insert(NIL, 1);
    // What was seen, until when; for certain, and perhaps.
    let mut seen: [FxHashMap<Value, u64>; 2] = Default::default();
    let mut kept = vec![Kept::No; operations.len()];
    // The value that it saw, where that is news.
    let see = |seen: &mut FxHashMap<Value, u64>, operation: &Operation<'_>| {
        let value = operation.action.seen()?;
        let ret = operation.ret.unwrap_or(u64::MAX);
        let until = seen.entry(value).or_default();
        (std::mem::replace(until, ret.max(*until)) < ret).then_some(value)
    };
    // Of each value, who may have written it and was not answered.
    let mut open: FxHashMap<Value, Vec<usize>> = FxHashMap::default();
    for (at, operation) in operations.iter().enumerate() {
        let written = operation.action.written();
        if let Some(value) = written {
            *writers.entry(value).or_default() += 1;
        }
        if operation.ret.is_some() {
            kept[at] = Kept::Surely;
            see(&mut seen[0], operation);
            see(&mut seen[1], operation);
        } else if let Some(value) = written {
            open.entry(value).or_default().push(at);
        }
    }
    let mut fresh: Vec<Value> = open.keys().copied().collect();
    while let Some(value) = fresh.pop() {
        for &at in open.get(&value).into_iter().flatten() {
            let operation = &operations[at];
            let is_seen = |seen: &FxHashMap<Value, u64>| {
                seen.get(&value).is_some_and(|&until| until >= operation.source.call)
            };
            let now = match (is_seen(&seen[0]) && writers[&value] == 1, is_seen(&seen[1])) {
                (true, _) => Kept::Surely,
                (false, true) => Kept::Perhaps,
                (false, false) => Kept::No,
            };
            if now != kept[at] {
                fresh.extend(see(&mut seen[1], operation));
                if now == Kept::Surely {
                    fresh.extend(see(&mut seen[0], operation));
                }
                kept[at] = now;
            }
        }
    }
    kept
}
