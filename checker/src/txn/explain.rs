//! Says in a paragraph what is wrong, so that a person sees why no order is possible.

use std::{collections::BTreeSet, time::Duration};

use super::{
    anomaly::{Claim, Edge, Place, Why},
    history::{History, Step},
    transaction::Fate,
};
use crate::{
    history::{clock::seconds, generic::Datum},
    verdict::Violation,
};

/// Elements of a list that are shown; of a longer one, those around the one that matters.
const SHOWN: usize = 8;

/// Steps of a cycle that are told.
const STEPS: usize = 12;

/// The violation that a claim is. `node` says which node a transaction was sent to.
pub(super) fn violation<'a>(
    history: &History,
    claim: &Claim,
    node: impl Fn(u32) -> Option<&'a str>,
) -> Violation {
    let timed = history.transactions.iter().any(|of| of.call != of.index);
    let mut teller = Teller { history, timed, met: Vec::new() };
    let summary = teller.tell(claim);
    let concerned = teller.met;
    let nodes: BTreeSet<&str> = concerned.iter().filter_map(|&at| node(at)).collect();
    let operations: BTreeSet<u64> = concerned
        .iter()
        .map(|&at| &history.transactions[at as usize])
        .flat_map(|of| [Some(of.index), of.completion])
        .flatten()
        .collect();
    Violation {
        summary,
        rule: claim.anomaly().to_string(),
        nodes: nodes.into_iter().map(str::to_owned).collect(),
        operations: operations.into_iter().collect(),
        trace: Vec::new(),
        refutation: None,
    }
}

struct Teller<'a> {
    history: &'a History,
    /// Whether the history has times of its own.
    timed: bool,
    /// The transactions that were named so far, T1 first.
    met: Vec<u32>,
}

impl<'a> Teller<'a> {
    fn tell(&mut self, claim: &Claim) -> String {
        match *claim {
            Claim::Garbage { read, at } => {
                let element = self.history.step(read).and_then(|step| self.history.answer(step));
                let element = element.map_or_else(String::new, |(_, list)| {
                    self.history.elements[list[at as usize] as usize].value.to_string()
                });
                let key = self.key(read);
                let read = self.read(read, Some(at));
                format!("{read}, but nobody ever appended {element} to key {key}")
            }
            Claim::Duplicate { read, at } => {
                format!("{}, which has the same element twice", self.read(read, Some(at.1)))
            }
            Claim::Incompatible { read, other } => {
                let at = self.differ(read, other);
                let (read, other) = (self.read(read, at), self.read(other, at));
                format!("{read}, and {other}: neither list can have grown into the other")
            }
            Claim::Internal { read } => self.internal(read),
            Claim::Foreseen { read, append } => {
                let at = self.at(read, append);
                let (element, read) = (self.element(append), self.read(read, at));
                format!("{read} and appended {element} only after that")
            }
            Claim::Disorder { first, second, read } => {
                let (name, key) = (self.name(first.transaction), self.key(first));
                let (one, other) = (self.element(first), self.element(second));
                let at = self.at(read, second);
                let read = self.read(read, at);
                format!(
                    "{name} appended {one} and then {other} to key {key}, but {read}, where {one} \
                     is not before {other}"
                )
            }
            Claim::Aborted { read, append } => {
                let (name, key) = (self.name(append.transaction), self.key(append));
                let at = self.at(read, append);
                let (element, read) = (self.element(append), self.read(read, at));
                format!(
                    "{name} failed, so that what it wanted to append to key {key}, {element}, must \
                     never be seen, but {read}"
                )
            }
            Claim::Intermediate { read, append, later } => {
                let (name, key) = (self.name(append.transaction), self.key(append));
                let (one, other) = (self.element(append), self.element(later));
                let at = self.at(read, append);
                let read = self.read(read, at);
                format!(
                    "{name} appended {one} and then {other} to key {key}, but {read}, which has \
                     {one} without {other}"
                )
            }
            Claim::LostUpdate { one, other } => {
                let mut tell = |(read, append): (Place, Place), missing: Place| {
                    let at = self.at(read, append);
                    let (appended, missing) = (self.element(append), self.element(missing));
                    let read = self.read(read, at);
                    format!("{read} without {missing}, and appended {appended}")
                };
                let (one, other) = (tell(one, other.1), tell(other, one.1));
                format!(
                    "{one}; {other}: whichever came second must have seen what the first appended"
                )
            }
            Claim::Cycle(ref edges) => {
                let mut told: Vec<String> =
                    edges.iter().take(STEPS).map(|edge| self.edge(edge)).collect();
                let more = edges.len() - told.len();
                if more > 0 {
                    told.push(format!("and {more} more such steps lead back to T1"));
                }
                format!("{}: no order is possible", told.join("; "))
            }
        }
    }

    fn edge(&mut self, &Edge { from, to, why }: &Edge) -> String {
        match why {
            Why::Appended { first, second, read } => {
                let (one, other) = (self.element(first), self.element(second));
                let key = self.key(first);
                let (from, to) = (self.name(from), self.name(to));
                let (has, lacks) = (self.at(read, first), self.at(read, second).is_none());
                let read = self.read(read, has);
                let how = match (has.is_some(), lacks) {
                    (true, false) => "which has them in this order",
                    (true, true) => "which has the one and not yet the other",
                    (false, _) => "which has neither",
                };
                format!(
                    "{from} appended {one} to key {key} before {to} appended {other} (ww), since \
                     {read}, {how}"
                )
            }
            Why::Seen { append, read } => {
                let (element, at) = (self.element(append), self.at(read, append));
                let from = self.name(from);
                let read = self.read(read, at);
                let to = self.name(to);
                format!(
                    "{from} appended {element}, and {read}, so {} comes before {to} (wr)",
                    short(&from)
                )
            }
            Why::Unseen { read, append } => {
                let element = self.element(append);
                let read = self.read(read, None);
                let (from, to) = (self.name(from), self.name(to));
                format!(
                    "{read} without {element}, which {to} appended, so {from} comes before {} (rw)",
                    short(&to)
                )
            }
            Why::Earlier => {
                let of = |transaction: u32| &self.history.transactions[transaction as usize];
                let (one, other) = (of(from), of(to));
                let between = Duration::from_nanos(other.call.saturating_sub(one.ret));
                let before =
                    if self.timed { format!("{between:?} before") } else { "before".into() };
                let touch = one.ret == other.call;
                let (from, to) = (self.name(from), self.name(to));
                if touch {
                    return format!(
                        "{from} had ended when its process asked for {to}, so {} comes before {} \
                         (order of the process)",
                        short(&from),
                        short(&to)
                    );
                }
                format!(
                    "{from} had ended {before} {to} was asked for, so {} comes before {} (real \
                     time)",
                    short(&from),
                    short(&to)
                )
            }
        }
    }

    /// Why a transaction's own steps ask for something else than it read.
    fn internal(&mut self, at: Place) -> String {
        let key = self.key(at);
        let (mut before, mut own) = (None, Vec::new());
        for step in 0..at.step {
            let place = Place { step, ..at };
            let Some(of) = self.history.step(place) else { continue };
            if self.key(place) != key {
                continue;
            }
            match of {
                Step::Append { .. } => own.push(self.element(place)),
                _ if self.history.answer(of).is_some() => {
                    own.clear();
                    before = Some(place);
                }
                _ => {}
            }
        }
        let read = self.read(at, None);
        let before = before.map(|before| format!("read {}", self.list(before, None)));
        let own = (!own.is_empty()).then(|| format!("appended {}", own.join(" and ")));
        let had = [before, own].into_iter().flatten().collect::<Vec<_>>().join(" and then ");
        format!("{read} although it had itself {had}")
    }

    /// `T1 (process 3, 1.200 s to 1.210 s)` on the first mention, `T1` later.
    fn name(&mut self, transaction: u32) -> String {
        if let Some(at) = self.met.iter().position(|&other| other == transaction) {
            return format!("T{}", at + 1);
        }
        self.met.push(transaction);
        let of = &self.history.transactions[transaction as usize];
        let when = match (self.timed, of.completion.filter(|_| of.fate != Fate::Unknown)) {
            (true, Some(_)) => format!("{} to {}", seconds(of.call), seconds(of.ret)),
            (true, None) => format!("from {}", seconds(of.call)),
            (false, Some(completion)) => format!("events {} and {completion}", of.index),
            (false, None) => format!("event {}", of.index),
        };
        format!("T{} (process {}, {when})", self.met.len(), of.process)
    }

    /// `T1 read key x = [1 2]`.
    fn read(&mut self, read: Place, focus: Option<u32>) -> String {
        let (name, key) = (self.name(read.transaction), self.key(read));
        format!("{name} read key {key} = {}", self.list(read, focus))
    }

    /// What was read, or of a long list the part around `focus`, else its end.
    fn list(&self, read: Place, focus: Option<u32>) -> String {
        let answer = self.history.step(read).and_then(|step| self.history.answer(step));
        let list = answer.map_or(&[][..], |(_, list)| list);
        let end = match focus {
            Some(focus) => list.len().min(focus as usize + 1 + SHOWN / 2),
            None => list.len(),
        };
        let end = end.max(list.len().min(SHOWN));
        let start = end.saturating_sub(SHOWN);
        let mut shown: Vec<String> = list[start..end]
            .iter()
            .map(|&element| self.history.elements[element as usize].value.to_string())
            .collect();
        if start > 0 {
            shown.insert(0, "…".into());
        }
        if end < list.len() {
            shown.push("…".into());
        }
        let list = format!("[{}]", shown.join(" "));
        if shown.len() > SHOWN { format!("{list} ({} elements)", self.length(read)) } else { list }
    }

    fn length(&self, read: Place) -> usize {
        let answer = self.history.step(read).and_then(|step| self.history.answer(step));
        answer.map_or(0, |(_, list)| list.len())
    }

    /// Where a read has what was appended.
    fn at(&self, read: Place, append: Place) -> Option<u32> {
        let (_, list) = self.history.answer(self.history.step(read)?)?;
        let Step::Append { element, .. } = self.history.step(append)? else { return None };
        (0..).zip(list).find(|(_, other)| **other == element).map(|(at, _)| at)
    }

    /// The first place at which two reads differ.
    fn differ(&self, read: Place, other: Place) -> Option<u32> {
        let (_, one) = self.history.answer(self.history.step(read)?)?;
        let (_, other) = self.history.answer(self.history.step(other)?)?;
        (0..).zip(one.iter().zip(other)).find(|(_, (one, other))| one != other).map(|(at, _)| at)
    }

    fn key(&self, at: Place) -> &'a Datum {
        let history = self.history;
        let key = history.step(at).and_then(Step::key);
        key.map_or(&Datum::Nil, |key| &history.keys[key as usize].name)
    }

    fn element(&self, at: Place) -> String {
        match self.history.step(at) {
            Some(Step::Append { element, .. }) => {
                self.history.elements[element as usize].value.to_string()
            }
            _ => "nothing".into(),
        }
    }
}

/// The name without what is told only once.
fn short(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}
